"""The user's own streams and binary files, as what the pumps copy to and from.

anyio streams are taken as they are. A file object is used by a worker thread, since any of its calls may wait.
Neither is closed: they are the user's.
"""

from __future__ import annotations

import io
from inspect import iscoroutinefunction
from typing import Final, Protocol

import anyio
import anyio.to_thread
from anyio.abc import ByteReceiveStream, ByteSendStream, ObjectReceiveStream, ObjectSendStream

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.pump import Sink, Source

_CHUNK: Final = 64 * 1024


class ReadableFile(Protocol):
    """A binary file to read from: ``open(path, "rb")``, ``io.BytesIO(data)``."""

    def read(self, size: int, /) -> bytes | None: ...


class WritableFile(Protocol):
    """A binary file to write to: ``open(path, "wb")``, ``io.BytesIO()``, ``sys.stdout.buffer``."""

    def write(self, data: bytes, /) -> int | None: ...


class _FileSource(ByteReceiveStream):
    """Reads a file object. A call that waits (a pipe, a terminal) cannot be stopped: when the process ends it is
    left behind in its thread, and what it reads then is lost."""

    def __init__(self, file: ReadableFile) -> None:
        self._read = getattr(file, "read1", file.read)  # read() of a buffered pipe waits for all 64 KiB
        self._limiter = anyio.CapacityLimiter(1)

    async def receive(self, max_bytes: int = _CHUNK) -> bytes:
        chunk: bytes | None = await anyio.to_thread.run_sync(
            self._read, max_bytes, limiter=self._limiter, abandon_on_cancel=True
        )
        if chunk is None:
            raise BlockingIOError("the file for stdin is non-blocking; give an anyio stream instead")
        if not chunk:
            raise anyio.EndOfStream
        return chunk

    async def aclose(self) -> None:
        """Nothing: the file is the user's."""


class _FileSink(ByteSendStream):
    """Writes to a file object, and flushes it each time, so that output shows as it comes."""

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._limiter = anyio.CapacityLimiter(1)

    async def send(self, item: bytes) -> None:
        await anyio.to_thread.run_sync(self._write, item, limiter=self._limiter, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Nothing: the file is the user's."""

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest[:])  # type: ignore[arg-type]  # any file takes a memoryview
            if written is None and isinstance(self._file, io.RawIOBase):
                raise BlockingIOError("the file for output is non-blocking; give an anyio stream instead")
            rest = rest[len(rest) if written is None else written :]
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()


def as_source(given: Source | ReadableFile) -> Source:
    """Return what ``given``, which was checked, is read by."""
    if isinstance(given, (ByteReceiveStream, ObjectReceiveStream)):
        return given
    return _FileSource(given)


def as_sink(given: Sink | WritableFile) -> Sink:
    """Return what ``given``, which was checked, is written by."""
    if isinstance(given, (ByteSendStream, ObjectSendStream)):
        return given
    return _FileSink(given)


def check_source(name: str, given: object) -> None:
    """Refuse what cannot be read; ``name`` is the argument's.

    :raises InvalidArgumentError: if it is neither an anyio stream to receive from nor a binary file to read
    """
    if not isinstance(given, (ByteReceiveStream, ObjectReceiveStream)) and not _is_file(given, "read"):
        raise _refused(name, given, "receive from or a binary file to read")


def check_sink(name: str, given: object) -> None:
    """Refuse what cannot be written; ``name`` is the argument's.

    :raises InvalidArgumentError: if it is neither an anyio stream to send to nor a binary file to write
    """
    if not isinstance(given, (ByteSendStream, ObjectSendStream)) and not _is_file(given, "write"):
        raise _refused(name, given, "send to or a binary file to write")


def _is_file(given: object, method: str) -> bool:
    call = getattr(given, method, None)
    return callable(call) and not iscoroutinefunction(call) and not _is_text(given)


def _is_text(given: object) -> bool:
    return isinstance(given, io.TextIOBase) or hasattr(given, "encoding")  # also what only looks like one


def _refused(name: str, given: object, wanted: str) -> InvalidArgumentError:
    hint = "; a text file has its binary one at .buffer" if _is_text(given) else ""
    return InvalidArgumentError(
        f"streams({name}=...) takes an anyio stream to {wanted}, not {type(given).__name__}{hint}"
    )
