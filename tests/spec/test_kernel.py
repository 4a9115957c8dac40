"""Parameters of the kernel that belong to a container's namespaces."""

from __future__ import annotations

import math

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.kernel import sysctls, time_offsets


def test_parameters_are_merged(context: SpecContext) -> None:
    options = [
        sysctls({"net.ipv4.ip_forward": "0", "kernel.shmmax": 4096}),
        sysctls({"net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": 20, "net/ipv4/conf/eth0.1/rp_filter": 2}),
    ]
    assert build(context, options)["linux"]["sysctl"] == {
        "net.ipv4.ip_forward": "1",
        "kernel.shmmax": "4096",
        "fs.mqueue.msg_max": "20",
        "net/ipv4/conf/eth0.1/rp_filter": "2",
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("kernel.panic", "is one for the whole host"),
        ("vm.swappiness", "is one for the whole host"),
        ("kernel.shmmaxx", "is one for the whole host"),
        ("kernel/panic", "is one for the whole host"),
        ("network.x", "is one for the whole host"),
        ("kernel.hostname", r"is set by the option hostname\(\)"),
        ("kernel/hostname", r"is set by the option hostname\(\)"),
        ("net", "is not the name of a parameter"),
        ("net.ipv4/../../kernel/panic", "is not the name of a parameter"),
        ("", "is not the name of a parameter"),
        ("net.ipv4.x\n", "is not the name of a parameter"),
    ],
)
def test_parameters_that_no_namespace_has_are_refused(name: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"sysctls: .* {why}"):
        sysctls({name: "1"})


@pytest.mark.parametrize("value", [None, 1.5, True, "a\0", b"1"])
def test_a_value_that_is_no_text_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgumentError, match="sysctls: "):
        sysctls({"net.ipv4.ip_forward": value})


def test_clocks_differ_by_whole_seconds_and_a_rest(context: SpecContext) -> None:
    linux = build(context, [time_offsets(monotonic=-1.5, boottime=86_400)])["linux"]
    assert linux["namespaces"][-1] == {"type": "time"}
    assert linux["timeOffsets"] == {
        "monotonic": {"secs": -2, "nanosecs": 500_000_000},
        "boottime": {"secs": 86_400, "nanosecs": 0},
    }


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300, "1", True, None])
def test_what_is_no_number_of_seconds_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidArgumentError, match="time_offsets: "):
        time_offsets(boottime=seconds)
