"""Metrics of both cgroups in one set of words; Google's protobuf writes the bytes."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.types import Metric
from containerd_aio._api.google.protobuf import Any, Timestamp
from containerd_aio._api.io.containerd.cgroups import v1, v2
from containerd_aio._transport.codec import encode
from containerd_aio.services.task_metrics import metrics_from
from containerd_aio.types import (
    AnyValue,
    CpuMetrics,
    DeviceIoMetrics,
    IoMetrics,
    MemoryMetrics,
    Metrics,
    PidsMetrics,
)
from tests.proto.reference import reference_class

UNLIMITED_V1 = 2**63 - 4096
UNLIMITED_V2 = 2**64 - 1


def told(kind: type[Message], content: dict[str, object]) -> Metrics:
    """The metrics of a task whose runtime tells this: a message as protobuf's JSON has it."""
    reference = json_format.ParseDict(content, reference_class(kind)())
    data = Any(type_url=kind.__proto_name__, value=reference.SerializeToString())
    metrics = metrics_from(Metric(id="web", timestamp=Timestamp(seconds=1, nanos=2), data=data))
    assert metrics is not None
    assert (metrics.id, metrics.timestamp_ns) == ("web", 1_000_000_002)
    assert metrics.data == AnyValue(data.type_url, data.value)
    return metrics


def test_cgroup_v1_is_summed_up() -> None:
    metrics = told(
        v1.Metrics,
        {
            "pids": {"current": 3, "limit": 100},
            "cpu": {
                "usage": {"total": 900, "kernel": 300, "user": 600, "perCpu": [400, 500]},
                "throttling": {"periods": 10, "throttledPeriods": 4, "throttledTime": 70},
            },
            "memory": {
                "totalInactiveFile": 400,
                "usage": {"limit": 65536, "usage": 1000, "max": 2000},
                "swap": {"limit": 131072, "usage": 1250},
            },
            "memoryOomControl": {"oomKill": 2},
            "blkio": {
                "ioServiceBytesRecursive": [
                    {"op": "Read", "major": 8, "minor": 0, "value": 4096},
                    {"op": "Write", "major": 8, "minor": 0, "value": 512},
                    {"op": "Sync", "major": 8, "minor": 0, "value": 4608},
                    {"op": "Total", "major": 8, "minor": 0, "value": 4608},
                    {"op": "Read", "major": 7, "minor": 1, "value": 100},
                ],
                "ioServicedRecursive": [
                    {"op": "read", "major": 8, "minor": 0, "value": 2},
                    {"op": "write", "major": 8, "minor": 0, "value": 1},
                ],
            },
        },
    )
    assert metrics.cgroup_version == 1
    assert metrics.cpu == CpuMetrics(
        usage_ns=900, user_ns=600, system_ns=300, periods=10, throttled_periods=4, throttled_ns=70
    )
    assert metrics.memory == MemoryMetrics(usage=1000, limit=65536, working_set=600, swap=250, oom_kills=2)
    assert metrics.pids == PidsMetrics(current=3, limit=100)
    assert metrics.io == IoMetrics(
        read_bytes=4196,
        write_bytes=512,
        reads=2,
        writes=1,
        devices=(
            DeviceIoMetrics(7, 1, read_bytes=100),
            DeviceIoMetrics(8, 0, read_bytes=4096, write_bytes=512, reads=2, writes=1),
        ),
    )


