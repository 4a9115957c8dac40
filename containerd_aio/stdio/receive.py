"""What a process writes, as a byte stream: the read end of a FIFO.

Two things read from one FIFO: the user, and the drain after the exit, which moves what is left to memory so
that the FIFO can go. Both only wait for readiness and then take bytes by plain calls, so whoever is cancelled
has taken nothing, and memory is always older than the FIFO: the order of the bytes is kept.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from containerd_aio.stdio import fifo
from containerd_aio.stdio.readiness import Readiness

KEPT_BYTES: Final = 1024 * 1024
"""What is kept in memory of a stream that nobody has read when its process is deleted."""

_CHUNK: Final = 64 * 1024


class FifoReceiveStream(ByteReceiveStream):
    """The output of a process, read as it comes.

    Back-pressure: where nobody reads, the FIFO fills up (512 KiB for root, else 64 KiB) and then the process
    waits in its write; it cannot exit before somebody reads on. After ``delete()`` what had not been read, at
    most 1 MiB, can still be received.
    """

    def __init__(self, path: str, *, name: str = "output", shared: bool = False) -> None:
        """Open the read end of the FIFO at ``path``, and hold a stand-in for its writer.

        ``name`` is what the stream is called. ``shared``: somebody else may read it too, so closing must not take the bytes away from them.
        """
        self.name = name
        self._path = path
        self._shared = shared
        self._descriptor: int | None
        self._stand_in: int | None
        self._descriptor, self._stand_in = fifo.open_reader(path)
        self._readable = Readiness(self._descriptor)
        self._guard = anyio.ResourceGuard("receiving from")
        self._kept = bytearray()
        self._taken = asyncio.Event()  # something was taken out of _kept
        self._gone = asyncio.Event()  # nothing more will come out of the FIFO
        self._ended = False  # and that is where the output ends, or is cut off
        self._closed = False
        self._calls = 0
        self.taken = 0
        """How many bytes were taken out of the FIFO."""
        self.ended_at: float | None = None
        """When the end was read, by the event loop's clock."""

    async def receive(self, max_bytes: int = _CHUNK) -> bytes:
        """Return the next bytes, at least one and at most ``max_bytes``; waits until the process has written.

        If cancelled, no byte is lost: the next call returns it.

        :raises anyio.EndOfStream: when all was read and no process can write any more
        :raises anyio.ClosedResourceError: if this stream was closed
        :raises anyio.BusyResourceError: if another task is receiving from it
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        if self._closed:
            raise anyio.ClosedResourceError
        with self._guard:
            await self._give_way()
            while (chunk := self._take(max_bytes)) is None:
                await self._readable.wait()
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    async def aclose(self) -> None:
        """Read no more. What the process still writes is dropped, so that it is not held up."""
        self._closed = True
        self._kept.clear()
        self._taken.set()
        self._readable.stop()
        if self._descriptor is None:
            return
        if self._shared:
            self.abandon()
        else:
            asyncio.get_running_loop().add_reader(self._descriptor, self._drop)

    # What follows is for the owner of the stream (OpenStdio).

    @property
    def full(self) -> bool:
        """Whether the process must wait in its next write until somebody receives."""
        if self._descriptor is None:
            return False
        with suppress(OSError):  # no descriptor left to look with
            return fifo.is_full(self._descriptor)
        return False

    @property
    def done(self) -> bool:
        """Whether nothing more is to be read: the output ended, was cut off, or nobody wants it."""
        return self._ended or self._closed

    def writer_has_come(self) -> None:
        """Drop the stand-in: from now on the FIFO ends when its last writer goes."""
        if self._stand_in is not None:
            os.close(self._stand_in)
            self._stand_in = None

    async def drain(self) -> None:
        """Move what comes to memory until the output ends; with 1 MiB there, wait for somebody to receive.

        It may never end (a process left behind can hold the FIFO open): bound it.
        """
        while not self._gone.is_set():
            if self._closed:
                await self._gone.wait()
            elif len(self._kept) >= KEPT_BYTES:
                self._taken.clear()
                await self._taken.wait()
            elif self._fill():
                await checkpoint()
            else:
                await self._readable.wait()

    def cut(self) -> bool:
        """End the output here, after what the FIFO holds now (1 MiB in memory at most), if it has not ended.

        Returns whether all of it that was wanted came.
        """
        while not (self.done or self._gone.is_set()) and self._fill():
            pass
        whole = self.done
        self.abandon()
        self._ended = True
        return whole

    def abandon(self) -> None:
        """Close the descriptors; what is in memory can still be received."""
        if self._descriptor is None:
            return
        self._readable.stop()
        if self._closed and not self._shared:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._close_descriptors()
        self._gone.set()
        self._taken.set()

    async def _give_way(self) -> None:
        """Let others run, and a cancellation in, before anything is taken. A turn of the event loop costs as
        much as reading 64 KiB, so only each eighth call takes one; the others only look for a cancellation."""
        self._calls += 1
        if self._calls % 8:
            await checkpoint_if_cancelled()
        else:
            await checkpoint()

    def _take(self, size: int) -> bytes | None:
        """Take bytes from memory, else from the FIFO; ``None`` if there are none yet, ``b""`` at the end."""
        if self._closed:
            raise anyio.ClosedResourceError
        if self._kept:
            chunk = bytes(self._kept[:size])
            del self._kept[:size]
            self._taken.set()
            return chunk
        if self._ended:
            return b""
        return self._read(size)

    def _fill(self) -> bool:
        """Move bytes from the FIFO to memory; ``False`` if there are none, or no room for any."""
        room = min(_CHUNK, KEPT_BYTES - len(self._kept))
        chunk = self._read(room) if room else None
        self._kept += chunk or b""
        return chunk is not None

    def _read(self, size: int) -> bytes | None:
        """Read from the FIFO; ``None`` if there is nothing yet, ``b""`` at the end."""
        if self._descriptor is None:
            raise anyio.ClosedResourceError
        try:
            chunk = os.read(self._descriptor, size)
        except BlockingIOError:
            return None
        self.taken += len(chunk)
        if not chunk:
            self._ended = True
            self.ended_at = asyncio.get_running_loop().time()
            self.abandon()
        return chunk

    def _drop(self) -> None:
        """Called by the event loop when there is something to read that nobody wants."""
        self._read(_CHUNK)

    def _close_descriptors(self) -> None:
        self.writer_has_come()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __repr__(self) -> str:
        return f"<FifoReceiveStream {self._path}>"

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=1, source=self)
            self._close_descriptors()
