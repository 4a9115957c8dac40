"""What a fake task may use and what it uses: its limits, as its spec and Update say, and its metrics."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import cast

from containerd_aio._api.io.containerd.cgroups.v2 import CpuStat, MemoryStat, Metrics, PidsStat
from containerd_aio.testing._specs import document_of
from containerd_aio.testing._statuses import unknown

_UNLIMITED = (1 << 64) - 1
_PROCESS_MEMORY = 1 << 20
_RUNC = "runc did not terminate successfully: exit status 1"


@dataclass(slots=True)
class Resources:
    """Limits and use of one task. ``memory_limit`` and ``pids_limit`` are ``None`` where there is none."""

    memory_limit: int | None = None
    pids_limit: int | None = None
    cpu_ns: int = 0
    memory: int | None = None

    @classmethod
    def of(cls, spec: bytes) -> Resources:
        """Return what a task of this OCI spec begins with."""
        resources = cls()
        linux = document_of(spec).get("linux")
        if isinstance(linux, dict):
            resources._take(cast("dict[str, object]", linux).get("resources"))
        return resources

    def update(self, document: bytes, processes: int) -> None:
        """Change the limits as an OCI ``LinuxResources`` says.

        :raises GRPCError: UNKNOWN, if it is none, or for what the kernel refuses
        """
        wanted = document_of(document)
        limit = _number(wanted, "memory", "limit")
        used = self._memory(processes)
        if limit is not None and 0 < limit < used:
            usage = f"current usage: {used}, peak usage: {used}"
            raise unknown(f"{_RUNC}: unable to set memory limit to {limit} ({usage})\n")
        cpus = _member(wanted, "cpu").get("cpus")
        if isinstance(cpus, str) and _highest(cpus) >= (os.cpu_count() or 1):
            raise unknown(f'{_RUNC}: failed to write "{cpus}": cpuset.cpus: numerical result out of range\n')
        self._take(wanted)

    def metrics(self, processes: int) -> Metrics:
        """Return what is used now, by so many processes that run."""
        return Metrics(
            cpu=CpuStat(usage_usec=self.cpu_ns // 1000, user_usec=self.cpu_ns // 1000),
            memory=MemoryStat(
                usage=self._memory(processes),
                usage_limit=_UNLIMITED if self.memory_limit is None else self.memory_limit,
                swap_limit=_UNLIMITED,
            ),
            pids=PidsStat(
                current=processes, limit=_UNLIMITED if self.pids_limit is None else self.pids_limit
            ),
        )

    def _memory(self, processes: int) -> int:
        if not processes:
            return 0
        return processes * _PROCESS_MEMORY if self.memory is None else self.memory

    def _take(self, resources: object) -> None:
        document = cast("dict[str, object]", resources) if isinstance(resources, dict) else {}
        memory, pids = _number(document, "memory", "limit"), _number(document, "pids", "limit")
        if memory is not None:
            self.memory_limit = memory if memory > 0 else None
        if pids is not None:
            self.pids_limit = pids if pids > 0 else None


def _member(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name)
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _number(document: dict[str, object], name: str, field: str) -> int | None:
    value = _member(document, name).get(field)
    if value is not None and not isinstance(value, int):
        kind = "string" if isinstance(value, str) else "value"
        raise unknown(f"json: cannot unmarshal {kind} into Go struct field of {name}.{field} of type int64")
    return value


def _highest(cpus: str) -> int:
    return max((int(number) for number in re.findall("[0-9]+", cpus)), default=0)
