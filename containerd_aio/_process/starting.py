"""How a process is started: once, and whatever comes of it is known afterwards."""

from __future__ import annotations

from containerd_aio._criu_log import criu_says
from containerd_aio._exits.record import Phase, moment
from containerd_aio._process.calls import ProcessCalls
from containerd_aio._process.ending import Ending
from containerd_aio._refusal import UNENDED, start_failed, state_refused
from containerd_aio._transport.completion import completed, shielded
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    FailedPreconditionError,
    NotFoundError,
    UnknownError,
)
from containerd_aio.stdio import OpenStdio
from containerd_aio.types import ProcessState

_WHAT = "it cannot be started"
_WAYS = {
    ProcessState.CREATED: "its start was cut short, and a second one may end the container; delete() it, add another",
    ProcessState.RUNNING: "it was started before",
    ProcessState.PAUSED: "it was started before",
    ProcessState.PAUSING: "it was started before",
    ProcessState.STOPPED: "it has run, and ended; delete() it and make another",
}
_RAN = UNENDED | {ProcessState.STOPPED}
_TASK_WAYS = {
    ProcessState.CREATED: "its start was cut short, and a second one may end the container; delete() it, add another",
    ProcessState.PAUSED: "resume() the task, delete() the exec and add it again",
    ProcessState.STOPPED: "nothing can run in it any more; delete() the exec",
}


class Starting:
    """Starts one process."""

    def __init__(self, calls: ProcessCalls, stdio: OpenStdio, ending: Ending) -> None:
        self._calls = calls
        self._session = calls.session
        self._record = calls.record
        self._stdio = stdio
        self._ending = ending

    async def start(self) -> None:
        """Start it; when this returns, it runs or has ended already."""
        await self._refuse_started()
        again = self._record.start_in_doubt
        self._record.starting()
        refused = False

        async def start() -> None:
            nonlocal refused
            await self._stdio.starting()
            try:
                pid = await self._session.services.tasks.start(*self._record.key)
            except ConnectionLostError:
                self._record.start_unanswered()
                raise
            except ContainerdError as error:
                failure = await self._not_started(error, again=again)
                refused = failure is not None
                if failure is error:
                    raise
                if failure is not None:
                    raise failure from error
            else:
                self._session.exits.started(self._record, pid)

        try:
            await completed(start)
        except ContainerdError:
            raise
        except BaseException:
            if not refused:  # else nothing of ours runs: it never did, or it is somebody else's doing
                await shielded(self._undo)
            raise
        try:
            await self._stdio.started()
        except BaseException:
            await shielded(self._undo)
            raise

    async def _refuse_started(self) -> None:
        """Let nothing through that was started before; only of a task's Start may the outcome be in doubt.

        Where the kernel shows that a task's init is gone, it is asked whose the ids are: Start would hit them.
        """
        record = self._record
        if self._startable():
            if record.witness is None or record.witness.sees_it():
                return
            await self._calls.state()
            if self._startable():
                return
        self._calls.key()
        if isinstance(record.outcome, Exception) or record.phase is Phase.STARTING:
            why = (
                "it is being started"
                if record.outcome is None
                else f"it has failed before ({record.outcome})"
            )
            raise FailedPreconditionError(
                f"{self._calls.name} cannot be started: {why}", subject=self._calls.name
            )
        state = ProcessState.STOPPED if record.settled else (await self._calls.status()).state
        raise state_refused(_WHAT, self._calls.name, state, ways=_WAYS)

    def _startable(self) -> bool:
        record = self._record
        return not record.settled and (record.phase is Phase.CREATED or record.start_in_doubt)

    async def _not_started(self, error: ContainerdError, *, again: bool) -> ContainerdError | None:
        """Turn what Start answered into the error to raise; the waits fail with it if it never ran.

        ``None`` if a Start ``again``, after one whose answer was lost, has found that the first one had worked; and
        if this one has, though containerd failed to say so.

        :raises ConnectionLostError: if that cannot be told now
        """
        failure = error
        refused = isinstance(error, UnknownError | FailedPreconditionError)
        if not isinstance(error, ClientClosedError):
            state = await self._state()
            if self._record.phase is Phase.DELETED:
                failure, refused = (
                    NotFoundError(f"{self._calls.name} was deleted", subject=self._calls.name),
                    False,
                )
            elif state in _RAN:
                if again or not refused:
                    return None
                return state_refused(_WHAT, self._calls.name, state, ways=_WAYS, answer=error)
        if refused:
            said = criu_says(error, local=self._session.fifo_dir is not None)
            failure = await self._refused_by_task(error) or start_failed(self._record.key, error, more=said)
        self._record.start_failed(failure)
        self._stdio.hurry()
        await self._stdio.drain(0)
        await self._stdio.aclose()
        return failure

    async def _state(self) -> ProcessState:
        """Ask for the state, after a Start that was refused."""
        asked = moment()
        try:
            answer = await self._session.services.tasks.get(*self._record.key)
        except ConnectionLostError:
            self._record.start_unanswered()
            raise
        except ContainerdError:
            return ProcessState.UNKNOWN
        if answer.status.state not in (ProcessState.CREATED, ProcessState.UNKNOWN):
            self._record.start_unanswered()
            self._session.exits.answered(self._record, answer, asked)
        return answer.status.state

    async def _refused_by_task(self, error: ContainerdError) -> ContainerdError | None:
        """Return the error for an exec whose task is in a state in which none can be started."""
        container_id, exec_id = self._record.key
        if not exec_id:
            return None
        try:
            state = (await self._session.services.tasks.get(container_id)).status.state
        except ContainerdError:
            return None
        if state not in _TASK_WAYS:
            return None
        what = f"{self._calls.name} cannot be started"
        return state_refused(what, f"task '{container_id}'", state, ways=_TASK_WAYS, answer=error)

    async def _undo(self) -> None:
        """Nobody waits for Start's answer any more: what it may have started is killed."""
        if self._record.phase is Phase.STARTING:
            self._record.start_unanswered()
        try:
            await self._ending.kill()
        except ContainerdError:
            pass  # containerd is gone, or the task is frozen; the waits go on
        self._stdio.hurry()
        await self._stdio.drain(0)
        await self._stdio.aclose()
