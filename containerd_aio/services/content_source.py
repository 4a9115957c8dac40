"""Where the bytes of ``Content.write_blob()`` come from: from memory, or from an iterable that is read once.

Bytes in memory are hashed before anything is sent, so that an existing blob costs no transfer, and what an
earlier attempt left can be compared and used. An iterable is hashed while it passes; what was left is dropped.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Final, TypeAlias

import anyio.lowlevel

from containerd_aio.errors import DataLossError, InvalidArgumentError
from containerd_aio.services.content_writer import ContentWriter
from containerd_aio.types.digest import Digester

_BLOCK: Final = 1 << 20
"""Bytes that are hashed at a time, for about a millisecond, before other tasks get their turn."""


class BytesSource:
    """A blob in memory; its digest is known from the start."""

    def __init__(self, view: memoryview, digest: str) -> None:
        self._view = view
        self.expected: str | None = digest
        self.digest = digest

    @classmethod
    async def of(
        cls, data: bytes | bytearray | memoryview, *, size: int, expected: str | None
    ) -> BytesSource:
        """Hash the bytes and compare them with what they should be."""
        view = memoryview(data).cast("B")
        digester = await _hashed(view, like=expected)
        _check(digester, size=size, expected=expected)
        return cls(view, digester.digest)

    @property
    def size(self) -> int:
        """Bytes in the blob."""
        return self._view.nbytes

    async def write_to(self, writer: ContentWriter) -> None:
        """Write what is not there yet."""
        start = writer.offset
        if start and not await self._begins_as(writer):
            writer.restart()
            start = 0
        await writer.write(self._view[start:])

    async def _begins_as(self, writer: ContentWriter) -> bool:
        if writer.offset == self.size and writer.digest == self.digest:
            return True
        try:
            there = await _hashed(self._view[: writer.offset], like=writer.digest)
        except InvalidArgumentError:  # an algorithm that only the daemon knows
            return False
        return there.digest == writer.digest


class IterableSource:
    """A blob that comes piece by piece, once."""

    def __init__(self, pieces: AsyncIterable[bytes], *, size: int, expected: str | None) -> None:
        self._pieces = pieces
        self._announced = size
        self._digester = Digester.like(expected)
        self.expected = expected

    @property
    def digest(self) -> str:
        """The digest that is expected, else that of what came."""
        return self.expected or self._digester.digest

    @property
    def size(self) -> int:
        """Bytes that came; the announced ones where the iterable was not read."""
        return self._digester.size or self._announced

    async def write_to(self, writer: ContentWriter) -> None:
        """Write all pieces, unless all is there (in another namespace)."""
        if writer.offset and writer.digest == self.expected:
            return
        if writer.offset:
            writer.restart()
        async for piece in self._pieces:
            self._digester.update(piece)
            if 0 < self._announced < self._digester.size:
                break
            await writer.write(piece)
        _check(self._digester, size=self._announced, expected=self.expected)


Source: TypeAlias = BytesSource | IterableSource


async def source_of(
    data: bytes | bytearray | memoryview | AsyncIterable[bytes], *, size: int, expected: str | None
) -> Source:
    """Return the source that fits the data."""
    if isinstance(data, bytes | bytearray | memoryview):
        return await BytesSource.of(data, size=size, expected=expected)
    return IterableSource(data, size=size, expected=expected)


async def _hashed(view: memoryview, *, like: str | None) -> Digester:
    digester = Digester.like(like)
    for start in range(0, view.nbytes, _BLOCK):
        digester.update(view[start : start + _BLOCK])
        await anyio.lowlevel.checkpoint()
    return digester


def _check(digester: Digester, *, size: int, expected: str | None) -> None:
    if size and digester.size != size:
        count = "more" if digester.size > size else f"{digester.size}"
        raise DataLossError(f"the blob should have {size} bytes; {count} came")
    if expected is not None:
        digester.check(expected)
