"""An archive as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from containerd_aio._copying.stream import ArchiveStream

closed: list[str] = []


async def pieces(*given: bytes) -> AsyncGenerator[bytes]:
    try:
        for piece in given:
            yield piece
    finally:
        closed.append("closed")


@pytest.fixture(autouse=True)
def nothing_closed() -> None:
    closed.clear()


async def test_it_is_read_in_any_portions_and_an_empty_piece_is_no_end() -> None:
    async with ArchiveStream(pieces(b"abc", b"", b"defg")) as stream:
        assert await stream.receive(2) == b"ab"
        assert await stream.receive() == b"c"
        assert await stream.receive() == b"defg"
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_it_is_one_of_anyio_s() -> None:
    async with ArchiveStream(pieces(b"one\ntwo")) as stream:
        buffered = BufferedByteReceiveStream(stream)
        assert await buffered.receive_until(b"\n", 100) == b"one"
        assert [chunk async for chunk in buffered] == [b"two"]


async def test_it_ends_what_makes_it() -> None:
    async with ArchiveStream(pieces(b"a", b"b")) as stream:
        await stream.receive()
    assert closed == ["closed"]
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()
    await stream.aclose()


async def test_two_do_not_read_it_at_once_and_not_nothing() -> None:
    async with ArchiveStream(pieces(b"a")) as stream:
        with pytest.raises(ValueError, match="positive"):
            await stream.receive(0)
        failures: list[Exception] = []

        async def read() -> None:
            try:
                await stream.receive()
            except anyio.BusyResourceError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
    assert len(failures) == 1
