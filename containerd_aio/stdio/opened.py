"""The open streams of one process, from before its Create or Exec until after its Delete.

The order is the hard part; whoever runs the process calls, in this order: ``started()`` when Start has
answered, ``drain()`` when the process has ended, ``aclose()`` when it is deleted. Each may be left out, called
again, or cancelled and called again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from containerd_aio.errors import ContainerdError
from containerd_aio.stdio.console import Resize
from containerd_aio.stdio.ends import Ends, StdioPaths
from containerd_aio.stdio.pump import finished
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.stdio.stall import Stall
from containerd_aio.types import ExitStatus

SHIM_DRAINS: Final = (2.0, 10.0)
"""How long, in seconds, the shim lets outputs end after Delete before it closes them: 2 s, and 10 s from
containerd 1.7.29, 2.0.7, 2.1.5 and 2.2.0 on."""

_LATE: Final = 2.0
"""How much later, at most, that shows here."""

PATIENCE: Final = 10.0
"""How long, in seconds, what an output is copied to may take nothing before the rest is cut off."""

HURRY: Final = 2.0
"""The same, where a block is left."""


class OpenStdio:
    """The standard streams of one process, open.

    ``stdin_path``, ``stdout_path``, ``stderr_path`` and ``terminal`` go into Create or Exec. ``stdin``,
    ``stdout`` and ``stderr`` are the user's streams, ``None`` where not piped.
    """

    def __init__(
        self,
        paths: StdioPaths,
        ends: Ends,
        *,
        terminal: bool,
        size: tuple[int, int] | None = None,
        redraw: bool = False,
        patience: float = PATIENCE,
        stdin: ByteSendStream | None = None,
        stdout: ByteReceiveStream | None = None,
        stderr: ByteReceiveStream | None = None,
        remove: Callable[[], None] | None = None,
    ) -> None:
        self.stdin_path = paths.stdin
        self.stdout_path = paths.stdout
        self.stderr_path = paths.stderr
        self.terminal = terminal
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._ends = ends
        self._size = size
        self._redraw = redraw
        self._patience = patience
        self._unhurried: set[anyio.CancelScope] = (
            set()
        )  # drains that wait for what their outputs are copied to
        self._resize: Resize | None = None
        self._stall = Stall(ends.piped, [reader for reader in ends.readers if reader not in ends.piped])
        self._remove = remove
        self._complete = True
        self._closed = False
        self._told = False  # aclose() has raised the failure
        self._draining_since: float | None = None

    @property
    def complete(self) -> bool:
        """Whether no output was cut off: ``False`` where a process left behind still held it open at the end
        of the drain, where more than 1 MiB was left unread, or where what it was copied to failed.

        That the shim closed an output looks like its end, and is told from it by the clock only: an output that
        ends by itself just when the shim's own drain does (2 or 10 s after Delete) counts as cut off.
        """
        return self._complete and not any(pump.failure for pump in self._ends.outputs)

    @property
    def failure(self) -> BaseException | None:
        """The first error of what the streams are copied to or from (``inherit()``, ``streams()``).

        The process is not disturbed by it: its output is dropped from there on, its input ends.
        """
        return next((pump.failure for pump in self._ends.pumps if pump.failure), None)

    @property
    def full(self) -> tuple[str, ...]:
        """The names of the outputs that take no more until they are read: where one is here, the process may be
        waiting in its write, and will not end before somebody receives from it.

        While somebody waits for the process, an output that stands still like that for 10 s is logged, once, as a
        warning of ``containerd_aio.stdio``.
        """
        return self._stall.full

    def awaited(self, future: asyncio.Future[ExitStatus], name: str) -> None:
        """Somebody waits for the process, which messages call ``name``, until ``future`` is done."""
        self._stall.awaited(future, name)

    def on_stdin_closed(self, close_io: Callable[[], Awaitable[None]]) -> None:
        """Have ``close_io`` called once our end of stdin is closed and the process started.

        It shall send CloseIO; what it raises, other than ``NotFoundError``, comes out of ``stdin.aclose()`` or
        ``started()``, and makes ``inherit()`` and ``streams()`` fail.
        """
        if self._ends.writer is not None:
            self._ends.writer.on_closed(close_io)

    @property
    def detached(self) -> asyncio.Event:
        """Set when the user has typed the ``detach_keys`` of ``inherit()``; who waits for it closes the streams."""
        return self._ends.detached

    def on_exit(self, exited: Callable[[], asyncio.Future[ExitStatus]]) -> None:
        """Have ``exited()`` asked for a Future of the process's end, of its own for each call, when it matters."""
        if self._ends.writer is not None:
            self._ends.writer.on_exit(exited)

    def on_resize(self, resize: Resize) -> None:
        """Have ``resize(width, height)`` called with the size of the terminal: by ``starting()``, where it is known,
        after ``started()``, and whenever the user's own terminal changes (``inherit()``)."""
        self._resize = resize
        if self._ends.console is not None:
            self._ends.console.on_resize(resize)

    async def starting(self) -> None:
        """Start is about to be sent: give the terminal its size, so that the process never sees another.

        That works for a container's init. An exec has no terminal before Start: its ``consoleSize`` tells runc.
        """
        if self.terminal and self._size is not None and self._resize is not None:
            with suppress(ContainerdError):  # a size is not worth the process
                await self._resize(*self._size)

    async def started(self) -> None:
        """Start has answered: let the streams end when the shim's do, and begin to copy.

        Waits until the shim has opened stdin, which is seldom later; 2 seconds at most.

        :raises ContainerdError: if stdin was closed before, and containerd could not be told now
        """
        if self._closed:
            return
        if self._ends.console is not None and not self._ends.nothing_to_show:
            self._ends.console.enter(redraw=self._redraw)  # before anything is shown
        self._begin_outputs()
        if self._ends.writer is not None:
            await self._ends.writer.reader_has_come()
        self._begin_input()

    def close_stdin(self) -> None:
        """Close our end of stdin and tell nobody; for a ``close_io()`` that sends the call itself."""
        if self._ends.writer is not None:
            self._ends.writer.detach()

    def close_stdin_early(self) -> bool:
        """Have ``started()`` close stdin, and tell; ``False`` if it has begun before, or there is no stdin here."""
        return self._ends.writer is not None and self._ends.writer.close_early()

    def deleting(self) -> None:
        """Delete is sent next: from here on the time counts that the shim gives its outputs."""
        self._draining_since = anyio.current_time()

    async def drain(self, timeout: float) -> None:
        """The process has ended: wait until its output does, ``timeout`` seconds at most, then end it.

        What the FIFOs still hold moves to memory, 1 MiB of each stream, so that the shim need not wait. Of
        ``pipes()`` it can be received afterwards, and a task that is receiving goes on doing so. Otherwise this
        waits until all of it is copied: of ``inherit()`` as long as that takes, of ``streams()`` as long as something
        is taken every 10 s. ``complete`` is ``False`` where output was cut off: another process holds it open, or
        what it is copied to takes no more.
        Begin it together with Delete, not before: only Delete makes the shim close what another process holds
        open. After a Create or Start that failed it returns at once. If cancelled, nothing is cut off.
        """
        if self._closed:
            return
        self._begin_outputs()
        if self._draining_since is None:
            self._draining_since = anyio.current_time()
        with anyio.move_on_after(timeout):
            async with anyio.create_task_group() as group:
                for reader in self._ends.readers:
                    group.start_soon(reader.drain)
        self._cut()
        if not await self._copied():
            self._complete = False

    def hurry(self) -> None:
        """From now on let a drain, also one under way, wait 2 s at most for whoever takes nothing of what is copied
        to them."""
        self._patience = min(self._patience, HURRY)
        for waiting in self._unhurried:
            waiting.cancel()
        self._unhurried.clear()

    async def aclose(self, *, unlink: bool = True) -> None:
        """Stop copying, close our ends, give the terminal back and, with ``unlink``, remove the FIFOs.

        Cancelling does not keep it from doing all of it. What a drain has moved to memory can be received
        afterwards. It may be called again, also to remove the FIFOs later.

        :raises Exception: what the user's own stream or descriptor raised while it was copied to or from; once
        """
        if not all(pump.finished.is_set() for pump in self._ends.outputs):
            self._complete = False
        async with AsyncExitStack() as steps:  # last first; each is done whatever happens to the others
            if unlink and self._remove is not None:
                steps.callback(self._remove)
            steps.callback(self._release)
            await self._stop()
        if self.failure is not None and not self._told:
            self._told = True
            raise self.failure

    async def _copied(self) -> bool:
        """Wait until all of it is copied; tell whether that is so, or patience has ended."""
        while True:
            with anyio.CancelScope() as waiting:
                self._unhurried.add(waiting)
                try:
                    return await finished(self._ends.outputs, patience=self._patience)
                finally:
                    self._unhurried.discard(waiting)

    def _begin_outputs(self) -> None:
        for reader in self._ends.readers:
            reader.writer_has_come()
        for pump in self._ends.outputs:
            pump.start()

    def _begin_input(self) -> None:
        if self._ends.input is None or self._closed:
            return
        if self._ends.console is not None and self._ends.nothing_to_show:
            return  # it has come and gone: what is typed is for whoever comes next
        self._ends.input.start()

    def _cut(self) -> None:
        whole = [reader.cut() for reader in self._ends.readers]
        if not all(whole) or any(map(self._closed_by_shim, self._ends.readers)):
            self._complete = False

    def _closed_by_shim(self, reader: FifoReceiveStream) -> bool:
        if reader.ended_at is None or self._draining_since is None:
            return False
        waited = reader.ended_at - self._draining_since
        return any(drain <= waited < drain + _LATE for drain in SHIM_DRAINS)

    async def _stop(self) -> None:
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as steps:
                if self._ends.console is not None:
                    steps.push_async_callback(self._ends.console.aclose)
                for pump in self._ends.pumps:
                    steps.push_async_callback(pump.aclose)

    def _release(self) -> None:
        if self._closed:
            return
        self._stall.stop()
        self._closed = True
        if not all(reader.done for reader in self._ends.readers):
            self._complete = False
        self._ends.release.close()
