"""A process in a container: an exec, and what a task's init has in common with it."""

from __future__ import annotations

import asyncio
import math
import signal as signals
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey
from containerd_aio._refusal import DELETABLE, UNENDED, start_failed, state_named
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed, shielded
from containerd_aio.errors import (
    ConnectionLostError,
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnknownError,
)
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.stdio import LineStream, OpenStdio, OutputStream, check_terminal_size
from containerd_aio.stdio.output import MAX_LINE, output_of
from containerd_aio.types import ExitStatus, ProcessState, Status
from containerd_aio.types.signal import signal_number

# Delete itself has no deadline of ours; once it has answered, the shim's ends are closed and EOF is near.
_LAST_OUTPUT_SECONDS = 2.0


class Process:
    """A process in a container, made by ``task.exec()``; ``Task`` is the container's init.

    As ``async with`` block, a process that was made here is killed if it has not ended, and deleted; one that
    was loaded is only let go.
    """

    def __init__(
        self,
        session: Session,
        record: ExitRecord,
        stdio: OpenStdio,
        *,
        owned: bool,
    ) -> None:
        self._session = session
        self._record = record
        self._stdio = stdio
        self._owned = owned
        stdio.on_stdin_closed(self._stdin_closed)
        stdio.on_resize(self.resize)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._record.key} pid={self.pid}>"

    @property
    def id(self) -> str:
        """The exec's id; a task has that of its container."""
        return self._record.key.exec_id or self._record.key.container_id

    @property
    def name(self) -> str:
        """What the process is called in messages: ``exec 'ps' of container 'web'``."""
        return str(self._record.key)

    @property
    def container_id(self) -> str:
        """The id of the container that the process is in."""
        return self._record.key.container_id

    @property
    def pid(self) -> int:
        """The process's pid on containerd's host; 0 before an exec, or a restored task, was started."""
        return self._record.pid or 0

    @property
    def stdio(self) -> OpenStdio:
        """What the process's input and output are connected to."""
        return self._stdio

    @property
    def stdin(self) -> ByteSendStream | None:
        """The stream into the process, ``None`` unless made with ``pipes(stdin=True)``."""
        return self._stdio.stdin

    @property
    def stdout(self) -> ByteReceiveStream | None:
        """The stream of the process's output, ``None`` unless made with ``pipes()``."""
        return self._stdio.stdout

    @property
    def stderr(self) -> ByteReceiveStream | None:
        """The stream of the process's errors, ``None`` unless made with ``pipes()`` and without a terminal."""
        return self._stdio.stderr

    def output(self) -> OutputStream:
        """Return both outputs as one stream of chunks as they come; a process of ``pipes()`` or ``attach()``.

        ``async for chunk in process.output()`` ends when the process has closed both. A child that it leaves
        behind may hold them open: then ``delete()``, called meanwhile, ends them. Where nobody reads, the process
        waits. Call this once: a second one may lack a chunk that the first has taken.

        :raises InvalidArgumentError: if neither output is piped
        """
        return output_of(self.name, self.stdout, self.stderr)

    def lines(self, *, max_line: int = MAX_LINE) -> LineStream:
        """Return both outputs as one stream of lines as they come, each with its ``\n``; else as ``output()``.

        A line of more than ``max_line`` bytes comes in pieces.

        :raises InvalidArgumentError: if neither output is piped, or ``max_line`` is less than 1
        """
        return LineStream(self.output(), max_line=max_line)

    def wait(self) -> asyncio.Future[ExitStatus]:
        """Return a Future of how the process ends.

        A plain call, any number of times, before ``start()`` and after ``delete()`` as well: each caller has a
        Future of its own, and cancelling it cancels nobody else's. It waits across restarts of containerd.

        The Future fails with ``ProcessLostError`` if the exit can no longer be learned, ``StartFailedError`` if
        the process never ran, ``ClientClosedError`` if the client is closed first.

        :raises RuntimeError: from another event loop than the client's
        """
        return self._session.exits.wait(self._record)

    async def start(self) -> None:
        """Run the process; returns when it runs (it may have ended already).

        If cancelled, the process is killed, should it have been started; its stdio is closed.

        :raises StartFailedError: if the runtime could not start it; the message has runc's reason
        :raises FailedPreconditionError: if it was started before, by whomever
        :raises ConnectionLostError: if containerd went away: it may run or not, ``status()`` tells. A task that is
            still created may be started again; an exec not, for the shim would die of it: delete it and add another
        """
        in_doubt = self._record.start_in_doubt and not self._record.settled
        if self._record.phase is not Phase.CREATED and not in_doubt:
            raise FailedPreconditionError(
                f"{self._record.key} was started, or deleted, before", subject=str(self._record.key)
            )
        self._record.starting()

        async def start() -> None:
            await self._stdio.starting()
            self._session.exits.started(
                self._record, await self._session.services.tasks.start(*self._record.key)
            )

        try:
            await completed(start)
        except ConnectionLostError:
            self._record.start_unanswered()
            raise
        except ContainerdError as error:
            raise await self._not_started(error) from error
        except BaseException:
            await shielded(self._undo_start)
            raise
        try:
            await self._stdio.started()
        except BaseException:
            await shielded(self._undo_start)
            raise

    async def status(self) -> Status:
        """Ask containerd for the state, with the exit status where it is stopped.

        :raises NotFoundError: if the process was deleted
        """
        try:
            answer = await self._session.services.tasks.get(*self._key())
        except NotFoundError:
            self._session.exits.missing(self._record)
            raise
        self._record.answered(answer)
        return answer.status

    async def kill(self, signal: int | str = signals.SIGKILL, *, all: bool = False) -> None:
        """Send a signal, by number or name; ``all`` sends it to every process of the container.

        Returns when it is sent: ``wait()`` tells of the end.

        :raises NotFoundError: if the process has ended
        :raises FailedPreconditionError: if it was not started
        """
        number = signal_number(signal)
        container_id, exec_id = self._key()
        async with state_named(f"signal {number} cannot be sent", self.name, self.status):
            await self._session.services.tasks.kill(container_id, number, exec_id=exec_id, all=all)
        if number == signals.SIGKILL:
            self._record.kill_asked = True  # not before: a shim that died is no kill of ours

    async def stop(self, grace: float = 10.0) -> ExitStatus:
        """Ask the process to end, kill it if it has not ended ``grace`` seconds later, and return how it ended.

        A task gets the stop signal of its image, an exec SIGTERM; then both SIGKILL. If cancelled, the signal may
        have been sent, and nothing else is done.

        :raises FailedPreconditionError: if it was never started
        :raises ProcessLostError: if it has ended, and how cannot be learned any more
        """
        if not grace >= 0:
            raise InvalidArgumentError(f"grace is a number of seconds, not {grace}")
        exited = self.wait()
        try:
            if not exited.done():
                await self._ask_to_end()
                with anyio.move_on_after(grace):
                    await asyncio.wait([exited])
            if not exited.done():
                await self._end()
            return await exited
        finally:
            exited.cancel()

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the process's terminal, in characters; without a terminal it changes nothing.

        Before ``start()`` it works for a task, and an exec takes no notice: give its ``size`` with ``pipes()``.

        :raises InvalidArgumentError: for a size that no terminal has
        :raises FailedPreconditionError: if the process has ended
        :raises NotFoundError: if the process was deleted
        """
        check_terminal_size(width, height)
        container_id, exec_id = self._key()
        async with state_named("its terminal cannot be resized", self.name, self.status):
            await self._session.services.tasks.resize_pty(container_id, width, height, exec_id=exec_id)

    async def close_io(self, stdin: bool = True) -> None:
        """End the process's input: our writer is closed, and the shim told to close its own.

        A terminal is hung up by that, and output that was under way is lost; there ``stdin.aclose()`` is better,
        which types Ctrl-D.

        :raises NotFoundError: if the process was deleted
        """
        if not stdin:
            return
        self._stdio.close_stdin()
        container_id, exec_id = self._key()
        await self._session.services.tasks.close_io(container_id, exec_id=exec_id)

    async def delete(self, *, kill: bool = False) -> ExitStatus | None:
        """Remove the ended process from containerd and return how it ended, ``None`` if it was never started.

        What it wrote and nobody read yet is kept in memory (1 MiB a stream at most) and can be read afterwards.
        ``kill`` kills it first, a paused one too, and waits for its end. If cancelled, it may or may not be deleted;
        calling again is safe.

        :raises FailedPreconditionError: if it is running or paused
        :raises NotFoundError: if somebody else deleted it, and how it ended is not known
        """
        # Once it is deleted its ids may be another's, and a second Delete would hit that one.
        if self._record.phase is not Phase.DELETED:
            await self._delete(kill=kill)
        await self._stdio.aclose()
        outcome = self._record.outcome
        return outcome if isinstance(outcome, ExitStatus) else None

    async def _delete(self, *, kill: bool) -> None:
        if kill:
            await self._end()
        try:
            if not self._record.settled:
                await self._refuse_unended()
        except NotFoundError:
            if not isinstance(self._record.outcome, ExitStatus):
                raise
        reply = await self._delete_drained()
        if reply is None:
            self._record.phase = Phase.DELETED
        else:
            self._session.exits.deleted(self._record, reply.code, reply.exited_at_ns)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await cleaned_up(self._cleanup, error, f"{self._record.key} could not be removed")

    async def _cleanup(self) -> None:
        try:
            if self._owned:
                await self.delete(kill=True)
        except NotFoundError:
            await self._stdio.aclose()
        finally:
            # Whatever failed: nothing of ours stays open. The FIFOs stay where the process may still use them.
            await self._stdio.aclose(unlink=False)

    async def _end(self) -> None:
        """Kill the process if it runs, and wait for its end."""
        if not self._record.settled and self._record.phase is Phase.CREATED:
            try:
                await self.status()  # somebody else may have started it
            except NotFoundError:
                return
        if self._record.settled or self._record.phase is not Phase.STARTED:
            return
        exited = self.wait()
        try:
            await self.kill()
        except FailedPreconditionError:
            await self._session.exits.ask(self._record)
            if not self._record.settled:
                exited.cancel()
                return  # it never ran
        except NotFoundError:
            # It has ended, or is about to be reaped, or gone: in the first two cases its exit is to come.
            await self._session.exits.ask(self._record)
        await self._let_die()
        await asyncio.wait([exited])

    async def _ask_to_end(self) -> None:
        """Send the stop signal, unless the process has ended."""
        try:
            state = (await self.status()).state
            if state is ProcessState.CREATED:
                raise FailedPreconditionError(
                    f"{self._record.key} was not started, so it cannot be stopped; delete() it",
                    subject=str(self._record.key),
                )
            await self.kill(await self._stop_signal())
        except NotFoundError:
            await self._session.exits.ask(self._record)

    async def _stop_signal(self) -> int:
        return signals.SIGTERM

    async def _let_die(self) -> None:
        """A frozen process cannot die; a task thaws."""

    async def _refuse_unended(self) -> None:
        status = await self.status()
        if status.state in UNENDED:
            raise FailedPreconditionError(
                f"{self._record.key} is {status.state}; wait for its end, kill() it, or delete(kill=True)",
                subject=str(self._record.key),
            )

    async def _delete_drained(self) -> DeletedProcess | None:
        """Delete while reading what is left: the shim waits for its output to be taken.

        Returns ``None`` where containerd does not know the process any more, but we know how it ended.
        """
        reply: DeletedProcess | None = None
        failure: ContainerdError | None = None
        self._record.deleting = True
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._stdio.drain, math.inf)
                try:
                    reply = await self._delete_rpc()
                except ContainerdError as error:
                    failure = error
                group.cancel_scope.deadline = anyio.current_time() + _LAST_OUTPUT_SECONDS
        finally:
            self._record.deleting = False
        if failure is not None and not (isinstance(failure, NotFoundError) and self._record.settled):
            async with state_named("it cannot be deleted", self.name, self.status, allowed=DELETABLE):
                raise failure
        await self._stdio.drain(0)
        return reply

    async def _delete_rpc(self) -> DeletedProcess:
        return await self._session.services.tasks.delete_process(*self._record.key)

    async def _stdin_closed(self) -> None:
        container_id, exec_id = self._record.key
        try:
            await self._session.services.tasks.close_io(container_id, exec_id=exec_id)
        except NotFoundError:
            pass  # it ended by itself, and nobody reads its input any more

    def _key(self) -> ProcessKey:
        """Return the ids, as long as they are this process's."""
        if self._record.phase is Phase.DELETED:
            raise NotFoundError(f"{self._record.key} was deleted", subject=str(self._record.key))
        return self._record.key

    async def _not_started(self, error: ContainerdError) -> ContainerdError:
        """Turn what Start answered into the error to raise, and fail the waits with it."""
        failure = error
        if isinstance(error, UnknownError):
            state = await self._state_after_failure()
            if state in UNENDED:
                return FailedPreconditionError(
                    f"{self._record.key} cannot be started: it is {state}, somebody else has started it",
                    method=error.method,
                    subject=error.subject,
                    server_message=error.server_message,
                )
            failure = start_failed(self._record.key, error)
        self._record.start_failed(failure)
        await self._stdio.aclose()
        return failure

    async def _state_after_failure(self) -> ProcessState:
        try:
            answer = await self._session.services.tasks.get(*self._record.key)
        except ContainerdError:
            return ProcessState.UNKNOWN
        if answer.status.state is not ProcessState.CREATED:
            self._record.start_unanswered()
            self._record.answered(answer)
        return answer.status.state

    async def _undo_start(self) -> None:
        """Nobody waits for Start's answer any more: what it may have started is killed."""
        if self._record.phase is Phase.STARTING:
            self._record.start_unanswered()
        try:
            await self._end()
        except ContainerdError:
            pass  # containerd is gone; the waits go on
        await self._stdio.aclose()
