"""What a process reads, as a byte stream: the write end of a FIFO.

Closing is the hard part. The shim holds a write end of its own, which it gives up only when it is told by the
CloseIO call, and it can be told only when the process is started; so an earlier close is remembered.

A terminal is never told: at the end of its input the shim shuts the whole terminal, and output that it had not
passed on is lost (seen on 1.6, 1.7 and 2.1). There the end is typed, as a person would: Ctrl-D.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteSendStream
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from containerd_aio.errors import NotFoundError
from containerd_aio.stdio import fifo
from containerd_aio.stdio.readiness import Readiness
from containerd_aio.types import ExitStatus

_CTRL_D: Final = b"\x04"

_DELAYS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, *(0.05,) * 40)
"""Pauses, in seconds, between looks for the shim's read end: it opens it in a goroutine, some time after."""


class FifoSendStream(ByteSendStream):
    """The input of a process.

    It can be written to before ``start()``: the FIFO holds it (512 KiB for root, else 64 KiB), and then
    ``send()`` waits until the process reads.
    """

    def __init__(self, path: str, *, terminal: bool = False) -> None:
        """Open the write end of the FIFO at ``path``, and hold a stand-in for its reader.

        ``terminal``: what is sent is typed at the process's terminal.
        """
        self._path = path
        self._terminal = terminal
        self._last = b"\n"  # byte that was sent
        self._descriptor: int | None
        self._stand_in: int | None
        self._descriptor, self._stand_in = fifo.open_writer(path)
        self._writable = Readiness(self._descriptor, write=True)
        self._guard = anyio.ResourceGuard("sending to")
        self._live = False  # the shim has its read end
        self._closed = False
        self._calls = 0
        self._close_io: Callable[[], Awaitable[None]] | None = None
        self._exited: Callable[[], asyncio.Future[ExitStatus]] | None = None

    async def send(self, item: bytes) -> None:
        """Write all of ``item``; waits while the process does not read. Cancelled, a part may be written.

        :raises anyio.BrokenResourceError: if no process can read it any more, or it ends while this waits
        :raises anyio.ClosedResourceError: if this stream was closed
        :raises anyio.BusyResourceError: if another task is sending to it
        """
        if self._closed:
            raise anyio.ClosedResourceError
        with self._guard:
            await self._give_way()
            rest = memoryview(item).cast("B")
            while rest:
                if self._closed:
                    raise anyio.ClosedResourceError
                if written := self._write(rest):
                    self._last = bytes(rest[written - 1 : written])
                rest = rest[written:]
                if rest:  # the FIFO is full
                    await self._room()

    async def aclose(self) -> None:
        """Close the input: the process finds its end when it has read what was sent.

        Before ``start()`` this is remembered and done by it. Cancelled, or failed on the way to containerd, it
        can be called again. At a terminal Ctrl-D is typed (twice in the middle of a line, where one only ends
        the line), and what reads there may take it for the end or, in raw mode, for a key. Should the FIFO be full,
        that waits for room.

        :raises ContainerdError: if containerd could not be told; that the process is gone is no error
        """
        self._closed = True
        self._writable.stop()
        if not self._live:
            return
        if self._terminal:
            await self._type_end()
            self._close_descriptors()
        else:
            self._close_descriptors()
            await self._tell()

    # What follows is for the owner of the stream (OpenStdio).

    def on_closed(self, close_io: Callable[[], Awaitable[None]]) -> None:
        """Have ``close_io`` called when the stream is closed and the process started."""
        self._close_io = close_io

    def on_exit(self, exited: Callable[[], asyncio.Future[ExitStatus]]) -> None:
        """Have ``exited()`` asked for a Future of the process's end while somebody waits for room."""
        self._exited = exited

    async def reader_has_come(self) -> None:
        """Start answered: drop the stand-in as soon as the shim has opened its end, in two seconds at most.

        Not finding it is no error here, since the process runs; ``send()`` will tell.

        :raises ContainerdError: if the stream was closed before and containerd could not be told now
        """
        for delay in _DELAYS:
            if self._live or self._shim_reads():
                break
            await anyio.sleep(delay)
        self._live = True
        self._drop_stand_in()
        if self._closed:
            await self.aclose()

    def reader_has_gone(self) -> None:
        """The process has ended before this was opened: nobody will come, and ``send()`` tells so."""
        self._live = True
        self._drop_stand_in()

    def close_early(self) -> bool:
        """Close the stream once the shim has come; ``False`` if it has, or this is closed for good."""
        if self._live or self._descriptor is None:
            return False
        self._closed = True
        self._writable.stop()
        return True

    def detach(self) -> None:
        """Close our end, and do not tell containerd: the process's input stays as it is."""
        self._closed = True
        self._close_io = None
        self._writable.stop()
        self._close_descriptors()

    async def _give_way(self) -> None:
        """Let others run, and a cancellation in, before anything is written. A turn of the event loop costs as
        much as writing 64 KiB, so only each eighth call takes one; the others only look for a cancellation."""
        self._calls += 1
        if self._calls % 8:
            await checkpoint_if_cancelled()
        else:
            await checkpoint()

    async def _type_end(self) -> None:
        """Type the end, unless that was done or nobody reads any more."""
        end = _CTRL_D if self._last in (b"\n", b"\r") else _CTRL_D * 2
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while not self._write(memoryview(end)):
                await self._room()

    async def _room(self) -> None:
        """Wait until the FIFO, which is full, takes something.

        The shim would never tell that nobody reads it any more: it holds the process's pipe open until Delete.

        :raises anyio.BrokenResourceError: if the process ends first
        """
        if self._exited is None:
            await self._writable.wait()
            return
        exited = self._exited()
        exited.add_done_callback(self._wake)
        try:
            if not exited.done():
                await self._writable.wait()
            if exited.done():
                raise anyio.BrokenResourceError("the process has ended") from exited.exception()
        finally:
            exited.remove_done_callback(self._wake)
            exited.cancel()

    def _wake(self, _: asyncio.Future[ExitStatus]) -> None:
        self._writable.stop()

    def _shim_reads(self) -> bool:
        """Look whether the FIFO has a reader besides the stand-in.

        What was sent stays in the FIFO meanwhile: our write end keeps it alive. Nothing else of this process
        runs in between, so nobody meets a FIFO without a reader.
        """
        if self._descriptor is None:
            return True
        self._drop_stand_in()
        if fifo.has_reader(self._path):
            return True
        try:
            self._stand_in = fifo.open_stand_in_reader(self._path)
        except NotFoundError:
            return True  # removed under us: nobody will come
        return False

    def _write(self, data: memoryview) -> int:
        """Write what fits now and return its length."""
        if self._descriptor is None:
            raise anyio.ClosedResourceError
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise anyio.BrokenResourceError("nobody reads the input of this process any more") from error

    async def _tell(self) -> None:
        close_io = self._close_io
        if close_io is None:
            return
        with suppress(NotFoundError):  # it has ended: nobody is left to tell
            await close_io()
        self._close_io = None

    def _drop_stand_in(self) -> None:
        if self._stand_in is not None:
            os.close(self._stand_in)
            self._stand_in = None

    def _close_descriptors(self) -> None:
        self._drop_stand_in()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __repr__(self) -> str:
        return f"<FifoSendStream {self._path}>"

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._close_descriptors()
