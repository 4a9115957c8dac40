"""Asking containerd for what its events do not tell: after a gap, when an exit is in doubt, and now and then.

Only NOT_FOUND means that a process is gone. UNKNOWN is a shim that did not answer within 2 s: ask again. Any
other failure leaves the wait open, for the next asking.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Protocol

import anyio

from containerd_aio._exits.record import ExitRecord, Phase
from containerd_aio._exits.table import ExitTable
from containerd_aio.errors import ContainerdError, NotFoundError
from containerd_aio.types import ProcessRecord, ProcessState

# Up to so many are asked for one by one; more by one List, which costs what some 20 Gets cost (measured on
# containerd 1.6 and 2.1 with 100 tasks: 18 ms for the List, 56 ms for 100 Gets).
_FEW = 20
_AT_ONCE = 8

RESTARTED = "it ended while containerd was down, and this containerd does not keep its status over a restart"
VANISHED = "its shim died, or somebody else deleted it"


class Tasks(Protocol):
    """What is asked of the service."""

    async def get(self, container_id: str, exec_id: str = "") -> ProcessRecord: ...

    async def list(self) -> list[ProcessRecord]: ...


class Inquiry:
    """Asks for processes and writes the answers into their records."""

    def __init__(self, tasks: Tasks, table: ExitTable) -> None:
        self._tasks = tasks
        self._table = table
        self._limit = anyio.Semaphore(_AT_ONCE)

    async def reconcile(self) -> int:
        """Ask for every process whose exit is unknown; return how many exits were found.

        :raises ContainerdError: if the List fails
        """
        return await self._ask_all(self._table.unsettled(), RESTARTED)

    async def sweep(self) -> int:
        """Ask for every process that somebody waits for; return how many exits were found."""
        return await self._ask_all(self._table.awaited(), VANISHED)

    async def ask_execs(self, container_id: str) -> None:
        """Ask for the open execs of a container whose init has ended."""
        await self._ask_each(self._table.execs_of(container_id), VANISHED)

    async def ask(self, record: ExitRecord, why_missing: str = VANISHED) -> None:
        """Ask for one process until containerd gives a clear answer or fails."""
        pause = 0.05
        while not record.settled:
            async with self._limit:
                answer = await self._get(record, why_missing)
            if answer is None or not self._unclear(record, answer):
                return
            await anyio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 2.0)

    async def _ask_all(self, records: list[ExitRecord], why_missing: str) -> int:
        one_by_one = records
        if len(records) > _FEW:
            listed = {(task.container_id, ""): task for task in await self._tasks.list()}
            one_by_one = []
            for record in records:
                answer = listed.get(record.key)
                if answer is None or self._unclear(record, answer):
                    one_by_one.append(record)  # the list has no execs, and lacks what it could not read
        await self._ask_each(one_by_one, why_missing)
        return sum(record.settled for record in records)

    async def _ask_each(self, records: Iterable[ExitRecord], why_missing: str) -> None:
        async with anyio.create_task_group() as asking:
            for record in records:
                asking.start_soon(self.ask, record, why_missing)

    async def _get(self, record: ExitRecord, why_missing: str) -> ProcessRecord | None:
        try:
            return await self._tasks.get(*record.key)
        except NotFoundError:
            record.missing(why_missing)
            if record.settled and not record.key.exec_id:
                # Nothing else will ever tell of the execs of an init that is gone.
                for lost in self._table.execs_of(record.key.container_id):
                    lost.missing(why_missing)
        except ContainerdError:
            pass  # not an answer; a lost connection is reconciled when it is back, the sweep finds the rest
        return None

    def _unclear(self, record: ExitRecord, answer: ProcessRecord) -> bool:
        """Write the answer into the record; tell whether containerd must be asked again."""
        if answer.status.state is ProcessState.UNKNOWN:
            return True
        record.answered(answer)
        never_ran = answer.status.state is ProcessState.CREATED and record.phase is not Phase.STARTING
        if never_ran and record.key.exec_id and self._table.init_ended(record.key.container_id):
            record.missing("it was not started before the container's init ended")
        return False