def test_cgroup_v2_is_summed_up() -> None:
    metrics = told(
        v2.Metrics,
        {
            "pids": {"current": 3, "limit": 100},
            "cpu": {
                "usageUsec": 900,
                "userUsec": 600,
                "systemUsec": 300,
                "nrPeriods": 10,
                "nrThrottled": 4,
                "throttledUsec": 70,
            },
            "memory": {"usage": 1000, "usageLimit": 65536, "inactiveFile": 400, "swapUsage": 250},
            "memoryEvents": {"oom": 3, "oomKill": 2},
            "io": {
                "usage": [
                    {"major": 8, "minor": 0, "rbytes": 4096, "wbytes": 512, "rios": 2, "wios": 1},
                    {"major": 7, "minor": 1, "rbytes": 100},
                ]
            },
        },
    )
    assert metrics.cgroup_version == 2
    assert metrics.cpu == CpuMetrics(
        usage_ns=900_000,
        user_ns=600_000,
        system_ns=300_000,
        periods=10,
        throttled_periods=4,
        throttled_ns=70_000,
    )
    assert metrics.memory == MemoryMetrics(usage=1000, limit=65536, working_set=600, swap=250, oom_kills=2)
    assert metrics.pids == PidsMetrics(current=3, limit=100)
    assert (metrics.io.read_bytes, metrics.io.write_bytes, metrics.io.reads, metrics.io.writes) == (
        4196,
        512,
        2,
        1,
    )
    assert metrics.io.devices[1] == DeviceIoMetrics(7, 1, read_bytes=100)


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(UNLIMITED_V1, id="pages of 4 KiB"),
        pytest.param(2**63 - 65536, id="pages of 64 KiB"),
        pytest.param(2**63 - 1, id="signed"),
        pytest.param(UNLIMITED_V2, id="unsigned"),
        pytest.param(0, id="not told"),
    ],
)
def test_no_limit_is_none(limit: int) -> None:
    old = told(v1.Metrics, {"memory": {"usage": {"limit": str(limit)}}, "pids": {"limit": str(limit)}})
    new = told(v2.Metrics, {"memory": {"usageLimit": str(limit)}, "pids": {"limit": str(limit)}})
    for metrics in (old, new):
        assert metrics.memory.limit is None
        assert metrics.pids.limit is None


@pytest.mark.parametrize(("kind", "version"), [(v1.Metrics, 1), (v2.Metrics, 2)])
def test_what_the_cgroup_does_not_tell_is_nothing(kind: type[Message], version: int) -> None:
    metrics = told(kind, {})
    assert metrics.cgroup_version == version
    assert (metrics.cpu, metrics.memory, metrics.pids, metrics.io) == (
        CpuMetrics(),
        MemoryMetrics(),
        PidsMetrics(),
        IoMetrics(),
    )


def test_what_was_not_read_at_one_moment_is_never_less_than_nothing() -> None:
    old = told(v1.Metrics, {"memory": {"totalInactiveFile": 9, "usage": {"usage": 5}, "swap": {"usage": 4}}})
    new = told(v2.Metrics, {"memory": {"inactiveFile": 9, "usage": 5}})
    assert (old.memory.working_set, old.memory.swap, new.memory.working_set) == (0, 0, 0)


@pytest.mark.parametrize(
    ("type_url", "value"),
    [
        pytest.param("io.containerd.windows.Stats", b"\x01\x02", id="of another type"),
        pytest.param("io.containerd.cgroups.v1.Metrics", b"\xff\xff", id="nonsense"),
    ],
)
def test_what_a_runtime_tells_otherwise_is_passed_on(type_url: str, value: bytes) -> None:
    metrics = metrics_from(Metric(id="web", data=Any(type_url=type_url, value=value)))
    assert metrics is not None
    assert (metrics.cgroup_version, metrics.timestamp_ns, metrics.data) == (
        None,
        None,
        AnyValue(type_url, value),
    )
    assert metrics.memory == MemoryMetrics()


def test_a_prefix_of_the_type_is_passed_over() -> None:
    data = Any(type_url=f"types.containerd.io/{v2.Metrics.__proto_name__}", value=encode(v2.Metrics()))
    metrics = metrics_from(Metric(id="web", data=data))
    assert metrics is not None
    assert metrics.cgroup_version == 2


def test_a_task_of_which_nothing_is_told_has_no_metrics() -> None:
    assert metrics_from(Metric(id="web")) is None
