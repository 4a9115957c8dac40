"""The limits of a running container: what ``task.update()`` changes."""

from __future__ import annotations

from collections.abc import Mapping

from containerd_aio.spec.arguments import check_integer
from containerd_aio.spec.blkio import check_weight
from containerd_aio.spec.cgroup import unified_values
from containerd_aio.spec.cpu import cpu_limits
from containerd_aio.spec.memory import memory_limits
from containerd_aio.spec.schema import LinuxResources


def resources(
    *,
    memory: int | None = None,
    memory_swap: int | None = None,
    memory_reservation: int | None = None,
    cpus: float | None = None,
    cpu_shares: int | None = None,
    cpu_burst: int | None = None,
    cpu_realtime: int | None = None,
    cpuset_cpus: str | None = None,
    cpuset_mems: str | None = None,
    pids: int | None = None,
    block_io_weight: int | None = None,
    unified: Mapping[str, str | int] | None = None,
) -> LinuxResources:
    """Return limits to give to ``task.update()``, each as its option of the same name takes it.

    What is ``None`` is left out, and so stays as it is. ``memory``, ``memory_swap`` and ``memory_reservation`` in
    bytes, ``cpus`` in CPUs, ``cpu_burst`` and ``cpu_realtime`` in microseconds, ``pids`` in processes. The
    other limits (huge pages, rates of disks, RDT) runc sets for a new container only.

    :raises InvalidArgumentError: for a value that its option refuses, or a ``memory_swap`` less than ``memory``
    """
    result: LinuxResources = {}
    if memory_in := memory_limits(memory, memory_swap, memory_reservation):
        result["memory"] = memory_in
    if cpu := cpu_limits(cpus, cpu_shares, cpu_burst, cpu_realtime, cpuset_cpus, cpuset_mems):
        result["cpu"] = cpu
    if pids is not None:
        result["pids"] = {"limit": check_integer("pids", pids, minimum=1)}
    if block_io_weight is not None:
        result["blockIO"] = {"weight": check_weight("block_io_weight", block_io_weight)}
    if unified is not None:
        result["unified"] = unified_values("unified", unified)
    return result
