"""This process's own stdin, stdout and stderr as byte streams, without changing them for anybody else.

A descriptor that the shell gave us is shared with the shell: O_NONBLOCK set on it would break other programs. So
pipes and terminals are opened once more, through ``/proc/self/fd``, and only that descriptor is non-blocking.
Where that is refused (sockets; a terminal of another user, after ``su``), we wait until the descriptor is ready
and then read what is there, or write so little that it is taken at once. What cannot be waited for (regular
files, ``/dev/null``) never waits for anybody else either: it is read and written by a worker thread, since a
disk may be slow.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

from containerd_aio._transport.completion import completed
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.readiness import Readiness

A = TypeVar("A")
T = TypeVar("T")

_CHUNK: Final = 64 * 1024
_PTMX: Final = os.makedev(5, 2)


class DescriptorSource(ByteReceiveStream):
    """Reads what a descriptor of this process is open on."""

    def __init__(self, descriptor: int) -> None:
        """:raises InvalidArgumentError: if the descriptor is not open for reading"""
        self._port = _open(descriptor, os.O_RDONLY)

    async def receive(self, max_bytes: int = _CHUNK) -> bytes:
        """Return the next bytes; if cancelled while it waits, none is lost.

        :raises anyio.EndOfStream: at the end; a terminal that was hung up is at its end
        :raises OSError: if reading fails
        """
        await checkpoint()
        try:
            chunk = await self._port.read(max_bytes)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            chunk = b""
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    def close(self) -> None:
        """Close our descriptor; the one that was given stays as it is."""
        self._port.close()

    async def aclose(self) -> None:
        """The same, as streams spell it."""
        self.close()


class DescriptorSink(ByteSendStream):
    """Writes to what a descriptor of this process is open on."""

    def __init__(self, descriptor: int) -> None:
        """:raises InvalidArgumentError: if the descriptor is not open for writing"""
        self._port = _open(descriptor, os.O_WRONLY)

    async def send(self, item: bytes) -> None:
        """Write all of ``item``; waits while the other side takes nothing. Cancelled, a part may be written.

        :raises OSError: if writing fails; ``BrokenPipeError`` if nobody reads any more
        """
        rest = memoryview(item)
        while rest:
            await checkpoint()
            rest = rest[await self._port.write(rest) :]

    def close(self) -> None:
        """Close our descriptor; the one that was given stays as it is."""
        self._port.close()

    async def aclose(self) -> None:
        """The same, as streams spell it."""
        self.close()


class _OwnPort:
    """A descriptor of our own, non-blocking."""

    def __init__(self, descriptor: int, *, write: bool) -> None:
        self._descriptor = descriptor
        self._ready = Readiness(descriptor, write=write)

    async def read(self, size: int) -> bytes:
        while True:
            try:
                return os.read(self._descriptor, size)
            except BlockingIOError:
                await self._ready.wait()

    async def write(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                await self._ready.wait()

    def close(self) -> None:
        self._ready.stop()
        self._descriptor = _closed(self._descriptor)


class _SharedPort:
    """A duplicate of a descriptor, which may be blocking; ``sure`` bytes are taken at once when it is ready.

    The event loop watches an epoll of ours that watches the descriptor: uvloop sets O_NONBLOCK on whatever it is
    given, and here that would be on what the shell shares.
    """

    def __init__(self, descriptor: int, *, write: bool, sure: int) -> None:
        self._descriptor = os.dup(descriptor)
        try:
            self._epoll = select.epoll()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._epoll.register(self._descriptor, select.EPOLLOUT if write else select.EPOLLIN)
        self._ready = Readiness(self._epoll.fileno())
        self._sure = sure

    async def read(self, size: int) -> bytes:
        while True:
            await self._ready.wait()
            with suppress(BlockingIOError):  # others may have made it non-blocking
                return os.read(self._descriptor, size)

    async def write(self, data: memoryview) -> int:
        while True:
            await self._ready.wait()
            with suppress(BlockingIOError):
                return os.write(self._descriptor, data[: self._sure])

    def close(self) -> None:
        self._ready.stop()
        self._epoll.close()
        self._descriptor = _closed(self._descriptor)


class _ThreadedPort:
    """A descriptor whose calls may take a while, but end.

    They are waited for also by who is cancelled: begun when the descriptor is closed, a call would hit whatever
    file has its number then.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._limiter = anyio.CapacityLimiter(1)  # ours: not one of the threads that the program counts on

    async def read(self, size: int) -> bytes:
        return await completed(partial(self._in_thread, os.read, size))

    async def write(self, data: memoryview) -> int:
        return await completed(partial(self._in_thread, os.write, data))

    async def _in_thread(self, call: Callable[[int, A], T], argument: A) -> T:
        return await anyio.to_thread.run_sync(call, self._descriptor, argument, limiter=self._limiter)

    def close(self) -> None:
        self._descriptor = _closed(self._descriptor)


def _open(descriptor: int, access: int) -> _OwnPort | _SharedPort | _ThreadedPort:
    """Open, or duplicate, what ``descriptor`` is open on, in the way that suits it."""
    _check_access(descriptor, access)
    if not _can_be_polled(descriptor):
        return _ThreadedPort(os.dup(descriptor))
    write = access == os.O_WRONLY
    status = os.fstat(descriptor)
    if stat.S_ISFIFO(status.st_mode) or (os.isatty(descriptor) and status.st_rdev != _PTMX):
        try:
            # Never of a pty's master: opening /dev/ptmx makes a new pty.
            own = os.open(f"/proc/self/fd/{descriptor}", access | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            pass
        else:
            return _OwnPort(own, write=write)
    # A pipe that is ready takes PIPE_BUF bytes, a socket more. A terminal promises one byte, but it is not
    # ready while its output is stopped, so a few more only wait until the window has drawn some.
    sure = 256 if os.isatty(descriptor) else select.PIPE_BUF
    return _SharedPort(descriptor, write=write, sure=sure)


def _closed(descriptor: int) -> int:
    """Close it, unless that was done, and return what is no descriptor."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _check_access(descriptor: int, access: int) -> None:
    what = "writing" if access == os.O_WRONLY else "reading"
    try:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError as error:
        raise InvalidArgumentError(f"descriptor {descriptor} is not open") from error
    if mode not in (access, os.O_RDWR):
        raise InvalidArgumentError(f"descriptor {descriptor} is not open for {what}")


def _can_be_polled(descriptor: int) -> bool:
    with select.epoll() as epoll:
        try:
            epoll.register(descriptor)
        except PermissionError:
            return False
    return True
