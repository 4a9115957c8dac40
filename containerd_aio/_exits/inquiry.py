"""Asking containerd for what its events do not tell: after a gap, when an exit is in doubt, and now and then.

Only NOT_FOUND means that a process is gone. UNKNOWN, or a deadline that passed (containerd 2.3 and later), is a
shim that did not answer within 2 s: ask again, but let nobody else wait for that. Any other failure leaves the wait
open, for the next asking.

Of a container whose shim was killed containerd says NOT_FOUND some 100 ms before it kills what the shim has left
behind. Where there are witnesses, the verdict waits for that end: it has a code.
"""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import NamedTuple, Protocol

import anyio

from containerd_aio._exits.record import ExitRecord, Phase, Verdict, moment
from containerd_aio._exits.table import ExitTable
from containerd_aio._exits.witness import Witness
from containerd_aio.errors import ContainerdError, DeadlineExceededError, NotFoundError, UnavailableError
from containerd_aio.types import ProcessRecord, ProcessState

# Up to so many are asked for one by one; more by one List, which costs what some 20 Gets cost (measured on
# containerd 1.6 and 2.1 with 100 tasks: 18 ms for the List, 56 ms for 100 Gets).
_FEW = 20
_AT_ONCE = 8
_LAST_BREATH = 10.0  # seconds that a process may outlive containerd's memory of it: some inits reap every 2 s

RESTARTED = "it ended while containerd was down, and this containerd does not keep its status over a restart"
VANISHED = "its shim died, or somebody else deleted it"


class Tasks(Protocol):
    """What is asked of the service."""

    async def get(self, container_id: str, exec_id: str = "") -> ProcessRecord: ...

    async def list(self) -> list[ProcessRecord]: ...


class Answer(Enum):
    """What asking once has brought."""

    CLEAR = auto()  # it is in the record, or none can be had now
    UNCLEAR = auto()  # ask again
    OUTLIVED = auto()  # containerd does not know it any more, but it has not ended


class Findings(NamedTuple):
    """What asking for many has brought: how many exits, and who must be asked again soon."""

    exits: int
    unclear: list[ExitRecord]
    outlived: list[ExitRecord]


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
        """Ask for one process until containerd gives a clear answer or fails.

        What containerd has forgotten is given 10 s to end, if a witness sees it.
        """
        pause = 0.05
        while not record.settled:
            answer = await self._ask_once(record, why_missing)
            if answer is Answer.OUTLIVED:
                await self._ended(record)
                self._table.missing(record, why_missing)
            if answer is not Answer.UNCLEAR:
                return
            await anyio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, 2.0)

    def missing(self, record: ExitRecord, why: str) -> Answer:
        """Take a NOT_FOUND, unless the process, or an exec of it, outlives containerd's memory of it."""
        if self._outliving(record):
            return Answer.OUTLIVED
        self._table.missing(record, why)
        return Answer.CLEAR

    def _outliving(self, record: ExitRecord) -> list[Witness]:
        lost = [record]
        if not record.key.exec_id:
            lost += self._table.execs_of(record.key.container_id)
        witnesses = [each.witness for each in lost if each.witness is not None]
        return [witness for witness in witnesses if witness.sees_it()]

    async def _ended(self, record: ExitRecord) -> None:
        with anyio.move_on_after(_LAST_BREATH):
            async with anyio.create_task_group() as group:
                for witness in self._outliving(record):
                    group.start_soon(witness.reaped)

    async def _ask_all(self, records: list[ExitRecord], why_missing: str) -> Findings:
        one_by_one = records
        if len(records) > _FEW:
            asked = moment()
            listed = {(task.container_id, ""): task for task in await self._tasks.list()}
            one_by_one = list[ExitRecord]()
            for record in records:
                answer = listed.get(record.key)
                if answer is None or self._unclear(record, answer, asked):
                    one_by_one.append(record)  # the list has no execs, and lacks what it could not read
        answers: dict[Answer, list[ExitRecord]] = {answer: list[ExitRecord]() for answer in Answer}

        async def ask(record: ExitRecord) -> None:
            answers[await self._ask_once(record, why_missing)].append(record)

        async with anyio.create_task_group() as asking:
            for record in one_by_one:
                asking.start_soon(ask, record)
        exits = sum(record.settled for record in records)
        return Findings(exits, answers[Answer.UNCLEAR], answers[Answer.OUTLIVED])

    async def _ask_once(self, record: ExitRecord, why_missing: str) -> Answer:
        """Ask, and write the answer into the record."""
        async with self._limit:
            if record.settled:
                return Answer.CLEAR
            asked = moment()
            try:
                answer = await self._tasks.get(*record.key)
            except NotFoundError:
                return self.missing(record, why_missing)
            except (DeadlineExceededError, UnavailableError):
                return Answer.UNCLEAR
            except ContainerdError:
                return (
                    Answer.CLEAR
                )  # a lost connection is reconciled when it is back, the sweep finds the rest
        return Answer.UNCLEAR if self._unclear(record, answer, asked) else Answer.CLEAR

    def _unclear(self, record: ExitRecord, answer: ProcessRecord, asked: int) -> bool:
        """Write the answer into the record; tell whether containerd must be asked again."""
        if answer.status.state is ProcessState.UNKNOWN:
            return True
        if record.answered(answer, asked) is Verdict.DOUBTED:
            return True  # it is started by somebody else, and what was heard of its end may be made up
        never_ran = answer.status.state is ProcessState.CREATED and record.phase is not Phase.STARTING
        if never_ran and record.key.exec_id and self._table.init_ended(record.key.container_id):
            record.missing("it was not started before the container's init ended")
        return False
