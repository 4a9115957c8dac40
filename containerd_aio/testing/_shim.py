"""The shim's ends of a process's standard streams, opened as containerd's shim opens them.

Each output is opened to write, which waits for a reader (30 s at most), and to read, so that the process gets no
SIGPIPE when the reader goes: it waits instead, once the FIFO is full. Stdin is opened to read, and to write: that
end is closed by CloseIO only, so a reader sees the end when CloseIO came and all other writers are gone. All
without threads: a FIFO that has no reader yet is tried again.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from urllib.parse import urlsplit

from containerd_aio.testing._statuses import unknown

_PATIENCE = 30.0
_PAUSE = 0.005
_CHUNK = 65536


class _End:
    """One open descriptor. It can be waited for until it is closed, which also ends the waiting."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._waiting: asyncio.Future[None] | None = None

    async def readable(self) -> None:
        await self._wait(asyncio.get_running_loop().add_reader)

    async def writable(self) -> None:
        await self._wait(asyncio.get_running_loop().add_writer)

    def close(self) -> None:
        self._let_go()
        os.close(self.descriptor)

    async def _wait(self, watch: Callable[..., None]) -> None:
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        watch(self.descriptor, _set, waiting)
        try:
            await waiting
        finally:
            if self._waiting is waiting:  # else it is closed, and its number may be another's
                self._let_go()

    def _let_go(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            loop = waiting.get_loop()
            loop.remove_reader(self.descriptor)
            loop.remove_writer(self.descriptor)
            _set(waiting)


class Output:
    """Where a process's stdout or stderr goes: a FIFO, a log file, or nowhere."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: _End | None = None
        self._reader: _End | None = None

    async def open(self) -> None:
        """Open it; waits until somebody reads the FIFO.

        :raises GRPCError: UNKNOWN for what a shim cannot write to
        """
        url = urlsplit(self._path)
        if self._path in ("", os.devnull):
            return
        if url.scheme == "file":
            self._writer = _End(os.open(url.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        elif url.scheme not in ("", "fifo"):
            raise unknown(f"the fake knows no log scheme {url.scheme!r}")
        elif not stat.S_ISFIFO(os.stat(url.path).st_mode):
            self._writer = _End(os.open(url.path, os.O_WRONLY | os.O_APPEND))
        else:
            self._writer = _End(await _open_writer(url.path))
            self._reader = _End(os.open(url.path, os.O_RDONLY | os.O_NONBLOCK))

    async def write(self, data: bytes) -> None:
        """Write as the process does: waits while the FIFO is full. What was not written when it closes is lost."""
        rest = memoryview(data)
        while rest and self._writer is not None:
            try:
                rest = rest[os.write(self._writer.descriptor, rest) :]
            except BlockingIOError:
                await self._writer.writable()

    def close(self) -> None:
        """The process has ended."""
        for end in (self._writer, self._reader):
            if end is not None:
                end.close()
        self._writer = self._reader = None


class Input:
    """Where a process's stdin comes from: a FIFO, or nowhere, which ends at once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reader: _End | None = None
        self._writer: _End | None = None

    def open(self) -> None:
        """Open it."""
        if self._path and stat.S_ISFIFO(os.stat(self._path).st_mode):
            self._reader = _End(os.open(self._path, os.O_RDONLY | os.O_NONBLOCK))
            self._writer = _End(os.open(self._path, os.O_WRONLY | os.O_NONBLOCK))

    async def read(self) -> bytes:
        """Return the next bytes, none at the end."""
        while self._reader is not None:
            try:
                return os.read(self._reader.descriptor, _CHUNK)
            except BlockingIOError:
                await self._reader.readable()
        return b""

    def close_io(self) -> None:
        """The shim's own writer goes: what CloseIO does."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def close(self) -> None:
        """The process has ended."""
        self.close_io()
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class ShimStreams:
    """The three streams of one process."""

    def __init__(self, stdin: str, stdout: str, stderr: str, *, terminal: bool) -> None:
        self.stdin = Input(stdin)
        self.stdout = Output(stdout)
        self.stderr = Output("" if terminal else stderr)

    async def open(self) -> None:
        """Open them; nothing stays open if that fails or is cancelled."""
        try:
            self.stdin.open()
            await self.stdout.open()
            await self.stderr.open()
        except OSError as error:
            self.close()
            raise unknown(f"failed to open the process's streams: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close them; again does nothing."""
        self.stdin.close()
        self.stdout.close()
        self.stderr.close()


async def _open_writer(path: str) -> int:
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                except OSError as error:
                    if error.errno != errno.ENXIO:
                        raise
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise unknown(f"context deadline exceeded: nobody reads {path}") from None


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
