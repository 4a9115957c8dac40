"""Where the container's cgroup lies, and how limits come together in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import (
    SpecContext,
    SpecOption,
    block_io,
    build,
    cpu_quota,
    cpu_shares,
    cpuset_cpus,
    cpuset_mems,
    hugepage_limit,
    memory_limit,
    memory_swap,
)
from containerd_aio.spec.cgroup import cgroup_path, namespaced_cgroup, pids_limit, unified

DENY_ALL = {"allow": False, "access": "rwm"}

LIMITS = {
    "memory": memory_limit(2**26),
    "swap": memory_swap(2**27),
    "shares": cpu_shares(512),
    "quota": cpu_quota(20_000, 50_000),
    "cpus": cpuset_cpus("0-1,3"),
    "mems": cpuset_mems("0"),
    "pids": pids_limit(10),
    "2MB": hugepage_limit(2**21, 2**24),
    "1GB": hugepage_limit(2**30, 2**30),
    "sda": block_io(read_bps={"8:0": 100}),
    "sdb": block_io(read_bps={"8:16": 100}),
    "unified": unified({"memory.high": "max"}),
}


def test_limits_stand_beside_each_other(context: SpecContext) -> None:
    assert build(context, LIMITS.values())["linux"]["resources"] == {
        "devices": [DENY_ALL],
        "memory": {"limit": 2**26, "swap": 2**27},
        "cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "cpus": "0-1,3", "mems": "0"},
        "pids": {"limit": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 2**24}, {"pageSize": "1GB", "limit": 2**30}],
        "blockIO": {
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 100},
                {"major": 8, "minor": 16, "rate": 100},
            ]
        },
        "unified": {"memory.high": "max"},
    }


@given(names=st.lists(st.sampled_from(sorted(LIMITS))))
def test_a_limit_set_again_is_there_once(names: list[str]) -> None:
    """Whatever came in between, and in whatever order."""
    context = SpecContext("web", "example")
    once = build(context, [LIMITS[name] for name in sorted(set(names))])["linux"]["resources"]
    often = build(context, [LIMITS[name] for name in names])["linux"]["resources"]
    assert _sorted(often) == _sorted(once)


def test_the_last_limit_of_a_kind_wins(context: SpecContext) -> None:
    options = [
        *(memory_limit(2**26), memory_limit(2**27), pids_limit(3), pids_limit(4)),
        *(block_io(read_bps={"8:0": 1, "8:16": 2}), block_io(read_bps={"8:0": 3})),
        *(hugepage_limit(2**21, 0), hugepage_limit(2**21, 2**21), unified({"a.b": 1}), unified({"a.b": 2})),
    ]
    made = build(context, options)["linux"]["resources"]
    assert made["memory"] == {"limit": 2**27}
    assert made["pids"] == {"limit": 4}
    assert made["blockIO"]["throttleReadBpsDevice"] == [
        {"major": 8, "minor": 16, "rate": 2},
        {"major": 8, "minor": 0, "rate": 3},
    ]
    assert made["hugepageLimits"] == [{"pageSize": "2MB", "limit": 2**21}]
    assert made["unified"] == {"a.b": "2"}


@pytest.mark.parametrize("path", ["/example/other", "system.slice:aio:web"])
def test_the_cgroup_can_be_another(context: SpecContext, path: str) -> None:
    assert build(context, [cgroup_path(path)])["linux"]["cgroupsPath"] == path


def test_the_cgroup_can_be_the_containers_own_again(context: SpecContext) -> None:
    built = build(context, [cgroup_path("/somebody/else"), namespaced_cgroup()])
    assert built["linux"]["cgroupsPath"] == "/example/web"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((pids_limit, value) for value in (0, -1, 1.0)),
        *((cgroup_path, value) for value in ("", "relative", "a:b", "a:b:c:d", "/a\0", 1)),
    ],
)
def test_a_limit_that_the_kernel_would_refuse_or_misread_is_refused(
    option: Callable[[object], SpecOption], value: object
) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        option(value)
    name: str = option.__name__
    assert str(refusal.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "name",
    ["", "memory", "../memory.high", "a/b.c", "memory.high\n", ".high", 1, "cgroup.procs", "cgroup.threads"],
)
def test_a_file_that_is_not_of_the_containers_limits_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="unified: "):
        unified({name: "1"})


@pytest.mark.parametrize("values", ["memory.high", {"memory.high": None}, {"memory.high": True}])
def test_what_cannot_be_written_into_a_cgroup_is_refused(values: Mapping[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="unified: "):
        unified(values)


def _sorted(value: object) -> object:
    """``value`` with its lists in one order."""
    if isinstance(value, Mapping):
        return {key: _sorted(inner) for key, inner in value.items()}
    return sorted(value, key=repr) if isinstance(value, list) else value
