"""A task's cgroup in words: the messages of cgroup v1 and v2 made into one ``Metrics``.

Both tell "no limit" by a number: v1 by the largest number of whole pages below 2^63, v2 by 2^64 - 1; and both
leave a limit at 0 where they could not read one. v1's memory.memsw counts memory and swap together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from containerd_aio._api.containerd.types import Metric
from containerd_aio._api.io.containerd.cgroups import v1, v2
from containerd_aio._transport import typeurl
from containerd_aio._transport.convert import any_from, timestamp_ns
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import (
    AnyValue,
    CpuMetrics,
    DeviceIoMetrics,
    IoMetrics,
    MemoryMetrics,
    Metrics,
    PidsMetrics,
)

_UNLIMITED: Final = (1 << 63) - (1 << 16)  # with pages of 64 KiB, the largest that Linux has
_MICROSECOND: Final = 1000


def metrics_from(message: Metric) -> Metrics | None:
    """Return what containerd told of a task, ``None`` where it told nothing but the id."""
    data = any_from(message.data)
    if data is None:
        return None
    at = timestamp_ns(message.timestamp)
    try:
        return _summary(message.id, at, data)
    except InvalidArgumentError:  # one shim's nonsense must not hide what the others tell
        return _untold(message.id, at, data)


def _summary(id: str, at: int | None, data: AnyValue) -> Metrics:
    match data.type_url.rpartition("/")[2]:
        case v1.Metrics.__proto_name__:
            return _from_v1(id, at, data)
        case v2.Metrics.__proto_name__:
            return _from_v2(id, at, data)
        case _:
            return _untold(id, at, data)


def _untold(id: str, at: int | None, data: AnyValue) -> Metrics:
    return Metrics(id, at, None, CpuMetrics(), MemoryMetrics(), PidsMetrics(), IoMetrics(), data)


def _from_v1(id: str, at: int | None, data: AnyValue) -> Metrics:
    told = typeurl.unpack(data, v1.Metrics)
    cpu, memory = told.cpu, told.memory
    return Metrics(
        id=id,
        timestamp_ns=at,
        cgroup_version=1,
        cpu=CpuMetrics(
            usage_ns=cpu.usage.total,
            user_ns=cpu.usage.user,
            system_ns=cpu.usage.kernel,
            periods=cpu.throttling.periods,
            throttled_periods=cpu.throttling.throttled_periods,
            throttled_ns=cpu.throttling.throttled_time,
        ),
        memory=MemoryMetrics(
            usage=memory.usage.usage,
            limit=_limit(memory.usage.limit),
            working_set=_less(memory.usage.usage, memory.total_inactive_file),
            swap=_less(memory.swap.usage, memory.usage.usage),
            oom_kills=told.memory_oom_control.oom_kill,
        ),
        pids=PidsMetrics(told.pids.current, _limit(told.pids.limit)),
        io=_io_from_v1(told.blkio),
        data=data,
    )


def _from_v2(id: str, at: int | None, data: AnyValue) -> Metrics:
    told = typeurl.unpack(data, v2.Metrics)
    cpu, memory = told.cpu, told.memory
    return Metrics(
        id=id,
        timestamp_ns=at,
        cgroup_version=2,
        cpu=CpuMetrics(
            usage_ns=cpu.usage_usec * _MICROSECOND,
            user_ns=cpu.user_usec * _MICROSECOND,
            system_ns=cpu.system_usec * _MICROSECOND,
            periods=cpu.nr_periods,
            throttled_periods=cpu.nr_throttled,
            throttled_ns=cpu.throttled_usec * _MICROSECOND,
        ),
        memory=MemoryMetrics(
            usage=memory.usage,
            limit=_limit(memory.usage_limit),
            working_set=_less(memory.usage, memory.inactive_file),
            swap=memory.swap_usage,
            oom_kills=told.memory_events.oom_kill,
        ),
        pids=PidsMetrics(told.pids.current, _limit(told.pids.limit)),
        io=_io(
            DeviceIoMetrics(
                entry.major,
                entry.minor,
                read_bytes=entry.rbytes,
                write_bytes=entry.wbytes,
                reads=entry.rios,
                writes=entry.wios,
            )
            for entry in told.io.usage
        ),
        data=data,
    )


def _io_from_v1(told: v1.BlkIoStat) -> IoMetrics:
    """Sort v1's entries, one for each device and operation (``Read``, ``Write``, ``Sync``, ``Total``, …)."""
    moved = _by_device(told.io_service_bytes_recursive)
    served = _by_device(told.io_serviced_recursive)
    return _io(
        DeviceIoMetrics(
            *device,
            read_bytes=moved.get((*device, "read"), 0),
            write_bytes=moved.get((*device, "write"), 0),
            reads=served.get((*device, "read"), 0),
            writes=served.get((*device, "write"), 0),
        )
        for device in sorted({key[:2] for key in (*moved, *served)})
    )


def _by_device(entries: Iterable[v1.BlkIoEntry]) -> dict[tuple[int, int, str], int]:
    return {(entry.major, entry.minor, entry.op.lower()): entry.value for entry in entries}


def _io(devices: Iterable[DeviceIoMetrics]) -> IoMetrics:
    all = tuple(devices)
    return IoMetrics(
        read_bytes=sum(device.read_bytes for device in all),
        write_bytes=sum(device.write_bytes for device in all),
        reads=sum(device.reads for device in all),
        writes=sum(device.writes for device in all),
        devices=all,
    )


def _limit(told: int) -> int | None:
    return told if 0 < told < _UNLIMITED else None


def _less(whole: int, part: int) -> int:
    return max(0, whole - part)  # the two are not read at the same moment
