"""Annotations."""

from __future__ import annotations

import pytest

from containerd_aio import spec
from containerd_aio.errors import InvalidArgumentError


def test_annotations_are_added_to_those_that_are_there(context: spec.SpecContext) -> None:
    built = spec.build(context, [spec.annotations({"a": "1", "b": "2"}), spec.annotations({"b": "3"})])
    assert built["annotations"] == {"a": "1", "b": "3"}


def test_annotations_are_those_of_the_time_when_they_were_given(context: spec.SpecContext) -> None:
    values = {"a": "1"}
    option = spec.annotations(values)
    values["a"] = "2"
    assert spec.build(context, [option])["annotations"] == {"a": "1"}


def test_a_shim_group_is_an_annotation(context: spec.SpecContext) -> None:
    built = spec.build(context, [spec.shim_group("pod")])
    assert built["annotations"] == {"io.containerd.runc.v2.group": "pod"}


@pytest.mark.parametrize("values", [{"": "1"}, {"a": 1}, {1: "a"}, {"a": "\0"}, ["a"], "a", None])
def test_what_are_no_annotations_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="annotations: "):
        spec.annotations(values)


def test_an_empty_shim_group_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="shim_group: '' is empty"):
        spec.shim_group("")
