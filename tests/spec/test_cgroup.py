"""Limits on memory, CPUs and processes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, SpecOption, build, resources
from containerd_aio.spec.cgroup import (
    cgroup_path,
    cpu_quota,
    cpu_shares,
    cpus,
    cpuset_cpus,
    cpuset_mems,
    memory_limit,
    memory_swap,
    pids_limit,
)

DENY_ALL = {"allow": False, "access": "rwm"}


def test_limits_stand_beside_each_other(context: SpecContext) -> None:
    options = [
        memory_limit(2**26),
        memory_swap(2**27),
        cpu_shares(512),
        cpu_quota(20_000, 50_000),
        cpuset_cpus("0-1,3"),
        cpuset_mems("0"),
        pids_limit(10),
    ]
    assert build(context, options)["linux"]["resources"] == {
        "devices": [DENY_ALL],
        "memory": {"limit": 2**26, "swap": 2**27},
        "cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "cpus": "0-1,3", "mems": "0"},
        "pids": {"limit": 10},
    }


def test_the_last_limit_of_a_kind_wins(context: SpecContext) -> None:
    built = build(context, [memory_limit(2**26), memory_limit(2**27), pids_limit(3), pids_limit(4)])
    assert built["linux"]["resources"]["memory"] == {"limit": 2**27}
    assert built["linux"]["resources"]["pids"] == {"limit": 4}


@pytest.mark.parametrize(("count", "quota"), [(0.5, 50_000), (2, 200_000), (0.01, 1000), (1.333333, 133_333)])
def test_cpus_are_a_share_of_time(context: SpecContext, count: float, quota: int) -> None:
    built = build(context, [cpus(count)])
    assert built["linux"]["resources"]["cpu"] == {"quota": quota, "period": 100_000}


@given(count=st.floats(0.01, 1000))
def test_cpus_are_never_less_than_the_kernel_takes(count: float) -> None:
    assert resources(cpus=count)["cpu"]["quota"] >= 1000


def test_swap_may_be_unlimited(context: SpecContext) -> None:
    assert build(context, [memory_swap(-1)])["linux"]["resources"]["memory"] == {"swap": -1}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((memory_limit, value) for value in (0, -1, 1.5, "1g", None, True, 2**63)),
        *((memory_swap, value) for value in (0, -2, -1.0, "1g")),
        *((cpu_shares, value) for value in (0, 1, 262_145, -5, 2.0)),
        *((cpu_quota, value) for value in (0, -1, 999, 5000.0)),
        *((cpus, value) for value in (0, -1, 0.001, math.nan, math.inf, "2", True, 1e300)),
        *((pids_limit, value) for value in (0, -1, 1.0)),
        *((cpuset_cpus, value) for value in ("", "a", "1-", "-1", "3-1", "0,,1", "0 1", 0, "0\n", "٣")),
        *((cpuset_mems, value) for value in ("", "1-0", "x")),
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


@pytest.mark.parametrize("period", [999, 1_000_001])
def test_a_period_out_of_the_kernels_range_is_refused(period: int) -> None:
    with pytest.raises(InvalidArgumentError, match="cpu_quota: "):
        cpu_quota(10_000, period)


@pytest.mark.parametrize("path", ["/example/other", "system.slice:aio:web"])
def test_the_cgroup_can_be_another(context: SpecContext, path: str) -> None:
    assert build(context, [cgroup_path(path)])["linux"]["cgroupsPath"] == path


def test_resources_hold_what_was_asked_for_and_nothing_else() -> None:
    """Whatever is in them is changed by task.update()."""
    assert resources() == {}
    assert resources(pids=5) == {"pids": {"limit": 5}}
    assert resources(memory=2**20) == {"memory": {"limit": 2**20}}


def test_resources_may_hold_everything() -> None:
    made = resources(
        memory=2**20, memory_swap=-1, cpus=0.5, cpu_shares=2, cpuset_cpus="0", cpuset_mems="0", pids=1
    )
    assert made == {
        "memory": {"limit": 2**20, "swap": -1},
        "cpu": {"quota": 50_000, "period": 100_000, "shares": 2, "cpus": "0", "mems": "0"},
        "pids": {"limit": 1},
    }


def test_resources_with_less_swap_than_memory_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="memory_swap: 1 is memory and swap together"):
        resources(memory=2, memory_swap=1)


def test_resources_are_checked_as_the_options_are() -> None:
    refused: list[dict[str, object]] = [
        {"memory": 0},
        {"memory_swap": 0},
        {"cpus": 0},
        {"cpu_shares": 1},
        {"cpuset_cpus": "x"},
        {"cpuset_mems": "x"},
        {"pids": 0},
    ]
    for values in refused:
        with pytest.raises(InvalidArgumentError, match=f"^{next(iter(values))}: "):
            resources(**values)  # type: ignore[arg-type]
