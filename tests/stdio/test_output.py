"""Two outputs as one stream: no byte lost or moved to the other, whoever is cancelled; and as lines."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio import LineStream
from containerd_aio.stdio.output import OutputStream, output_of
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.types import Chunk
from tests.interrupt import cancelled_by_scope, cancelled_by_task


class Outputs:
    """The two outputs of a process, and what it writes to them."""

    def __init__(self, directory: Path) -> None:
        self.readers: dict[str, FifoReceiveStream] = {}
        self.writers: dict[str, int] = {}
        for name in ("stdout", "stderr"):
            path = os.path.join(directory, name)
            os.mkfifo(path)
            self.readers[name] = FifoReceiveStream(path)
            self.writers[name] = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            self.readers[name].writer_has_come()
        self.both = output_of("it", self.readers["stdout"], self.readers["stderr"])

    def write(self, name: str, data: bytes) -> None:
        assert os.write(self.writers[name], data) == len(data)

    def end(self, *names: str) -> None:
        for name in names or list(self.writers):
            if name in self.writers:
                os.close(self.writers.pop(name))


@asynccontextmanager
async def two_outputs(directory: Path) -> AsyncGenerator[Outputs]:
    outputs = Outputs(directory)
    try:
        yield outputs
    finally:
        outputs.end()
        for reader in outputs.readers.values():
            reader.abandon()


class Chunks(OutputStream):
    """Chunks that are there."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        super().__init__({})
        self._chunks = list(chunks)

    async def receive_or_end(self) -> Chunk:
        await checkpoint()
        if not self._chunks:
            raise anyio.EndOfStream
        return self._chunks.pop(0)


