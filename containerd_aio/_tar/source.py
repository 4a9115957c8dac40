"""The bytes of an archive, wherever they come from: decompressed, counted, and never all in memory.

A local file blocks when it is read, and asyncio has no other way to read one: its reads go through a worker
thread, 1 MiB at a time. Everything else here stays on the event loop.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import BinaryIO, Final, TypeAlias

from anyio import to_thread
from anyio.lowlevel import checkpoint

from containerd_aio.errors import InvalidArgumentError

ArchiveSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes]
)
"""A path; the archive itself; a binary file object, read in a worker thread; or a stream (anyio's byte streams)."""

PIECE: Final = 1024 * 1024

_INFLATED: Final = 256 * 1024  # decompressing as much takes about a millisecond
_GZIP = b"\x1f\x8b"
_TAR: Final = b"ustar"
_TAR_END: Final = 257 + len(_TAR)
_REFUSED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
}


class ArchiveBytes:
    """What is in the archive, read in order.

    ``max_size`` bounds what is taken after decompression: a few MB of gzip can stand for a terabyte.
    """

    def __init__(self, chunks: AsyncIterable[bytes], *, max_size: int) -> None:
        self._chunks = _NotEmpty(chunks)
        self._max_size = max_size
        self._taken = 0
        self._piece = memoryview(b"")
        self._gunzip: _Gunzip | None = None
        self._opened = False

    @property
    def position(self) -> int:
        """How many bytes were given so far."""
        return self._taken - len(self._piece)

    async def receive(self, max_bytes: int = PIECE) -> bytes:
        """Return up to ``max_bytes``, and ``b""`` at the end.

        :raises InvalidArgumentError: if the archive is too large or its compression is damaged
        """
        if not self._piece and not await self._refill():
            return b""
        taken, self._piece = self._piece[:max_bytes], self._piece[max_bytes:]
        return bytes(taken)

    async def receive_exactly(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer where the archive ends.

        :raises InvalidArgumentError: if the archive is too large or its compression is damaged
        """
        parts: list[bytes] = []
        while size and (part := await self.receive(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    async def check_rest(self) -> None:
        """Read a compressed archive to its checksum; what follows in one that is not compressed stays unread.

        :raises InvalidArgumentError: if the checksum does not fit
        """
        while self._gunzip is not None and not self._gunzip.complete and await self._refill():
            pass

    async def _refill(self) -> bool:
        if not self._opened:
            self._opened = True
            await self._open()
        elif self._gunzip is not None:
            self._piece = memoryview(await self._gunzip.receive())
        else:
            self._piece = memoryview(await anext(self._chunks, b""))
        self._taken += len(self._piece)
        if self._taken > self._max_size:
            raise InvalidArgumentError(
                f"the archive holds more than {self._max_size} bytes; a larger one needs max_size="
            )
        return bool(self._piece)

    async def _open(self) -> None:
        """Look at the first bytes: plain, gzip, or something that is not read here."""
        head = b""
        while len(head) < _TAR_END and (chunk := await anext(self._chunks, b"")):
            head += chunk
        if not head:
            raise InvalidArgumentError("the archive is empty")
        # A tar begins with the name of a member, and that may begin as anything does.
        is_tar = head[_TAR_END - len(_TAR) : _TAR_END] == _TAR
        for magic, name in _REFUSED.items():
            if head.startswith(magic) and not is_tar:
                raise InvalidArgumentError(
                    f"the archive is compressed with {name}; give a plain or a gzip one"
                )
        if head.startswith(_GZIP) and not is_tar:
            self._gunzip = _Gunzip(head, self._chunks)
            head = await self._gunzip.receive()
        self._piece = memoryview(head)


class _Gunzip:
    """gzip as it comes, one bounded piece at a time."""

    def __init__(self, head: bytes, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = head
        self._zlib = zlib.decompressobj(wbits=31)
        self.complete = False

    async def receive(self) -> bytes:
        """Return the next piece, ``b""`` at the end."""
        while True:
            await checkpoint()  # a blob that is skipped would otherwise be decompressed in one go
            try:
                piece = self._zlib.decompress(self._waiting, _INFLATED)
            except zlib.error as error:
                raise InvalidArgumentError(f"the archive's gzip compression is damaged: {error}") from error
            self._waiting = self._zlib.unconsumed_tail
            if self._zlib.eof and not await self._next_member():
                self.complete = True
                return piece
            if piece:
                return piece
            if not self._waiting:
                self._waiting = await anext(self._chunks, b"")
                if not self._waiting:
                    raise InvalidArgumentError("the archive is truncated: its gzip compression does not end")

    async def _next_member(self) -> bool:
        """Go on to another gzip member (``pigz`` and ``cat`` make them); anything else there is padding."""
        if self.complete:
            return False
        self._waiting = self._zlib.unused_data
        while len(self._waiting) < len(_GZIP) and (chunk := await anext(self._chunks, b"")):
            self._waiting += chunk
        if not self._waiting.startswith(_GZIP):
            return False
        self._zlib = zlib.decompressobj(wbits=31)
        return True


@asynccontextmanager
async def open_source(source: ArchiveSource) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Give the bytes of a source in pieces; none is empty. What was opened here is closed here.

    :raises InvalidArgumentError: if a path is no file that can be read
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield _Pieces(source)
    elif isinstance(source, str | os.PathLike):
        with _open_file(source) as file:
            yield _Reads(file.read, leave=False)
    elif isinstance(source, AsyncIterable):
        yield _NotEmpty(source)
    else:
        yield _Reads(source.read, leave=True)


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    shown = repr(os.fspath(path))
    try:
        # Non-blocking for the sake of a FIFO, whose open would wait for a writer; files do not mind.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"cannot read the archive {shown}: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidArgumentError(f"{shown} is not a file; give a stream to read from a pipe or device")
    return os.fdopen(descriptor, "rb")


class _Pieces:
    """An archive that is in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._rest = memoryview(data).cast("B")

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
        if not piece:
            raise StopAsyncIteration
        return bytes(piece)


class _Reads:
    """A blocking file, read in a worker thread.

    With ``leave``, a read is left to itself when its caller is cancelled: a pipe may have nothing to read for ever.
    """

    def __init__(self, read: Callable[[int], object], *, leave: bool) -> None:
        self._read = read
        self._leave = leave

    def __aiter__(self) -> _Reads:
        return self

    async def __anext__(self) -> bytes:
        piece = await to_thread.run_sync(self._read, PIECE, abandon_on_cancel=self._leave)
        if not isinstance(piece, bytes):
            raise InvalidArgumentError("the archive's file object gives no bytes; open it in binary mode")
        if not piece:
            raise StopAsyncIteration
        return piece


class _NotEmpty:
    """A stream of bytes; an empty chunk is not its end."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(source)

    def __aiter__(self) -> _NotEmpty:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if chunk := await anext(self._chunks):
                return bytes(chunk)
