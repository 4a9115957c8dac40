"""CPUs: how much of their time the container gets, which of them, and how much of their caches.

The numbers are checked here against what the kernel takes, as those of `memory` are.
"""

from __future__ import annotations

import math
import re
from typing import Final

from containerd_aio.spec.arguments import check_integer, check_name, check_text, invalid
from containerd_aio.spec.cgroup import limited
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxCPU, LinuxIntelRdt, Spec
from containerd_aio.spec.sections import linux_of

_PERIOD: Final = 100_000
_SECOND: Final = 1_000_000
_CPU_LIST: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")

# As the files `schemata` of the kernel's resctrl have them (its resctrl.rst).
_CACHE: Final = re.compile(r"L3(CODE|DATA)?:[0-9]+=[0-9a-f]+(;[0-9]+=[0-9a-f]+)*")
_BANDWIDTH: Final = re.compile(r"MB:[0-9]+=[0-9]+(;[0-9]+=[0-9]+)*")


def cpu_shares(shares: int) -> SpecOption:
    """Weigh the container's share of busy CPUs, from 2 to 262144; 1024 is what others have.

    :raises InvalidArgumentError: for a number out of that range
    """
    return limited({"cpu": {"shares": _shares("cpu_shares", shares)}})


def cpu_quota(quota: int, period: int = _PERIOD) -> SpecOption:
    """Allow ``quota`` microseconds of CPU time in each ``period`` microseconds; see `cpus`.

    :raises InvalidArgumentError: for a quota under 1000, or a period that is not between 1000 and 1,000,000
    """
    cpu: LinuxCPU = {
        "quota": check_integer("cpu_quota", quota, minimum=1000),
        "period": _period("cpu_quota", period),
    }
    return limited({"cpu": cpu})


def cpus(count: float) -> SpecOption:
    """Allow as much CPU time as ``count`` CPUs give; 0.5 is half of one.

    :raises InvalidArgumentError: if it is less than 0.01, or no number
    """
    return limited({"cpu": _quota("cpus", count)})


def cpu_burst(burst: int) -> SpecOption:
    """Let the container save up ``burst`` microseconds of its quota, and spend them when it is busy.

    It must be no more than the quota (`cpu_quota`, `cpus`). runc before 1.2 passes it over.

    :raises InvalidArgumentError: if it is not an integer of 0 or more
    """
    return limited({"cpu": {"burst": check_integer("cpu_burst", burst, minimum=0)}})


def cpu_realtime(runtime: int, period: int = _SECOND) -> SpecOption:
    """Allow ``runtime`` microseconds of realtime scheduling in each ``period`` microseconds; cgroup v1 only.

    The cgroups above must have that time to give; a kernel with cgroup v2 has no such limit.

    :raises InvalidArgumentError: for a period that is not between 1000 and 1,000,000, or a longer runtime
    """
    length = _period("cpu_realtime", period)
    return limited({"cpu": _realtime(runtime, length)})


def cpuset_cpus(cpus: str) -> SpecOption:
    """Run on these CPUs only: ``"0-3,8"``.

    :raises InvalidArgumentError: if it is no such list
    """
    return limited({"cpu": {"cpus": _cpu_list("cpuset_cpus", cpus)}})


def cpuset_mems(nodes: str) -> SpecOption:
    """Take memory from these NUMA nodes only: ``"0-1"``.

    :raises InvalidArgumentError: if it is no such list
    """
    return limited({"cpu": {"mems": _cpu_list("cpuset_mems", nodes)}})


def rdt(
    clos_id: str | None = None, *, cache: str | None = None, memory_bandwidth: str | None = None
) -> SpecOption:
    """Give the container a part of the CPUs' caches and memory bandwidth (Intel RDT, the kernel's resctrl).

    ``clos_id`` is the class that it joins, its own where ``None``; ``cache`` a line of the class's schemata such
    as ``"L3:0=ff;1=f"``, ``memory_bandwidth`` one such as ``"MB:0=20;1=70"``.

    :raises InvalidArgumentError: for a class that is no name of a directory, lines of another form, or nothing
    """
    made: LinuxIntelRdt = {}
    if clos_id is not None:
        if "/" in check_name("rdt", clos_id) or clos_id in (".", ".."):
            raise invalid("rdt", clos_id, "is not the name of a class: it would be another directory")
        made["closID"] = clos_id
    if cache is not None:
        made["l3CacheSchema"] = _schema(cache, _CACHE, "L3:0=ff;1=f")
    if memory_bandwidth is not None:
        made["memBwSchema"] = _schema(memory_bandwidth, _BANDWIDTH, "MB:0=20;1=70")
    if not made:
        raise invalid("rdt", None, "says nothing: give a class, cache= or memory_bandwidth=")

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["intelRdt"] = made.copy()
        return {**spec, "linux": linux}

    return option


def cpu_limits(
    count: float | None,
    shares: int | None,
    burst: int | None,
    realtime: int | None,
    cpu_list: str | None,
    mems: str | None,
) -> LinuxCPU:
    """Return those that are not ``None``, for `resources`.

    :raises InvalidArgumentError: as the options do
    """
    result: LinuxCPU = {}
    if count is not None:
        result |= _quota("cpus", count)
    if shares is not None:
        result["shares"] = _shares("cpu_shares", shares)
    if burst is not None:
        result["burst"] = check_integer("cpu_burst", burst, minimum=0)
    if realtime is not None:
        result |= _realtime(realtime, _SECOND)
    if cpu_list is not None:
        result["cpus"] = _cpu_list("cpuset_cpus", cpu_list)
    if mems is not None:
        result["mems"] = _cpu_list("cpuset_mems", mems)
    return result


def _period(option: str, period: int) -> int:
    return check_integer(option, period, minimum=1000, maximum=_SECOND)


def _realtime(runtime: int, period: int) -> LinuxCPU:
    part = check_integer("cpu_realtime", runtime, minimum=0, maximum=period)
    return {"realtimeRuntime": part, "realtimePeriod": period}


def _shares(option: str, shares: int) -> int:
    # The kernel moves others into this range, and runc refuses what it then reads back.
    return check_integer(option, shares, minimum=2, maximum=262_144)


def _quota(option: str, count: object) -> LinuxCPU:
    if not isinstance(count, int | float) or isinstance(count, bool):
        raise invalid(option, count, "is not a number")
    # A quota of less than a millisecond is refused by the kernel.
    if not math.isfinite(count) or not 0.01 <= count <= 1_000_000:
        raise invalid(option, count, "is not a number of CPUs of 0.01 or more")
    return {"quota": round(count * _PERIOD), "period": _PERIOD}


def _cpu_list(option: str, value: str) -> str:
    text = check_text(option, value)
    if not _CPU_LIST.fullmatch(text):
        raise invalid(option, value, "is not a list such as '0-3,8'")
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(first) > int(last):
            raise invalid(option, value, "holds a range that runs backwards")
    return text


def _schema(value: str, form: re.Pattern[str], example: str) -> str:
    text = check_text("rdt", value)
    if not form.fullmatch(text):
        raise invalid("rdt", value, f"is not a line such as {example!r}")
    return text
