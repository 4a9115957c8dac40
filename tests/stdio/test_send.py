"""The write end: before the shim has come, while it reads, and how it is closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from containerd_aio.errors import NotFoundError, ProcessLostError, UnavailableError
from containerd_aio.stdio.send import FifoSendStream
from containerd_aio.types import ExitStatus


@asynccontextmanager
async def an_input(directory: Path | str, *, terminal: bool = False) -> AsyncGenerator[FifoSendStream]:
    path = os.path.join(directory, "stdin")
    os.mkfifo(path)
    stream = FifoSendStream(path, terminal=terminal)
    try:
        yield stream
    finally:
        stream.detach()


@pytest.fixture
def reader(tmp_path: Path) -> Generator[list[int]]:
    """Read ends that a test opens; closed after it."""
    opened: list[int] = []
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def shim_opens(directory: Path | str, opened: list[int]) -> int:
    opened.append(os.open(os.path.join(directory, "stdin"), os.O_RDONLY | os.O_NONBLOCK))
    return opened[-1]


async def everything(descriptor: int) -> bytes:
    received = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except BlockingIOError:
            await checkpoint()
            continue
        received += chunk
        if not chunk:
            return received


async def test_what_is_sent_before_the_shim_has_come_is_read_by_it(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream:
        await stream.send(b"early")
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        await stream.send(b" and late")
        await stream.aclose()
        assert await everything(shim) == b"early and late"


async def test_a_shim_that_opens_late_is_waited_for(tmp_path: Path, reader: list[int]) -> None:
    """It opens stdin in a goroutine, some time after Start has answered."""
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        await stream.send(b"early")
        group.start_soon(stream.reader_has_come)
        await anyio.wait_all_tasks_blocked()
        await stream.send(b" and meanwhile")
        shim = shim_opens(tmp_path, reader)
    await stream.aclose()
    assert await everything(shim) == b"early and meanwhile"


async def test_a_full_fifo_holds_the_sender_until_somebody_reads(tmp_path: Path, reader: list[int]) -> None:
    data = os.urandom(2 * 1024 * 1024)
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        sent = anyio.Event()

        async def send() -> None:
            await stream.send(data)
            sent.set()
            await stream.aclose()

        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        assert not sent.is_set()
        assert await everything(shim) == data


async def test_any_bytes_like_thing_is_sent_whole_and_nothing_is_no_error(
    tmp_path: Path, reader: list[int]
) -> None:
    async with an_input(tmp_path) as stream:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        await stream.send(b"")
        await stream.send(memoryview(b"\1\0\2\0").cast("H"))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="bytes-like"):
            await stream.send("text")  # type: ignore[arg-type]
        await stream.aclose()
        assert await everything(shim) == b"\1\0\2\0"


async def test_a_reader_that_is_gone_is_told(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        os.close(reader.pop())
        with pytest.raises(anyio.BrokenResourceError, match="nobody reads the input"):
            await stream.send(b"x")
        assert shim


async def test_a_sender_that_waits_is_told_when_the_reader_goes(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()

        async def send() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await stream.send(bytes(2 * 1024 * 1024))

        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        os.close(reader.pop())


async def test_fifos_that_are_removed_meanwhile_end_the_look_for_the_shim(tmp_path: Path) -> None:
    async with an_input(tmp_path) as stream:
        os.unlink(tmp_path / "stdin")
        with anyio.fail_after(30):
            await stream.reader_has_come()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"x")


async def test_a_second_send_at_the_same_time_is_refused(tmp_path: Path) -> None:
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        group.start_soon(stream.send, bytes(2 * 1024 * 1024))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError, match="sending to"):
            await stream.send(b"x")
        group.cancel_scope.cancel()


async def test_closing_ends_a_send_that_waits_and_later_ones(tmp_path: Path) -> None:
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:

        async def refused(data: bytes) -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await stream.send(data)

        group.start_soon(refused, bytes(2 * 1024 * 1024))
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
        await refused(b"x")
        await refused(b"")


async def test_containerd_is_told_after_our_end_is_closed(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream:
        shim = shim_opens(tmp_path, reader)
        at_close_io: list[bytes] = []

        async def close_io() -> None:
            at_close_io.append(os.read(shim, 10))
            at_close_io.append(os.read(shim, 10))

        stream.on_closed(close_io)
        await stream.reader_has_come()
        await stream.send(b"data")
        await stream.aclose()
        await stream.aclose()
        assert at_close_io == [b"data", b""], "b'' is the end, which needs our end closed; and told once"


async def test_closing_before_the_start_is_remembered_and_keeps_what_was_sent(
    tmp_path: Path, reader: list[int]
) -> None:
    async with an_input(tmp_path) as stream:
        told: list[str] = []

        async def close_io() -> None:
            told.append("CloseIO")

        stream.on_closed(close_io)
        await stream.send(b"data")
        await stream.aclose()
        assert told == []
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        assert told == ["CloseIO"]
        assert await everything(shim) == b"data"


@pytest.mark.parametrize("error", [NotFoundError("process not found"), UnavailableError("later")])
async def test_only_a_process_that_is_gone_may_miss_its_close(
    tmp_path: Path, reader: list[int], error: Exception
) -> None:
    async with an_input(tmp_path) as stream:
        answers: list[Exception | None] = [error, None]
        calls = 0

        async def close_io() -> None:
            nonlocal calls
            calls += 1
            if (answer := answers.pop(0)) is not None:
                raise answer

        stream.on_closed(close_io)
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        if isinstance(error, NotFoundError):
            await stream.aclose()
        else:
            with pytest.raises(UnavailableError):
                await stream.aclose()
            await stream.aclose()
        await stream.aclose()
        assert calls == (1 if isinstance(error, NotFoundError) else 2)


async def test_a_cancelled_close_can_be_called_again(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream:
        calls = 0

        async def close_io() -> None:
            nonlocal calls
            calls += 1
            await checkpoint()

        stream.on_closed(close_io)
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.aclose()
        await stream.aclose()
        assert calls == 2


async def test_detached_it_tells_nobody(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path) as stream:

        async def close_io() -> None:
            pytest.fail("told")

        stream.on_closed(close_io)
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        stream.detach()
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"x")


async def test_detaching_ends_the_look_for_the_shim(tmp_path: Path) -> None:
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        group.start_soon(stream.reader_has_come)
        await anyio.wait_all_tasks_blocked()
        stream.detach()
        with anyio.fail_after(30):
            await stream.reader_has_come()


async def test_a_cancelled_send_has_written_a_beginning(tmp_path: Path, reader: list[int]) -> None:
    data = os.urandom(2 * 1024 * 1024)
    async with an_input(tmp_path) as stream:
        with anyio.move_on_after(0.02):
            await stream.send(data)
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        await stream.aclose()
        got = await everything(shim)
        assert 0 < len(got) < len(data)
        assert data.startswith(got)


def test_a_forgotten_stream_warns_by_its_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "stdin")
    stream: FifoSendStream | None = FifoSendStream(str(tmp_path / "stdin"))
    assert stream is not None
    with pytest.warns(ResourceWarning, match=f"unclosed <FifoSendStream {tmp_path}/stdin>"):
        stream = None


@settings(deadline=None, max_examples=40)
@given(
    pieces=st.lists(st.binary(max_size=70_000), max_size=6),
    reads=st.lists(st.integers(1, 100_000), min_size=1, max_size=5),
    early=st.integers(0, 3),
)
def test_any_pieces_and_any_reads_give_the_same_bytes(
    pieces: list[bytes], reads: list[int], early: int
) -> None:
    """``early`` pieces are sent before the shim has come; the FIFO of 512 KiB holds them."""

    async def run(directory: str) -> None:
        async with an_input(directory) as stream, anyio.create_task_group() as group:
            for piece in pieces[: early if os.geteuid() == 0 else 0]:
                await stream.send(piece)
            opened: list[int] = []
            shim = shim_opens(directory, opened)
            await stream.reader_has_come()

            async def rest() -> None:
                for piece in pieces[early if os.geteuid() == 0 else 0 :]:
                    await stream.send(piece)
                await stream.aclose()

            group.start_soon(rest)
            got, turn = bytearray(), 0
            while True:
                try:
                    chunk = os.read(shim, reads[turn % len(reads)])
                except BlockingIOError:
                    await checkpoint()
                    continue
                if not chunk:
                    break
                got += chunk
                turn += 1
            os.close(shim)
        assert bytes(got) == b"".join(pieces)

    with TemporaryDirectory() as directory:
        anyio.run(run, directory)


# -- a terminal ------------------------------------------------------------------------------------------------


async def not_called() -> None:
    raise AssertionError("CloseIO would take the terminal away")


@pytest.mark.parametrize(
    ("typed", "end"),
    [(b"", b"\4"), (b"ls\n", b"\4"), (b"ls\r", b"\4"), (b"ls", b"\4\4"), (b"ls\n\4", b"\4\4")],
)
@pytest.mark.parametrize("early", [False, True], ids=["after start", "before start"])
async def test_the_end_of_what_is_typed_at_a_terminal_is_typed(
    tmp_path: Path, reader: list[int], typed: bytes, end: bytes, early: bool
) -> None:
    async with an_input(tmp_path, terminal=True) as stream:
        stream.on_closed(not_called)
        await stream.send(typed)
        if early:
            await stream.aclose()
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        await stream.aclose()
        await stream.aclose()
        assert await everything(shim) == typed + end


async def test_the_end_that_does_not_fit_waits_for_room_and_can_be_tried_again(
    tmp_path: Path, reader: list[int]
) -> None:
    async with an_input(tmp_path, terminal=True) as stream:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        with anyio.move_on_after(0.05):
            while True:
                await stream.send(b"\n" * 4096)
        with anyio.move_on_after(0.02) as scope:
            await stream.aclose()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(stream.aclose)
            assert (await everything(shim)).endswith(b"\n\4")


async def test_the_end_after_a_line_that_was_cut_short_ends_the_line_first(
    tmp_path: Path, reader: list[int]
) -> None:
    async with an_input(tmp_path, terminal=True) as stream:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        with anyio.move_on_after(0.02) as scope:
            await stream.send(b"x" * 2_000_000 + b"\n")
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(stream.aclose)
            assert (await everything(shim)).endswith(b"x\4\4")


async def test_an_early_close_is_done_once_the_shim_has_come(tmp_path: Path, reader: list[int]) -> None:
    told: list[bool] = []

    async def close_io() -> None:
        told.append(True)

    async with an_input(tmp_path) as stream:
        stream.on_closed(close_io)
        await stream.send(b"early")
        assert stream.close_early()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"more")
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        assert await everything(shim) == b"early"
        assert told == [True]
        assert not stream.close_early()


async def test_the_end_is_typed_for_nobody_where_nobody_reads(tmp_path: Path, reader: list[int]) -> None:
    async with an_input(tmp_path, terminal=True) as stream:
        os.close(shim_opens(tmp_path, reader))
        reader.clear()
        await stream.reader_has_come()
        await stream.aclose()


# -- the process's end -----------------------------------------------------------------------------------------


async def filled(stream: FifoSendStream) -> None:
    with anyio.move_on_after(0.05):
        while True:
            await stream.send(bytes(4096))


@pytest.mark.parametrize("outcome", [ExitStatus(0), ProcessLostError("gone")])
async def test_a_sender_that_waits_for_room_is_told_that_the_process_has_ended(
    tmp_path: Path, reader: list[int], outcome: ExitStatus | ProcessLostError
) -> None:
    """The shim keeps the FIFO, and the process's pipe, until Delete."""
    asked: list[asyncio.Future[ExitStatus]] = []

    def exited() -> asyncio.Future[ExitStatus]:
        asked.append(asyncio.get_running_loop().create_future())
        return asked[-1]

    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        stream.on_exit(exited)
        await filled(stream)
        assert all(future.cancelled() for future in asked), "nobody waits any more"

        async def send() -> None:
            with pytest.raises(anyio.BrokenResourceError, match="the process has ended") as caught:
                await stream.send(bytes(65536))
            assert caught.value.__cause__ is (outcome if isinstance(outcome, Exception) else None)

        group.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        if isinstance(outcome, Exception):
            asked[-1].set_exception(outcome)
        else:
            asked[-1].set_result(outcome)


async def test_a_sender_that_waits_for_room_goes_on_though_it_would_be_told_of_the_end(
    tmp_path: Path, reader: list[int]
) -> None:
    data = os.urandom(2 * 1024 * 1024)
    async with an_input(tmp_path) as stream, anyio.create_task_group() as group:
        shim = shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        stream.on_exit(asyncio.get_running_loop().create_future)

        async def send() -> None:
            await stream.send(data)
            await stream.aclose()

        group.start_soon(send)
        assert await everything(shim) == data


async def test_a_process_that_has_ended_before_is_told_where_there_is_no_room(
    tmp_path: Path, reader: list[int]
) -> None:
    ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
    ended.set_result(ExitStatus(3))
    async with an_input(tmp_path) as stream:
        shim_opens(tmp_path, reader)
        await stream.reader_has_come()
        stream.on_exit(lambda: ended)
        with anyio.fail_after(30), pytest.raises(anyio.BrokenResourceError):
            await filled(stream)
