"""What a task uses, as its cgroup counts it: one set of words for cgroup v1 and v2.

A counter counts from the task's first moment; rates are differences, by ``timestamp_ns``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from containerd_aio.types.any import AnyValue


@dataclass(frozen=True, slots=True)
class CpuMetrics:
    """CPU time in nanoseconds, of all CPUs together, and how often a quota held the task back.

    ``periods`` are those in which it wanted to run, ``throttled_periods`` those in which it used its quota up,
    ``throttled_ns`` the time that it had to wait then. Without a quota all three are 0.
    """

    usage_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


@dataclass(frozen=True, slots=True)
class MemoryMetrics:
    """Memory in bytes. ``limit`` is ``None`` where there is none.

    ``usage`` counts the page cache as well; ``working_set`` is what cannot be taken back at once: usage without
    the inactive file cache, as Kubernetes has it. ``oom_kills`` is how many processes the kernel has killed for
    want of memory.
    """

    usage: int = 0
    limit: int | None = None
    working_set: int = 0
    swap: int = 0
    oom_kills: int = 0


@dataclass(frozen=True, slots=True)
class PidsMetrics:
    """Processes and threads; ``limit`` is ``None`` where there is none."""

    current: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceIoMetrics:
    """What was read from one block device and written to it: bytes and operations."""

    major: int
    minor: int
    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class IoMetrics:
    """What was read from block devices and written to them, bytes and operations: in all, and by device."""

    read_bytes: int = 0
    write_bytes: int = 0
    reads: int = 0
    writes: int = 0
    devices: tuple[DeviceIoMetrics, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a task uses at one moment.

    ``data`` is all that containerd tells, an ``io.containerd.cgroups.v1.Metrics`` or ``….v2.Metrics``; what its
    cgroup does not tell is 0 or ``None`` in the summary. Where the runtime tells it in another type, there is
    only ``data``, and ``cgroup_version`` is ``None``. ``timestamp_ns`` is nanoseconds since 1970.
    """

    id: str
    timestamp_ns: int | None
    cgroup_version: Literal[1, 2] | None
    cpu: CpuMetrics
    memory: MemoryMetrics
    pids: PidsMetrics
    io: IoMetrics
    data: AnyValue
