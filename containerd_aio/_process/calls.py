"""The calls about one process: its ids go in, and what containerd answers is noted in its exit record.

containerd knows a process by its ids alone, and takes no pid: a call reaches whoever has them. So before what would
harm another one, it is made sure that they are this process's still: by asking, or without it where the kernel
shows that the process is there. Between that and the call somebody else may still delete it and make another, and
two that never ran look the same: beyond that containerd cannot be asked to look.
"""

from __future__ import annotations

import signal as signals
from contextlib import suppress

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey, moment
from containerd_aio._refusal import UNENDED, state_named
from containerd_aio._session import Session
from containerd_aio.errors import ContainerdError, DeadlineExceededError, NotFoundError, UnavailableError
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.types import ExitStatus, ProcessState, Status

_NO_TASK_FORBIDS = UNENDED | {ProcessState.CREATED}


class ProcessCalls:
    """What can be asked of a process, an exec or a container's init."""

    def __init__(self, session: Session, record: ExitRecord) -> None:
        self.session = session
        self.record = record

    @property
    def name(self) -> str:
        """What the process is called in messages: ``exec 'ps' of container 'web'``."""
        return str(self.record.key)

    @property
    def is_exec(self) -> bool:
        """Whether it is an exec, and not a container's init."""
        return bool(self.record.key.exec_id)

    def key(self) -> ProcessKey:
        """Return the ids, as long as they are this process's.

        :raises NotFoundError: once it was deleted, here or by somebody else: they may be another's by now
        """
        if self.record.phase is Phase.DELETED:
            raise NotFoundError(f"{self.name} was deleted", subject=self.name)
        return self.record.key

    async def own_key(self) -> ProcessKey:
        """Return the ids as `key` does; of a process whose end is known, containerd is asked whose they are.

        :raises NotFoundError: if it was deleted
        """
        if self.record.settled:
            await self.status()
        return self.key()

    async def status(self) -> Status:
        """Ask for the state, with the exit status where it is stopped.

        :raises NotFoundError: if the process was deleted
        """
        asked = moment()
        try:
            answer = await self.session.services.tasks.get(*self.key())
        except NotFoundError:
            self.session.exits.missing(self.record)
            raise
        self.session.exits.answered(self.record, answer, asked)
        self.key()
        return answer.status

    async def state(self) -> ProcessState:
        """Ask for the state; a shim that does not answer in time makes it unknown, also with containerd 2.3.

        :raises NotFoundError: if the process was deleted
        """
        try:
            return (await self.status()).state
        except (DeadlineExceededError, UnavailableError):
            return ProcessState.UNKNOWN

    async def kill(self, number: int, *, all: bool = False) -> None:
        """Send a signal.

        :raises NotFoundError: if the process has ended; with ``all``, if it was deleted
        :raises FailedPreconditionError: if it is an exec that was not started
        """
        self.key()
        if isinstance(self.record.outcome, ExitStatus) and not all:
            raise NotFoundError(f"{self.name} has ended", subject=self.name)
        if self.record.witness is None or not self.record.witness.sees_it():
            await self.state()
        await self.signal(number, all=all)

    async def signal(self, number: int, *, all: bool = False) -> None:
        """Send a signal as `kill` does, to what was looked at just before."""
        container_id, exec_id = self.key()
        allowed = UNENDED if exec_id else _NO_TASK_FORBIDS
        ways = {ProcessState.CREATED: "start() it first, or delete() it"}
        async with state_named(
            f"signal {number} cannot be sent", self.name, self.status, allowed=allowed, ways=ways
        ):
            await self.session.services.tasks.kill(container_id, number, exec_id=exec_id, all=all)
        if number == signals.SIGKILL:
            self.record.kill_asked = True  # not before: a shim that died is no kill of ours

    async def delete(self) -> DeletedProcess:
        """Delete it, whatever its ids stand for now; before a task, its execs are asked for.

        A task that was never started is killed first. Delete alone waits for the end of its outputs, which an init
        that lives holds open: 2 s, and 10 s from containerd 1.7.29 on (seen on 1.6.20 and 2.1.9; killed, 0.05 s).
        """
        container_id, exec_id = self.record.key
        tasks = self.session.services.tasks
        if exec_id:
            return await tasks.delete_process(container_id, exec_id)
        if self.record.phase is Phase.CREATED and self.record.pid:
            with suppress(ContainerdError):  # Delete will say what is wrong
                await tasks.kill(container_id, signals.SIGKILL)
        await self.session.exits.ask_execs(container_id)
        return await tasks.delete(container_id)

    async def resize(self, width: int, height: int) -> None:
        """Set the size of its terminal.

        :raises FailedPreconditionError: if it is an exec that has ended
        :raises NotFoundError: if it was deleted
        """
        container_id, exec_id = await self.own_key()
        ways = {ProcessState.STOPPED: "it has ended"}
        async with state_named(
            "its terminal cannot be resized", self.name, self.status, allowed=_NO_TASK_FORBIDS, ways=ways
        ):
            await self.session.services.tasks.resize_pty(container_id, width, height, exec_id=exec_id)

    async def close_stdin(self) -> None:
        """Have the shim close its own writer of stdin.

        :raises NotFoundError: if it was deleted
        """
        container_id, exec_id = await self.own_key()
        await self.session.services.tasks.close_io(container_id, exec_id=exec_id)
