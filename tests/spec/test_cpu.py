"""Limits on CPUs."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, SpecOption, build, resources
from containerd_aio.spec.cpu import (
    cpu_burst,
    cpu_quota,
    cpu_realtime,
    cpu_shares,
    cpus,
    cpuset_cpus,
    cpuset_mems,
    rdt,
)


@pytest.mark.parametrize(("count", "quota"), [(0.5, 50_000), (2, 200_000), (0.01, 1000), (1.333333, 133_333)])
def test_cpus_are_a_share_of_time(context: SpecContext, count: float, quota: int) -> None:
    built = build(context, [cpus(count)])
    assert built["linux"]["resources"]["cpu"] == {"quota": quota, "period": 100_000}


@given(count=st.floats(0.01, 1000))
def test_cpus_are_never_less_than_the_kernel_takes(count: float) -> None:
    assert resources(cpus=count)["cpu"]["quota"] >= 1000


def test_what_is_saved_up_and_what_is_realtime_stand_beside_the_quota(context: SpecContext) -> None:
    built = build(context, [cpu_quota(50_000), cpu_burst(20_000), cpu_realtime(900, 5000)])
    assert built["linux"]["resources"]["cpu"] == {
        "quota": 50_000,
        "period": 100_000,
        "burst": 20_000,
        "realtimeRuntime": 900,
        "realtimePeriod": 5000,
    }


def test_realtime_is_by_the_second(context: SpecContext) -> None:
    cpu = build(context, [cpu_realtime(950_000)])["linux"]["resources"]["cpu"]
    assert cpu == {"realtimeRuntime": 950_000, "realtimePeriod": 1_000_000}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((cpu_shares, value) for value in (0, 1, 262_145, -5, 2.0)),
        *((cpu_quota, value) for value in (0, -1, 999, 5000.0)),
        *((cpus, value) for value in (0, -1, 0.001, math.nan, math.inf, "2", True, 1e300)),
        *((cpu_burst, value) for value in (-1, 1.0, None)),
        *((cpu_realtime, value) for value in (-1, 1_000_001, 1.0)),
        *((cpuset_cpus, value) for value in ("", "a", "1-", "-1", "3-1", "0,,1", "0 1", 0, "0\n", "٣")),
        *((cpuset_mems, value) for value in ("", "1-0", "x")),
        *((rdt, value) for value in (None, "", "..", "a/b", 1)),
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
    with pytest.raises(InvalidArgumentError, match="cpu_realtime: "):
        cpu_realtime(10, period)


def test_caches_and_bandwidth_are_given_in_parts(context: SpecContext) -> None:
    built = build(context, [rdt("gold", cache="L3:0=ff;1=f", memory_bandwidth="MB:0=20;1=70")])
    expected = {"closID": "gold", "l3CacheSchema": "L3:0=ff;1=f", "memBwSchema": "MB:0=20;1=70"}
    assert built["linux"]["intelRdt"] == expected
    assert build(context, [rdt(cache="L3CODE:0=ff")])["linux"]["intelRdt"] == {"l3CacheSchema": "L3CODE:0=ff"}


@pytest.mark.parametrize("line", ["", "L3", "L3:0=xyz", "L3:0=ff\nMB:0=20", "MB:0=20"])
def test_a_cache_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgumentError, match="rdt: .* such as 'L3:0=ff;1=f'"):
        rdt(cache=line)


@pytest.mark.parametrize("line", ["", "MB:0=ff", "L3:0=20"])
def test_a_bandwidth_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgumentError, match="rdt: .* such as 'MB:0=20;1=70'"):
        rdt(memory_bandwidth=line)
