"""Whether a document has the types of a spec."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, default_spec, from_bytes
from containerd_aio.spec.shape import misfit
from tests.spec.test_option import OPTIONS
from tests.spec.test_trust import JSON, PLACES, _set


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"process": None, "mounts": None, "linux": {"resources": None}},
        {"vm": 7, "linux": {"unknown": []}, "process": {"ioPriority": "x"}},
        {"linux": {"resources": {"network": {"classID": 7}, "rdma": {"mlx5_1": {"hcaHandles": 3}}}}},
        default_spec("web", "example"),
    ],
)
def test_what_is_of_the_right_types_fits(document: object) -> None:
    assert misfit(document, Spec) is None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"hostname": 7}, "hostname is not a string"),
        ({"process": []}, "process is not an object"),
        ({"process": {"args": "sh"}}, "process.args is not a list"),
        ({"process": {"args": ["sh", None]}}, "process.args[1] is null"),
        ({"process": {"user": {"uid": "0"}}}, "process.user.uid is not an integer"),
        ({"process": {"user": {"uid": 1.5}}}, "process.user.uid is not an integer"),
        ({"process": {"user": {"uid": True}}}, "process.user.uid is not an integer"),
        ({"process": {"terminal": 1}}, "process.terminal is not true or false"),
        ({"mounts": [{}, {"options": [1]}]}, "mounts[1].options[0] is not a string"),
        ({"linux": {"sysctl": {"net.a": 1}}}, "linux.sysctl.net.a is not a string"),
        ({"linux": {"resources": {"rdma": {"a": {"b": "c"}}}}}, "linux.resources.rdma.a.b is not an integer"),
    ],
)
def test_the_place_of_what_does_not_fit_is_told(document: object, why: str) -> None:
    assert misfit(document, Spec) == why


@given(
    value=JSON, place=st.sampled_from(PLACES), name=st.sampled_from(sorted(OPTIONS.keys() - {"image_config"}))
)
def test_options_can_change_every_document_that_is_taken(value: object, place: str, name: str) -> None:
    document = json.loads(json.dumps(default_spec("web", "example")))
    _set(place, value)(document)
    try:
        taken = from_bytes(json.dumps(document))
    except InvalidArgumentError:
        return
    context = SpecContext("web", "example")
    try:
        assert isinstance(OPTIONS[name](taken({}, context), context), dict)
    except InvalidArgumentError:
        return  # in the option's own words
