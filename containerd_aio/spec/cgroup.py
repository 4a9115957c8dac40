"""Memory, CPUs and processes: what the container's cgroup allows.

Each limit is checked here against what the kernel takes, since a runtime that is refused by the kernel fails only
when the task is created, and some values mean something else than they say (a limit of 0 is none at all).
"""

from __future__ import annotations

import math
import re
from copy import deepcopy
from typing import Final

from containerd_aio.spec.arguments import check_integer, check_path, check_text, invalid
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import LinuxCPU, LinuxMemory, LinuxResources, Spec
from containerd_aio.spec.sections import linux_of

_PERIOD: Final = 100_000
_CPU_LIST: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")


def memory_limit(limit: int) -> SpecOption:
    """Allow at most ``limit`` bytes of memory.

    :raises InvalidArgumentError: if it is not a positive integer
    """
    return _option({"memory": {"limit": check_integer("memory_limit", limit, minimum=1)}})


def memory_swap(limit: int) -> SpecOption:
    """Allow at most ``limit`` bytes of memory and swap together; -1 allows any amount of swap.

    :raises InvalidArgumentError: if it is neither a positive integer nor -1
    """
    return _option({"memory": {"swap": _swap("memory_swap", limit)}})


def cpu_shares(shares: int) -> SpecOption:
    """Weigh the container's share of busy CPUs, from 2 to 262144; 1024 is what others have.

    :raises InvalidArgumentError: for a number out of that range
    """
    return _option({"cpu": {"shares": _shares("cpu_shares", shares)}})


def cpu_quota(quota: int, period: int = _PERIOD) -> SpecOption:
    """Allow ``quota`` microseconds of CPU time in each ``period`` microseconds; see `cpus`.

    :raises InvalidArgumentError: for a quota under 1000, or a period that is not between 1000 and 1,000,000
    """
    cpu: LinuxCPU = {
        "quota": check_integer("cpu_quota", quota, minimum=1000),
        "period": check_integer("cpu_quota", period, minimum=1000, maximum=1_000_000),
    }
    return _option({"cpu": cpu})


def cpus(count: float) -> SpecOption:
    """Allow as much CPU time as ``count`` CPUs give; 0.5 is half of one.

    :raises InvalidArgumentError: if it is less than 0.01, or no number
    """
    return _option({"cpu": _quota("cpus", count)})


def cpuset_cpus(cpus: str) -> SpecOption:
    """Run on these CPUs only: ``"0-3,8"``.

    :raises InvalidArgumentError: if it is no such list
    """
    return _option({"cpu": {"cpus": _cpu_list("cpuset_cpus", cpus)}})


def cpuset_mems(nodes: str) -> SpecOption:
    """Take memory from these NUMA nodes only: ``"0-1"``.

    :raises InvalidArgumentError: if it is no such list
    """
    return _option({"cpu": {"mems": _cpu_list("cpuset_mems", nodes)}})


def pids_limit(limit: int) -> SpecOption:
    """Allow at most ``limit`` processes and threads.

    :raises InvalidArgumentError: if it is not a positive integer
    """
    return _option({"pids": {"limit": check_integer("pids_limit", limit, minimum=1)}})


def cgroup_path(path: str) -> SpecOption:
    """Put the container into the cgroup ``path`` instead of ``/<namespace>/<id>``.

    A runtime that leaves cgroups to systemd wants ``slice:prefix:name`` here.

    :raises InvalidArgumentError: if it is neither absolute nor of systemd's form
    """
    text = check_text("cgroup_path", path)
    if len(text.split(":")) != 3:
        check_path("cgroup_path", text)

    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["cgroupsPath"] = text
        return {**spec, "linux": linux}

    return option


def resources(
    *,
    memory: int | None = None,
    memory_swap: int | None = None,
    cpus: float | None = None,
    cpu_shares: int | None = None,
    cpuset_cpus: str | None = None,
    cpuset_mems: str | None = None,
    pids: int | None = None,
) -> LinuxResources:
    """Return limits to give to ``task.update()``, each as its option of the same name takes it.

    What is ``None`` is left out, and so stays as it is. ``memory`` and ``memory_swap`` in bytes, ``cpus`` in
    CPUs, ``pids`` in processes.

    :raises InvalidArgumentError: for a value that its option refuses, or a ``memory_swap`` less than ``memory``
    """
    result: LinuxResources = {}
    if memory_in := _memory(memory, memory_swap):
        result["memory"] = memory_in
    if cpu := _cpu(cpus, cpu_shares, cpuset_cpus, cpuset_mems):
        result["cpu"] = cpu
    if pids is not None:
        result["pids"] = {"limit": check_integer("pids", pids, minimum=1)}
    return result


def _memory(limit: int | None, swap: int | None) -> LinuxMemory:
    result: LinuxMemory = {}
    if limit is not None:
        result["limit"] = check_integer("memory", limit, minimum=1)
    if swap is not None:
        result["swap"] = _swap("memory_swap", swap)
        if swap != -1 and limit is not None and swap < limit:
            raise invalid("memory_swap", swap, f"is memory and swap together, and less than memory, {limit}")
    return result


def _cpu(cpus: float | None, shares: int | None, cpu_list: str | None, mems: str | None) -> LinuxCPU:
    result: LinuxCPU = {}
    if cpus is not None:
        result |= _quota("cpus", cpus)
    if shares is not None:
        result["shares"] = _shares("cpu_shares", shares)
    if cpu_list is not None:
        result["cpus"] = _cpu_list("cpuset_cpus", cpu_list)
    if mems is not None:
        result["mems"] = _cpu_list("cpuset_mems", mems)
    return result


def _swap(option: str, limit: int) -> int:
    value = check_integer(option, limit, minimum=-1)
    if value == 0:
        raise invalid(option, limit, "is no limit that can be kept; -1 allows any amount of swap")
    return value


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


def _option(part: LinuxResources) -> SpecOption:
    def option(spec: Spec, context: SpecContext) -> Spec:
        linux = linux_of(spec)
        linux["resources"] = _merged(linux.get("resources") or {}, part)
        return {**spec, "linux": linux}

    return option


def _merged(base: LinuxResources, part: LinuxResources) -> LinuxResources:
    result = deepcopy(base)
    if "memory" in part:
        result["memory"] = {**(base.get("memory") or {}), **part["memory"]}
    if "cpu" in part:
        result["cpu"] = {**(base.get("cpu") or {}), **part["cpu"]}
    if "pids" in part:
        result["pids"] = {**(base.get("pids") or {}), **part["pids"]}
    return result
