"""Which of root's powers a process keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, SpecOption, build
from containerd_aio.spec.capability_sets import (
    ALL_CAPABILITIES,
    add_capabilities,
    ambient_capabilities,
    capabilities,
    current_capabilities,
    drop_capabilities,
)
from containerd_aio.spec.default import DEFAULT_CAPABILITIES
from containerd_aio.spec.schema import Capabilities, Spec

SETS = st.dictionaries(
    st.sampled_from(["bounding", "effective", "permitted", "inheritable", "ambient"]),
    st.lists(st.sampled_from(ALL_CAPABILITIES), unique=True),
)
NAMES = st.lists(st.sampled_from(ALL_CAPABILITIES), max_size=5)


def _applied(option: SpecOption, sets: Capabilities) -> Capabilities:
    spec: Spec = {"process": {"capabilities": sets}}
    return option(spec, SpecContext("web", "example"))["process"]["capabilities"]


@pytest.mark.parametrize("name", ["CAP_KILL", "KILL", "kill", "cap_kill"])
def test_a_name_may_be_short(name: str) -> None:
    assert _applied(capabilities(name), {})["bounding"] == ["CAP_KILL"]


def test_there_are_as_many_as_linux_6_has() -> None:
    assert len(ALL_CAPABILITIES) == len(set(ALL_CAPABILITIES)) == 41
    assert ALL_CAPABILITIES[21] == "CAP_SYS_ADMIN"
    assert set(DEFAULT_CAPABILITIES) < set(ALL_CAPABILITIES)


def test_setting_replaces_what_is_there(context: SpecContext) -> None:
    built = build(context, [capabilities("KILL", "CHOWN", "KILL")])
    assert built["process"]["capabilities"] == {
        "bounding": ["CAP_KILL", "CAP_CHOWN"],
        "effective": ["CAP_KILL", "CAP_CHOWN"],
        "permitted": ["CAP_KILL", "CAP_CHOWN"],
    }


def test_setting_none_leaves_none(context: SpecContext) -> None:
    sets = build(context, [capabilities()])["process"]["capabilities"]
    assert sets == {"bounding": [], "effective": [], "permitted": []}


def test_adding_keeps_the_others(context: SpecContext) -> None:
    sets = build(context, [add_capabilities("SYS_PTRACE", "KILL")])["process"]["capabilities"]
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert sets["bounding"] == [*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE"]


def test_dropping_takes_from_every_set() -> None:
    before: Capabilities = {"bounding": ["CAP_KILL", "CAP_CHOWN"], "inheritable": ["CAP_KILL"], "ambient": []}
    after = _applied(drop_capabilities("KILL"), before)
    assert after == {"bounding": ["CAP_CHOWN"], "inheritable": [], "ambient": []}


def test_all_can_be_set_and_dropped() -> None:
    assert _applied(capabilities("ALL"), {})["effective"] == list(ALL_CAPABILITIES)
    assert _applied(add_capabilities("all"), {})["effective"] == list(ALL_CAPABILITIES)


def test_dropping_all_drops_also_what_is_not_known_here() -> None:
    sets: Capabilities = {"bounding": ["CAP_FUTURE", "CAP_KILL"]}
    assert _applied(drop_capabilities("ALL"), sets) == {"bounding": []}


def test_ambient_capabilities_are_in_every_set(context: SpecContext) -> None:
    sets = build(context, [ambient_capabilities("SYS_PTRACE", "KILL")])["process"]["capabilities"]
    assert sets["ambient"] == sets["inheritable"] == ["CAP_SYS_PTRACE", "CAP_KILL"]
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert sets["bounding"] == [*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE"]


@given(sets=SETS, names=NAMES)
def test_the_kernel_never_refuses_the_ambient_set(sets: Capabilities, names: list[str]) -> None:
    """It must be within the permitted and the inheritable set (capabilities(7))."""
    after = _applied(ambient_capabilities(*names), sets)
    assert set(after["ambient"]) == set(names)
    assert set(after["ambient"]) <= set(after["permitted"]) & set(after["inheritable"])
    after = _applied(drop_capabilities("ALL"), after)
    assert not after["ambient"]


def test_the_capabilities_of_this_process_can_be_had(context: SpecContext) -> None:
    status = Path("/proc/self/status").read_text()
    mask = int(re.findall(r"^CapEff:\s+(\w+)$", status, re.MULTILINE)[0], 16)
    sets = build(context, [current_capabilities()])["process"]["capabilities"]
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert sum(1 << ALL_CAPABILITIES.index(name) for name in sets["bounding"]) == mask & 2**41 - 1


@given(sets=SETS, names=NAMES)
def test_nothing_is_ever_added_to_the_inherited_sets(sets: Capabilities, names: list[str]) -> None:
    for change in (capabilities, add_capabilities, drop_capabilities):
        after = _applied(change(*names), sets)
        assert set(after.get("inheritable", [])) <= set(sets.get("inheritable", []))
        assert set(after.get("ambient", [])) <= set(sets.get("ambient", []))


@given(sets=SETS, names=NAMES)
def test_no_set_keeps_what_was_not_listed(sets: Capabilities, names: list[str]) -> None:
    after = _applied(capabilities(*names), sets)
    assert all(set(kept) <= set(names) for kept in after.values() if isinstance(kept, list))


@pytest.mark.parametrize("change", [capabilities, add_capabilities, ambient_capabilities, drop_capabilities])
@pytest.mark.parametrize("name", ["", "CAP_", "FLY", "CAP_CAP_KILL", 21, ["KILL"]])
def test_what_is_no_capability_is_refused(change: SpecOption, name: object) -> None:
    with pytest.raises(InvalidArgumentError, match="capabilities: "):
        change(name)  # type: ignore[call-arg,arg-type]
