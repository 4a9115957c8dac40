"""The read end: every byte once and in order, whoever is cancelled, and the true end only."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.text import TextReceiveStream
from hypothesis import given, settings
from hypothesis import strategies as st

from containerd_aio.stdio.receive import KEPT_BYTES, FifoReceiveStream


class Output:
    """A FIFO, its stream, and the writer that a shim would be."""

    def __init__(self, path: str, *, shared: bool = False) -> None:
        os.mkfifo(path)
        self.path = path
        self.stream = FifoReceiveStream(path, shared=shared)
        self.writer: int | None = os.open(path, os.O_WRONLY | os.O_NONBLOCK)

    def write(self, data: bytes) -> None:
        assert self.writer is not None
        assert os.write(self.writer, data) == len(data)

    def fill(self) -> int:
        """Write until no more fits."""
        assert self.writer is not None
        written = 0
        try:
            while True:
                written += os.write(self.writer, bytes(4096))
        except BlockingIOError:
            return written

    def end(self) -> None:
        """The shim has come, and is gone."""
        self.stream.writer_has_come()
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None


@asynccontextmanager
async def an_output(directory: Path | str, *, shared: bool = False) -> AsyncGenerator[Output]:
    output = Output(os.path.join(directory, "stdout"), shared=shared)
    try:
        yield output
    finally:
        output.end()
        output.stream.abandon()


async def received(stream: FifoReceiveStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def test_a_single_byte_is_received(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write(b"x")
        assert await output.stream.receive() == b"x"


async def test_receive_returns_at_most_what_was_asked_for(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write(b"abcdef")
        assert [await output.stream.receive(4), await output.stream.receive(4)] == [b"abcd", b"ef"]


@pytest.mark.parametrize("size", [0, -1])
async def test_receive_refuses_to_read_nothing(tmp_path: Path, size: int) -> None:
    async with an_output(tmp_path) as output:
        with pytest.raises(ValueError, match=f"max_bytes must be at least 1, not {size}"):
            await output.stream.receive(size)


async def test_receive_waits_until_something_is_written(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:
        got: list[bytes] = []

        async def read() -> None:
            got.append(await output.stream.receive())

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        output.write(b"late")
    assert got == [b"late"]


async def test_it_does_not_end_before_the_writer_has_come(tmp_path: Path) -> None:
    """An open FIFO without a writer reads as ended; the stand-in keeps that from being seen."""
    os.mkfifo(tmp_path / "stdout")
    stream = FifoReceiveStream(str(tmp_path / "stdout"))
    with anyio.move_on_after(0.02) as scope:
        await stream.receive()
    assert scope.cancelled_caught
    stream.abandon()


async def test_it_ends_when_the_writer_is_gone_and_not_before_all_is_read(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write(b"last words")
        output.end()
        assert await output.stream.receive() == b"last words"
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await output.stream.receive()


async def test_it_ends_although_the_writer_came_and_went_unseen(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.end()
        assert await received(output.stream) == b""


async def test_a_waiting_receive_is_told_of_the_end(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:
        group.start_soon(received, output.stream)
        await anyio.wait_all_tasks_blocked()
        output.end()


async def test_anyio_streams_fit_on_it(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write("zwölf\nlines\n".encode())
        output.end()
        buffered = BufferedByteReceiveStream(output.stream)
        assert await buffered.receive_until(b"\n", 100) == "zwölf".encode()
        assert "".join([text async for text in TextReceiveStream(buffered)]) == "lines\n"


async def test_a_cancelled_receive_loses_nothing(tmp_path: Path) -> None:
    """Whenever the cancellation comes: before, with or after the byte that it was waiting for."""
    async with an_output(tmp_path) as output:
        got = b""
        for step in range(200):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:

                    async def cancel(scope: anyio.CancelScope = scope, step: int = step) -> None:
                        for _ in range(step % 4):
                            await checkpoint()
                        scope.cancel()

                    group.start_soon(cancel)
                    output.write(bytes([step]))
                    got += await output.stream.receive()
        output.end()
        assert got + await received(output.stream) == bytes(range(200))


async def test_a_second_receive_at_the_same_time_is_refused(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:
        group.start_soon(received, output.stream)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError, match="receiving from"):
            await output.stream.receive()
        output.end()


async def test_closing_ends_a_receive_that_waits_and_later_ones(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:

        async def refused() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await output.stream.receive()

        group.start_soon(refused)
        await anyio.wait_all_tasks_blocked()
        await output.stream.aclose()
        await output.stream.aclose()
        await refused()


async def test_what_is_written_after_closing_is_dropped_so_the_writer_never_waits(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        await output.stream.aclose()
        total = 0
        with anyio.fail_after(30):
            while total < 4 * KEPT_BYTES:
                total += output.fill()
                await checkpoint()
            output.end()
            await output.stream.drain()


async def test_a_shared_fifo_is_left_to_the_others_when_it_is_closed(tmp_path: Path) -> None:
    async with an_output(tmp_path, shared=True) as output:
        other = os.open(output.path, os.O_RDONLY | os.O_NONBLOCK)
        await output.stream.aclose()
        output.write(b"theirs")
        await anyio.wait_all_tasks_blocked()
        assert os.read(other, 10) == b"theirs"
        os.close(other)


async def test_draining_keeps_what_nobody_read_and_gives_it_afterwards(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        size = output.fill()
        output.end()
        await output.stream.drain()
        assert output.stream.cut(), "all of it came"
        assert len(await received(output.stream)) == size


async def test_draining_goes_beside_a_reader_and_keeps_the_order(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:
        got = bytearray()

        async def read_slowly() -> None:
            async for chunk in output.stream:
                got.extend(chunk[:])
                for _ in range(3):
                    await checkpoint()

        group.start_soon(read_slowly)
        group.start_soon(output.stream.drain)
        for start in range(0, len(data), 1000):
            output.write(data[start : start + 1000])
            await checkpoint()
        output.end()
    assert bytes(got) == data


async def test_draining_stops_at_its_bound_and_goes_on_when_somebody_reads(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output, anyio.create_task_group() as group:
        group.start_soon(output.stream.drain)
        total = 0
        for _ in range(1000):
            total += output.fill()
            await checkpoint()
        assert KEPT_BYTES <= total < 4 * KEPT_BYTES, "the rest waits in the FIFO, and its writer with it"
        output.end()
        assert len(await received(output.stream)) == total


async def test_cut_ends_the_output_where_it_is_and_tells_so(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write(b"kept")
        with anyio.move_on_after(0.02):
            await output.stream.drain()
        assert not output.stream.cut()
        assert await received(output.stream) == b"kept"


async def test_abandoned_it_gives_what_is_kept_and_then_no_false_end(tmp_path: Path) -> None:
    async with an_output(tmp_path) as output:
        output.write(b"kept")
        with anyio.move_on_after(0.02):
            await output.stream.drain()
        output.stream.abandon()
        assert await output.stream.receive() == b"kept"
        with pytest.raises(anyio.ClosedResourceError):
            await output.stream.receive()


def test_a_forgotten_stream_warns_by_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stdout")
    stream: FifoReceiveStream | None = FifoReceiveStream(str(tmp_path / "stdout"))
    assert stream is not None
    with pytest.warns(ResourceWarning, match=f"unclosed <FifoReceiveStream {tmp_path}/stdout>"):
        stream = None


@settings(deadline=None, max_examples=60)
@given(
    writes=st.lists(st.binary(min_size=1, max_size=5000), max_size=8),
    sizes=st.lists(st.integers(1, 6000), min_size=1, max_size=8),
    drain_after=st.integers(0, 8),
)
def test_any_writes_and_any_sizes_give_the_same_bytes(
    writes: list[bytes], sizes: list[int], drain_after: int
) -> None:
    """Also where a drain begins in the middle."""

    async def run(directory: str) -> None:
        async with an_output(directory) as output, anyio.create_task_group() as group:
            got = bytearray()

            async def read() -> None:
                for turn in range(1_000_000):
                    size = sizes[turn % len(sizes)]
                    try:
                        chunk = await output.stream.receive(size)
                    except anyio.EndOfStream:
                        return
                    assert 1 <= len(chunk) <= size
                    got.extend(chunk)

            group.start_soon(read)
            for number, data in enumerate(writes):
                if number == drain_after:
                    group.start_soon(output.stream.drain)
                output.write(data)
                if number % 2:
                    await checkpoint()
            output.end()
        assert bytes(got) == b"".join(writes)

    with TemporaryDirectory() as directory:
        anyio.run(run, directory)
