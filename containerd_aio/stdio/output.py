"""Both outputs of a process as one stream, as chunks or as lines.

Neither loses a byte when a call is cancelled: what was taken meanwhile is kept for the next one. How chunks of
stdout and stderr follow each other is how they came here; two FIFOs have no common order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ObjectReceiveStream
from anyio.lowlevel import checkpoint_if_cancelled

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Chunk
from containerd_aio.types.process import OutputName

MAX_LINE: Final = 64 * 1024
"""How long a line may be, in bytes, before it comes in pieces."""


class OutputStream(ObjectReceiveStream[Chunk]):
    """What a process writes, as it comes: an async iterator of `Chunk`, made by ``process.output()``."""

    def __init__(self, streams: Mapping[OutputName, ByteReceiveStream]) -> None:
        self._streams = streams
        self._open = dict(streams)
        self._taken: deque[Chunk] = deque()
        self._closed = False

    async def receive(self) -> Chunk:
        """Return the next chunk of either output, at least a byte; waits until the process has written.

        :raises anyio.EndOfStream: when both outputs have ended
        :raises anyio.ClosedResourceError: if one of them was closed
        :raises anyio.BusyResourceError: if another task is receiving from one of them
        """
        while not (chunk := await self.receive_or_end()).data:
            pass
        return chunk

    async def receive_or_end(self) -> Chunk:
        """As ``receive()``, and tell the end of each output by a chunk of it without data."""
        if self._closed:
            raise anyio.ClosedResourceError
        await checkpoint_if_cancelled()
        while not self._taken:
            match list(self._open.items()):
                case []:
                    raise anyio.EndOfStream
                case [(name, stream)]:
                    await self._take(name, stream)
                case _:
                    await self._take_first()
        return self._taken.popleft()

    async def aclose(self) -> None:
        """Close both outputs. What the process still writes is dropped."""
        self._closed = True
        self._taken.clear()
        for stream in self._streams.values():
            await stream.aclose()

    async def _take_first(self) -> None:
        """Take a chunk of whichever output has one first; of both, if both have."""
        failures: list[Exception] = []
        async with anyio.create_task_group() as group:

            async def take(name: OutputName, stream: ByteReceiveStream) -> None:
                try:
                    await self._take(name, stream)
                except Exception as error:
                    failures.append(error)
                group.cancel_scope.cancel()

            for name, stream in list(self._open.items()):
                group.start_soon(take, name, stream)
        if failures:
            raise failures[0]

    async def _take(self, name: OutputName, stream: ByteReceiveStream) -> None:
        try:
            self._taken.append(Chunk(name, await stream.receive()))
        except anyio.EndOfStream:
            del self._open[name]
            self._taken.append(Chunk(name, b""))


class LineStream(ObjectReceiveStream[Chunk]):
    """What a process writes, line by line: an async iterator of `Chunk`, made by ``process.lines()``."""

    def __init__(self, chunks: OutputStream, *, max_line: int = MAX_LINE) -> None:
        self._chunks = chunks
        self.max_line = max_line
        self._rests: dict[OutputName, bytes] = {}
        self._lines: deque[Chunk] = deque()

    @property
    def max_line(self) -> int:
        """How long a line may be, in bytes, before it comes in pieces; can be set, for what is still to come.

        :raises InvalidArgumentError: if it is set to less than 1
        """
        return self._max_line

    @max_line.setter
    def max_line(self, size: int) -> None:
        if size < 1:
            raise InvalidArgumentError(f"max_line must be at least 1; it is {size}")
        self._max_line = size

    async def receive(self) -> Chunk:
        """Return the next line of either output, with the ``\\n`` that ends it; waits until there is one.

        A line of more than ``max_line`` bytes comes in pieces, of which only the last ends with ``\\n``; so may
        the very last line of an output end without one, which comes when that output has ended.

        :raises anyio.EndOfStream: when both outputs have ended
        :raises anyio.ClosedResourceError: if one of them was closed
        :raises anyio.BusyResourceError: if another task is receiving from one of them
        """
        await checkpoint_if_cancelled()
        while not self._lines:
            try:
                chunk = await self._chunks.receive_or_end()
            except anyio.EndOfStream:  # the ends of the outputs may have gone to who received chunks
                for name in list(self._rests):
                    self._end(name)
                if not self._lines:
                    raise
            else:
                if chunk.data:
                    self._lines.extend(self._split(chunk))
                else:
                    self._end(chunk.stream)
        return self._lines.popleft()

    async def aclose(self) -> None:
        """Close both outputs. What the process still writes is dropped."""
        self._lines.clear()
        self._rests.clear()
        await self._chunks.aclose()

    def _end(self, name: OutputName) -> None:
        if rest := self._rests.pop(name, b""):
            self._lines.append(Chunk(name, rest))

    def _split(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield what is complete, and keep the rest for later: how the bytes came in chunks shows nowhere."""
        *lines, rest = (self._rests.pop(chunk.stream, b"") + chunk.data).split(b"\n")
        for line in lines:
            yield from (Chunk(chunk.stream, piece) for piece in self._pieces(line + b"\n"))
        *pieces, self._rests[chunk.stream] = self._pieces(rest)
        yield from (Chunk(chunk.stream, piece) for piece in pieces)

    def _pieces(self, line: bytes) -> list[bytes]:
        """Cut a line that is too long; there is always a last piece, of what follows only it may grow."""
        return [line[at : at + self._max_line] for at in range(0, len(line), self._max_line)] or [b""]


def output_of(name: str, stdout: ByteReceiveStream | None, stderr: ByteReceiveStream | None) -> OutputStream:
    """Return what a process writes as one stream; ``name`` is what it is called in messages.

    :raises InvalidArgumentError: if neither output is piped
    """
    streams: dict[OutputName, ByteReceiveStream] = {}
    if stdout is not None:
        streams["stdout"] = stdout
    if stderr is not None:
        streams["stderr"] = stderr
    if not streams:
        raise InvalidArgumentError(f"{name} has no output to read here: make it with stdio=pipes()")
    return OutputStream(streams)
