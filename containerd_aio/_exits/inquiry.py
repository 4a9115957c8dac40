"""Asking containerd for what its events do not tell: after a gap, when an exit is in doubt, and now and then.

Only NOT_FOUND means that a process is gone. UNKNOWN, or a deadline that passed (containerd 2.3 and later), is a
shim that did not answer within 2 s: ask again, but let nobody else wait for that. Any other failure leaves the wait
open, for the next asking.
"""

from __future__ import annotations

import random
from typing import NamedTuple, Protocol

import anyio

from containerd_aio._exits.record import ExitRecord, Phase
from containerd_aio._exits.table import ExitTable
from containerd_aio.errors import ContainerdError, DeadlineExceededError, NotFoundError, UnavailableError
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


class Findings(NamedTuple):
    """What asking for many has brought: how many exits, and who must be asked again soon."""

    exits: int
    unclear: list[ExitRecord]


class Inquiry:
    """Asks for processes and writes the answers into their records."""

    def __init__(self, tasks: Tasks, table: ExitTable) -> None:
        self._tasks = tasks
        self._table = table
        self._limit = anyio.Semaphore(_AT_ONCE)

    async def reconcile(self) -> Findings:
        """Ask once for every process whose exit is unknown.

        :raises ContainerdError: if the List fails
        """
        return await self._ask_all(self._table.unsettled(), RESTARTED)

    async def sweep(self) -> Findings:
        """Ask once for every process that somebody waits for.

        :raises ContainerdError: if the List fails
        """
        return await self._ask_all(self._table.awaited(), VANISHED)

    async def ask_execs(self, container_id: str) -> None:
        """Ask for the open execs of a container whose init has ended, until each answer is clear."""
        async with anyio.create_task_group() as asking:
            for record in self._table.execs_of(container_id):
                asking.start_soon(self.ask, record)

    async def ask(self, record: ExitRecord, why_missing: str = VANISHED) -> None:
        """Ask for one process until containerd gives a clear answer or fails."""
        pause = 0.05
        while not record.settled and not await self._ask_once(record, why_missing):
            await anyio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 2.0)

    async def _ask_all(self, records: list[ExitRecord], why_missing: str) -> Findings:
        one_by_one = records
        if len(records) > _FEW:
            listed = {(task.container_id, ""): task for task in await self._tasks.list()}
            one_by_one = []
            for record in records:
                answer = listed.get(record.key)
                if answer is None or self._unclear(record, answer):
                    one_by_one.append(record)  # the list has no execs, and lacks what it could not read
        unclear: list[ExitRecord] = []

        async def ask(record: ExitRecord) -> None:
            if not await self._ask_once(record, why_missing):
                unclear.append(record)

        async with anyio.create_task_group() as asking:
            for record in one_by_one:
                asking.start_soon(ask, record)
        return Findings(sum(record.settled for record in records), unclear)

    async def _ask_once(self, record: ExitRecord, why_missing: str) -> bool:
        """Ask, and write the answer into the record; tell whether there was a clear one, or none can be had now."""
        async with self._limit:
            if record.settled:
                return True
            try:
                answer = await self._tasks.get(*record.key)
            except NotFoundError:
                self._table.missing(record, why_missing)
                return True
            except (DeadlineExceededError, UnavailableError):
                return False
            except ContainerdError:
                return True  # a lost connection is reconciled when it is back, the sweep finds the rest
        return not self._unclear(record, answer)

    def _unclear(self, record: ExitRecord, answer: ProcessRecord) -> bool:
        """Write the answer into the record; tell whether containerd must be asked again."""
        if answer.status.state is ProcessState.UNKNOWN:
            return True
        record.answered(answer)
        never_ran = answer.status.state is ProcessState.CREATED and record.phase is not Phase.STARTING
        if never_ran and record.key.exec_id and self._table.init_ended(record.key.container_id):
            record.missing("it was not started before the container's init ended")
        return False
