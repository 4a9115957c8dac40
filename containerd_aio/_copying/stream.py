"""An archive as a stream of bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
from anyio.abc import ByteReceiveStream


class ArchiveStream(ByteReceiveStream):
    """The bytes of an archive, made while they are read."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._guard = anyio.ResourceGuard("reading from")
        self._closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return up to ``max_bytes``.

        :raises anyio.EndOfStream: at the end of the archive
        :raises anyio.ClosedResourceError: after the block
        :raises ContainerdError: if a file cannot be read; what came before is no whole archive
        """
        if max_bytes < 1:
            raise ValueError("max_bytes must be a positive integer")
        with self._guard:
            if self._closed:
                raise anyio.ClosedResourceError
            await anyio.lowlevel.checkpoint()
            while not self._rest:
                try:
                    self._rest = memoryview(await anext(self._pieces))
                except StopAsyncIteration:
                    raise anyio.EndOfStream from None
            taken, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
            return bytes(taken)

    async def aclose(self) -> None:
        """End the copy; idempotent."""
        self._closed = True
        await self._pieces.aclose()
