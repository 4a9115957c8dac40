"""A process in a container: an exec, and what a task's init has in common with it."""

from __future__ import annotations

import asyncio
import signal as signals
from types import TracebackType
from typing import Self

from anyio.abc import ByteReceiveStream, ByteSendStream

from containerd_aio._exits.record import ExitRecord
from containerd_aio._process.calls import ProcessCalls
from containerd_aio._process.ending import Ending
from containerd_aio._process.starting import Starting
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up
from containerd_aio.errors import ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.stdio import LineStream, OpenStdio, OutputStream, check_terminal_size
from containerd_aio.stdio.output import MAX_LINE, output_of
from containerd_aio.types import ExitStatus, Status
from containerd_aio.types.signal import signal_number


class Process:
    """A process in a container, made by ``task.exec()``; ``Task`` is the container's init.

    As ``async with`` block, a process that was made here is killed if it has not ended, and deleted, as ``delete()``
    does it; where an error or a cancellation ends the block, that takes 15 s at most. One that was loaded is only
    let go.
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
        self._calls = ProcessCalls(session, record)
        self._ending = Ending(self._calls, stdio)
        self._starting = Starting(self._calls, stdio, self._ending)
        self._output: OutputStream | None = None
        self._lines: LineStream | None = None
        stdio.on_stdin_closed(self._stdin_closed)
        stdio.on_resize(self.resize)
        stdio.on_exit(self.wait)

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
        waits. Called again it returns the same stream: a second loop goes on where the first one stopped.

        :raises InvalidArgumentError: if neither output is piped
        """
        if self._output is None:
            self._output = output_of(self.name, self.stdout, self.stderr)
        return self._output

    def lines(self, *, max_line: int = MAX_LINE) -> LineStream:
        r"""Return both outputs as one stream of lines as they come, each with its ``\n``; else as ``output()``.

        A line of more than ``max_line`` bytes comes in pieces. What this has taken, ``output()`` does not have.

        :raises InvalidArgumentError: if neither output is piped, or ``max_line`` is less than 1
        """
        if self._lines is None:
            self._lines = LineStream(self.output())
        self._lines.max_line = max_line
        return self._lines

    def wait(self) -> asyncio.Future[ExitStatus]:
        """Return a Future of how the process ends.

        A plain call, any number of times, before ``start()`` and after ``delete()`` as well: each caller has a
        Future of its own, and cancelling it cancels nobody else's. It waits across restarts of containerd.

        A process that writes more than its FIFO holds ends only when that is read, or the stream closed. Where it
        waits for that, ``stdio.full`` tells, and after 10 s a warning is logged.

        The Future fails with ``ProcessLostError`` if the exit can no longer be learned, ``StartFailedError`` if
        the process never ran, ``ClientClosedError`` if the client is closed first.

        :raises RuntimeError: from another event loop than the client's
        """
        exited = self._session.exits.wait(self._record)
        self._stdio.awaited(exited, self.name)
        return exited

    async def start(self) -> None:
        """Run the process; returns when it runs (it may have ended already).

        If cancelled, the process is killed, should it have been started; its stdio is closed.

        :raises StartFailedError: if the runtime could not start it; the message has runc's reason
        :raises FailedPreconditionError: if it was started before, by whomever
        :raises ConnectionLostError: if containerd went away: it may run or not, ``status()`` tells. A task that is
            still created may be started again; an exec not, for the shim would die of it: delete it and add another
        """
        await self._starting.start()

    async def status(self) -> Status:
        """Ask containerd for the state, with the exit status where it is stopped.

        :raises NotFoundError: if the process was deleted
        """
        return await self._calls.status()

    async def kill(self, signal: int | str = signals.SIGKILL, *, all: bool = False) -> None:
        """Send a signal, by number or name (``SIGTERM``, ``term``, ``RTMIN+3``).

        containerd knows a process by its ids alone. So it is asked first whether they are this process's still; it
        cannot be kept from giving them to another one between that and the signal.

        ``all``, for a task only, sends it to every process of the container, also to those that a task without a
        pid namespace of its own has left behind. Returns when it is sent: ``wait()`` tells of the end. What is
        paused takes a signal when it is resumed, but a task that is to be killed is thawed by runc.

        :raises NotFoundError: if the process has ended, but for a task with ``all``
        :raises FailedPreconditionError: if it is an exec that was not started
        :raises InvalidArgumentError: if there is no such signal, or ``all`` is for an exec
        """
        number = signal_number(signal)
        if all and self._calls.is_exec:
            raise InvalidArgumentError(f"all=True is for a task: {self.name} is one process")
        await self._calls.kill(number, all=all)

    async def stop(self, grace: float = 10.0) -> ExitStatus:
        """Ask the process to end, kill it if it has not ended ``grace`` seconds later, and return how it ended.

        A task is asked by the stop signal of its image (the container's label
        ``io.containerd.image.config.stop-signal``, SIGTERM without one), an exec by SIGTERM. A paused task is
        resumed, or it could not do as it is asked. If cancelled, the signal may have been sent, and nothing else is
        done.

        :raises FailedPreconditionError: if it was never started, or is an exec of a paused task
        :raises ProcessLostError: if it has ended, and how cannot be learned any more
        """
        if not grace >= 0:
            raise InvalidArgumentError(f"grace is a number of seconds, not {grace}")
        return await self._ending.stop(grace)

    async def resize(self, width: int, height: int) -> None:
        """Set the size of the process's terminal, in characters; without a terminal it changes nothing.

        Before ``start()`` it works for a task, and an exec takes no notice: give its ``size`` with ``pipes()``.

        :raises InvalidArgumentError: for a size that no terminal has
        :raises FailedPreconditionError: if the process has ended
        :raises NotFoundError: if the process was deleted
        """
        check_terminal_size(width, height)
        await self._calls.resize(width, height)

    async def close_io(self, stdin: bool = True) -> None:
        """End the process's input: our writer is closed, and the shim told to close its own.

        A terminal is hung up by that, and output that was under way is lost; there ``stdin.aclose()`` is better,
        which types Ctrl-D. Of an exec that is not started yet, ``start()`` does it.

        :raises NotFoundError: if the process was deleted
        """
        if not stdin:
            return
        if self._calls.is_exec and self._stdio.close_stdin_early():
            return  # the shim would take the call, and do nothing: it opens an exec's stdin when it starts it
        self._stdio.close_stdin()
        await self._calls.close_stdin()

    async def delete(self, *, kill: bool = False) -> ExitStatus | None:
        """Remove the ended process from containerd and return how it ended, ``None`` if it never ran, or if that
        cannot be learned any more: then ``wait()`` tells why. That it is gone already is no error, and another process
        that has its ids by now is left alone, as with ``kill()``.

        What it wrote and nobody read yet is kept in memory (1 MiB a stream at most) and can be read afterwards; what
        is copied elsewhere (``inherit()``, ``streams()``) is waited for.
        ``kill`` kills it first, a paused one too, and waits for its end. If cancelled, it may or may not be deleted;
        calling again is safe.

        :raises FailedPreconditionError: if it is running or paused; with ``kill``, if it is an exec of a paused task
            that cannot die before that is resumed (cgroup v1)
        :raises NotFoundError: if it is gone, and containerd cannot be asked now how it ended
        """
        await self._ending.delete(kill=kill)
        await self._stdio.aclose()
        outcome = self._record.outcome
        return outcome if isinstance(outcome, ExitStatus) else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        failure = error
        try:
            if error is None and self._owned and isinstance(self._record.outcome, ExitStatus):
                await (
                    self.delete()
                )  # not in a hurry: our own streams may be slow to take the last of the output
        except ContainerdError:
            pass  # the cleanup meets it again, and makes what it can of it
        except BaseException as raised:
            failure = raised
            raise
        finally:
            await cleaned_up(self._cleanup, failure, f"{self._record.key} could not be removed")

    async def _cleanup(self) -> None:
        self._stdio.hurry()
        try:
            if self._owned:
                await self.delete(kill=True)
        except NotFoundError:
            await self._stdio.aclose()
        finally:
            # Whatever failed: nothing of ours stays open. The FIFOs stay where somebody may still want them.
            await self._stdio.aclose(unlink=self._owned and self._record.kill_asked)

    async def _stdin_closed(self) -> None:
        try:
            await self._calls.close_stdin()
        except NotFoundError:
            pass  # it ended, and nobody reads its input any more; deleted, its ids may be another's