async def test_a_chunk_tells_which_output_it_is_of(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        outputs.write("stderr", b"oh")
        assert await outputs.both.receive() == Chunk("stderr", b"oh")
        outputs.write("stdout", b"well")
        assert await outputs.both.receive() == Chunk("stdout", b"well")


async def test_it_waits_until_either_output_has_something(tmp_path: Path) -> None:
    received: list[Chunk] = []
    async with two_outputs(tmp_path) as outputs:

        async def receive() -> None:
            received.append(await outputs.both.receive())

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                await wait_all_tasks_blocked()
                assert received == []
                outputs.write("stderr", b"late")
    assert received == [Chunk("stderr", b"late")]


async def test_neither_output_starves_the_other(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        for _ in range(4):
            outputs.write("stdout", b"x")
            outputs.write("stderr", b"y")
            assert {(await outputs.both.receive()).stream for _ in range(2)} == {"stdout", "stderr"}


async def test_it_ends_when_both_outputs_have_ended(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        outputs.write("stdout", b"last")
        outputs.end("stderr")
        assert await outputs.both.receive() == Chunk("stdout", b"last")
        outputs.end("stdout")
        assert [chunk async for chunk in outputs.both] == []
        with pytest.raises(anyio.EndOfStream):
            await outputs.both.receive()


@pytest.mark.parametrize("cancelled", [cancelled_by_scope, cancelled_by_task])
async def test_no_byte_is_lost_when_a_call_is_cancelled_at_any_await(
    tmp_path: Path, cancelled: Callable[[Coroutine[Any, Any, None], int], Awaitable[bool]]
) -> None:
    expected = {"stdout": b"", "stderr": b""}
    received = {"stdout": b"", "stderr": b""}
    cancellations = 0
    async with two_outputs(tmp_path) as outputs:

        async def receive() -> None:
            chunk = await outputs.both.receive()
            received[chunk.stream] += chunk.data

        for at in range(40):
            for name in expected:
                data = b"%d," % at
                outputs.write(name, data)
                expected[name] += data
            cancellations += await cancelled(receive(), at % 5)
        outputs.end()
        async for chunk in outputs.both:
            received[chunk.stream] += chunk.data
    assert received == expected
    assert cancellations


async def test_an_output_that_was_closed_is_an_error_and_no_group_of_errors(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        await outputs.readers["stdout"].aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await outputs.both.receive()


async def test_the_last_line_of_an_output_comes_when_that_output_ends(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        lines = LineStream(outputs.both)
        outputs.write("stdout", b"unfinished")
        outputs.end("stdout")
        with anyio.fail_after(30):
            assert await lines.receive() == Chunk("stdout", b"unfinished")
        outputs.write("stderr", b"later")
        outputs.end("stderr")
        assert [line async for line in lines] == [Chunk("stderr", b"later")]
        with pytest.raises(anyio.EndOfStream):
            await lines.receive()


async def test_an_end_that_chunks_have_passed_over_still_ends_the_last_line(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        lines = LineStream(outputs.both)
        outputs.write("stdout", b"one\nunfinished")
        assert await lines.receive() == Chunk("stdout", b"one\n")
        outputs.end("stdout")
        outputs.write("stderr", b"oh")
        assert await outputs.both.receive() == Chunk("stderr", b"oh")
        outputs.end("stderr")
        with pytest.raises(anyio.EndOfStream):
            await outputs.both.receive()
        assert [line async for line in lines] == [Chunk("stdout", b"unfinished")]


async def test_closed_it_gives_nothing_more(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        lines = LineStream(outputs.both)
        outputs.write("stdout", b"one\ntwo\nthree")
        assert await lines.receive() == Chunk("stdout", b"one\n")
        await lines.aclose()
        for stream in (lines, outputs.both):
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()


async def test_lines_that_are_there_already_can_be_cancelled_between(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        lines = LineStream(outputs.both)
        outputs.write("stdout", b"one\ntwo\n")
        assert await lines.receive() == Chunk("stdout", b"one\n")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await lines.receive()
        assert scope.cancelled_caught
        assert await lines.receive() == Chunk("stdout", b"two\n")


async def test_closing_it_closes_both(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        await LineStream(outputs.both).aclose()
        for reader in outputs.readers.values():
            with pytest.raises(anyio.ClosedResourceError):
                await reader.receive()


async def test_one_output_is_enough_and_none_is_refused(tmp_path: Path) -> None:
    async with two_outputs(tmp_path) as outputs:
        outputs.write("stdout", b"alone")
        only = output_of("it", outputs.readers["stdout"], None)
        assert await only.receive() == Chunk("stdout", b"alone")
        with pytest.raises(InvalidArgumentError, match="task 'web' has no output to read here"):
            output_of("task 'web'", None, None)


async def lines(chunks: Sequence[Chunk], **options: int) -> list[Chunk]:
    return [line async for line in LineStream(Chunks(chunks), **options)]


async def test_lines_are_put_together_from_chunks_each_output_on_its_own() -> None:
    chunks = [
        Chunk("stdout", b"one\ntw"),
        Chunk("stderr", b"oh"),
        Chunk("stdout", b"o\n\nthr"),
        Chunk("stderr", b" no\n"),
    ]
    assert await lines(chunks) == [
        Chunk("stdout", b"one\n"),
        Chunk("stdout", b"two\n"),
        Chunk("stdout", b"\n"),
        Chunk("stderr", b"oh no\n"),
        Chunk("stdout", b"thr"),
    ]


async def test_a_line_that_is_too_long_comes_in_pieces() -> None:
    expected = [Chunk("stdout", b"abc"), Chunk("stdout", b"def"), Chunk("stdout", b"\n")]
    assert await lines([Chunk("stdout", b"abcdef\n")], max_line=3) == expected
    assert await lines([Chunk("stdout", b"%c" % byte) for byte in b"abcdef\n"], max_line=3) == expected


@pytest.mark.parametrize("size", [0, -1])
async def test_a_line_has_at_least_a_byte(size: int) -> None:
    with pytest.raises(InvalidArgumentError, match="max_line"):
        LineStream(Chunks([]), max_line=size)


async def test_the_length_of_a_line_can_change_between_two_lines() -> None:
    stream = LineStream(Chunks([Chunk("stdout", b"one\ntwo"), Chunk("stdout", b" three\n")]))
    assert await stream.receive() == Chunk("stdout", b"one\n")
    stream.max_line = 4
    rest = [line.data async for line in stream]
    assert rest == [b"two ", b"thre", b"e\n"]


@given(
    parts=st.lists(st.lists(st.sampled_from([b"\n", b"a", b"\r", "ö".encode(), b"long line"])), max_size=6),
    max_line=st.integers(1, 12),
)
async def test_how_the_bytes_came_in_chunks_shows_in_no_line(parts: list[list[bytes]], max_line: int) -> None:
    chunks = [b"".join(part) for part in parts]
    whole = b"".join(chunks)
    in_chunks = await lines([Chunk("stdout", chunk) for chunk in chunks if chunk], max_line=max_line)
    at_once = await lines([Chunk("stdout", whole)] if whole else [], max_line=max_line)
    assert in_chunks == at_once
    assert b"".join(line.data for line in in_chunks) == whole
    assert all(0 < len(line.data) <= max_line for line in in_chunks)
    assert all(b"\n" not in line.data[:-1] for line in in_chunks)


def test_a_chunk_is_text_whatever_its_bytes_are() -> None:
    assert Chunk("stdout", "grün\n".encode()).text == "grün\n"
    assert Chunk("stderr", b"\xffx").text == "\N{REPLACEMENT CHARACTER}x"
