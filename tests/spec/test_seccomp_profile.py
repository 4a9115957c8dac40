"""Which system calls are refused, by a profile in either form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, add_capabilities, build
from containerd_aio.spec.schema import LinuxSeccomp
from containerd_aio.spec.seccomp_conditions import Host
from containerd_aio.spec.seccomp_profile import seccomp, seccomp_file, seccomp_unconfined

HERE = Host.current()
ALLOW = {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}

OCI = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64"],
    "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    "listenerPath": "/run/agent.sock",
    "listenerMetadata": "web",
    "syscalls": [
        ALLOW,
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 2114060288, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}],
        },
    ],
}


def _made(profile: Mapping[str, object], context: SpecContext) -> LinuxSeccomp:
    return build(context, [seccomp(profile)])["linux"]["seccomp"]


def test_a_profile_of_the_runtimes_form_is_taken_as_it_is(context: SpecContext) -> None:
    assert _made(OCI, context) == OCI


def test_a_profile_comes_from_a_file(context: SpecContext, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(OCI))
    option = seccomp_file(path)
    path.unlink()
    assert build(context, [option])["linux"]["seccomp"] == OCI


def test_a_profile_replaces_another_and_can_be_taken_away(context: SpecContext) -> None:
    plain = {"defaultAction": "SCMP_ACT_ALLOW"}
    built = build(context, [seccomp(OCI), seccomp(plain)])
    assert built["linux"]["seccomp"] == {**plain, "syscalls": []}
    assert "seccomp" not in build(context, [seccomp(OCI), seccomp_unconfined()])["linux"]


def test_architectures_are_those_of_this_machine(context: SpecContext) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_OTHER", "subArchitectures": ["SCMP_ARCH_ODD"]},
            {"architecture": HERE.seccomp_architecture, "subArchitectures": ["SCMP_ARCH_OLD"]},
            {"architecture": HERE.seccomp_architecture},
        ],
    }
    assert _made(profile, context)["architectures"] == [HERE.seccomp_architecture, "SCMP_ARCH_OLD"]
    profile["archMap"] = [{"architecture": "SCMP_ARCH_OTHER"}]
    assert "architectures" not in _made(profile, context)


def _rule(**conditions: object) -> dict[str, object]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**ALLOW, **conditions}]}


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        pytest.param({}, True, id="no condition"),
        pytest.param({"includes": {}, "excludes": None, "comment": "", "args": None}, True, id="empty ones"),
        pytest.param({"includes": {"caps": ["CAP_KILL", "CAP_CHOWN"]}}, True, id="capabilities held"),
        pytest.param({"includes": {"caps": ["CAP_KILL", "CAP_SYS_ADMIN"]}}, False, id="one not held"),
        pytest.param({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True, id="unwanted one not held"),
        pytest.param({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_KILL"]}}, False, id="unwanted one held"),
        pytest.param({"includes": {"arches": ["other", HERE.architecture]}}, True, id="this machine"),
        pytest.param({"includes": {"arches": ["other"]}}, False, id="another machine"),
        pytest.param({"excludes": {"arches": ["other"]}}, True, id="not another machine"),
        pytest.param({"excludes": {"arches": [HERE.architecture]}}, False, id="not this machine"),
        pytest.param({"includes": {"minKernel": "2.6"}}, True, id="old enough kernel"),
        pytest.param({"includes": {"minKernel": "999.0"}}, False, id="newer kernel"),
        pytest.param({"excludes": {"minKernel": "999.0"}}, True, id="not yet a newer kernel"),
        pytest.param({"excludes": {"minKernel": "2.6"}}, False, id="no old kernel"),
        pytest.param(
            {"includes": {"caps": ["CAP_KILL"]}, "excludes": {"arches": [HERE.architecture]}},
            False,
            id="both",
        ),
    ],
)
def test_a_rule_holds_where_its_conditions_are_met(
    context: SpecContext, conditions: Mapping[str, object], holds: bool
) -> None:
    assert _made(_rule(**conditions), context)["syscalls"] == ([ALLOW] if holds else [])


def test_the_capabilities_are_those_at_the_options_place(context: SpecContext) -> None:
    option = seccomp(_rule(includes={"caps": ["CAP_SYS_ADMIN"]}))
    more = add_capabilities("SYS_ADMIN")
    assert len(build(context, [more, option])["linux"]["seccomp"]["syscalls"]) == 1
    assert build(context, [option, more])["linux"]["seccomp"]["syscalls"] == []


def test_a_single_name_of_the_old_form_is_taken(context: SpecContext) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "mkdir", "action": "SCMP_ACT_TRAP"}]}
    assert _made(profile, context)["syscalls"] == [{"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}]


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="list"),
        pytest.param({"defaultAction": "ALLOW"}, id="unknown action"),
        pytest.param({**OCI, "Syscalls": []}, id="key, as Go reads it too"),
        pytest.param({**OCI, "defaultErrnoRet": -1}, id="error number"),
        pytest.param({**OCI, "syscalls": {}}, id="rules that are no list"),
        pytest.param({**OCI, "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, id="rule without names"),
        pytest.param({**OCI, "syscalls": [{"names": "read", "action": "SCMP_ACT_ALLOW"}]}, id="plain name"),
        pytest.param({**OCI, "syscalls": [{"names": ["read"]}]}, id="rule without action"),
        pytest.param({**OCI, "syscalls": [{**ALLOW, "include": {}}]}, id="unknown key of a rule"),
        pytest.param({**OCI, "syscalls": [{**ALLOW, "includes": {"cap": []}}]}, id="unknown condition"),
        pytest.param({**OCI, "syscalls": [{**ALLOW, "includes": {"minKernel": "five"}}]}, id="odd kernel"),
        pytest.param(
            {**OCI, "syscalls": [{**ALLOW, "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]},
            id="index",
        ),
        pytest.param(
            {**OCI, "syscalls": [{**ALLOW, "args": [{"index": 0, "value": 1, "op": "=="}]}]}, id="comparison"
        ),
        pytest.param(
            {**OCI, "syscalls": [{**ALLOW, "args": [{"index": 0, "value": 2**64, "op": "SCMP_CMP_EQ"}]}]},
            id="value",
        ),
        pytest.param({**OCI, "archMap": [{"architecture": "a"}]}, id="architectures twice"),
        pytest.param({**OCI, "flags": "LOG"}, id="plain flag"),
    ],
)
def test_what_is_no_profile_is_refused(profile: Mapping[str, object], tmp_path: Path) -> None:
    """A rule that is misread would be a hole that nobody sees."""
    with pytest.raises(InvalidArgumentError, match="seccomp: "):
        seccomp(profile)
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    with pytest.raises(InvalidArgumentError, match="seccomp_file: "):
        seccomp_file(tmp_path / "profile.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(value=JSON, key=st.sampled_from(sorted(OCI)))
def test_any_json_is_a_profile_or_refused(value: object, key: str) -> None:
    before: Spec = {}
    try:
        after = seccomp({**OCI, key: value})(before, SpecContext("web", "example"))
    except InvalidArgumentError:
        return
    assert after["linux"]["seccomp"].keys() <= LinuxSeccomp.__annotations__.keys()
