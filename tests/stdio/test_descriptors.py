"""This process's own descriptors: used without changing them, whatever they are open on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import socket
import threading
import tty
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.descriptors import DescriptorSink, DescriptorSource
from tests.stdio.conftest import descriptors


@pytest.fixture
def ends(tmp_path: Path) -> Generator[Callable[[str], tuple[int, int]]]:
    """Makes a connected pair of one kind: an end to read and an end to write. Closed after the test."""
    with ExitStack() as stack:

        def make(kind: str) -> tuple[int, int]:
            reader, writer = _pair(kind, tmp_path)
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
            return reader, writer

        yield make


def _pair(kind: str, directory: Path) -> tuple[int, int]:
    if kind == "pipe":
        return os.pipe()
    if kind == "fifo":
        os.mkfifo(directory / "fifo")
        both = os.open(directory / "fifo", os.O_RDWR)
        return both, os.open(directory / "fifo", os.O_WRONLY)
    if kind == "socket":
        left, right = socket.socketpair()
        return left.detach(), right.detach()
    if kind == "file":
        path = directory / "file"
        writer = os.open(path, os.O_WRONLY | os.O_CREAT)
        return os.open(path, os.O_RDONLY), writer
    master, slave = pty.openpty()
    tty.setraw(slave)
    return (master, slave) if kind == "terminal to write" else (slave, master)


WRITTEN = ["pipe", "fifo", "socket", "terminal to write", "file"]
READ = ["pipe", "fifo", "socket", "terminal to read"]


def flags(*given: int) -> list[int]:
    return [fcntl.fcntl(descriptor, fcntl.F_GETFL) for descriptor in given]


def read_all(reader: int, size: int) -> bytes:
    """Read ``size`` bytes as another program would, blocking, in a thread."""
    received = b""
    while len(received) < size:
        received += os.read(reader, 65536)
    return received


@pytest.mark.parametrize("kind", WRITTEN)
async def test_all_is_written_though_the_other_side_is_slow_and_no_flag_changes(
    ends: Callable[[str], tuple[int, int]], kind: str
) -> None:
    reader, writer = ends(kind)
    before = flags(reader, writer)
    data = os.urandom(300_000).replace(b"\x04", b"")
    sink = DescriptorSink(writer)
    async with anyio.create_task_group() as group:
        group.start_soon(sink.send, data)
        await anyio.wait_all_tasks_blocked()
        assert flags(reader, writer) == before
        got = await anyio.to_thread.run_sync(read_all, reader, len(data))
    await sink.aclose()
    assert got == data
    assert flags(reader, writer) == before


@pytest.mark.parametrize("kind", READ)
async def test_what_is_written_is_read_and_no_flag_changes(
    ends: Callable[[str], tuple[int, int]], kind: str
) -> None:
    reader, writer = ends(kind)
    before = flags(reader, writer)
    source = DescriptorSource(reader)
    async with anyio.create_task_group() as group:
        got: list[bytes] = []

        async def read() -> None:
            got.append(await source.receive())

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        assert flags(reader, writer) == before
        os.write(writer, b"typed")
    assert got == [b"typed"]
    await source.aclose()


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal to read"])
async def test_a_read_that_is_cancelled_loses_nothing(
    ends: Callable[[str], tuple[int, int]], kind: str
) -> None:
    reader, writer = ends(kind)
    source = DescriptorSource(reader)
    for _ in range(3):
        with anyio.move_on_after(0.005) as scope:
            await source.receive()
        assert scope.cancelled_caught
    os.write(writer, b"typed")
    assert await source.receive() == b"typed"
    source.close()


async def test_a_pipe_that_its_writer_left_is_at_its_end() -> None:
    reader, writer = os.pipe()
    source = DescriptorSource(reader)
    os.write(writer, b"last")
    os.close(writer)
    assert [chunk async for chunk in source] == [b"last"]
    source.close()
    os.close(reader)


async def test_a_terminal_that_was_hung_up_is_at_its_end() -> None:
    master, slave = pty.openpty()
    source = DescriptorSource(slave)
    os.close(master)
    with pytest.raises(anyio.EndOfStream):
        await source.receive()
    source.close()
    os.close(slave)


async def test_writing_where_nobody_reads_is_told() -> None:
    reader, writer = os.pipe()
    sink = DescriptorSink(writer)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        await sink.send(b"x")
    sink.close()
    late = DescriptorSink(writer)
    with pytest.raises(BrokenPipeError):
        await late.send(b"x")
    late.close()
    os.close(writer)


async def test_a_file_is_read_from_where_the_shell_stands_and_moves_it(tmp_path: Path) -> None:
    """``{ read line; program; cat; } < file``: all of them share one offset."""
    (tmp_path / "in").write_bytes(b"header\nbody")
    shell = os.open(tmp_path / "in", os.O_RDONLY)
    os.read(shell, 7)
    source = DescriptorSource(shell)
    assert await source.receive() == b"body"
    with pytest.raises(anyio.EndOfStream):
        await source.receive()
    assert os.lseek(shell, 0, os.SEEK_CUR) == 11
    source.close()
    os.close(shell)


async def test_who_is_cancelled_leaves_no_call_behind_that_would_hit_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is another file's once the descriptor is closed."""
    begun, go = threading.Event(), threading.Event()
    write, written = os.write, list[int]()

    def slow_disk(descriptor: int, data: memoryview) -> int:
        begun.set()
        assert go.wait(10)
        written.append(write(descriptor, data))
        return written[-1]

    file = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    sink = DescriptorSink(file)
    monkeypatch.setattr("containerd_aio.stdio.descriptors.os.write", slow_disk)
    sending = asyncio.ensure_future(sink.send(b"all of it"))
    await anyio.to_thread.run_sync(begun.wait)
    sending.cancel()
    await anyio.wait_all_tasks_blocked()
    assert not sending.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert written == [9]
    sink.close()
    sink.close()
    os.close(file)


async def test_dev_null_takes_everything_and_gives_nothing() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    sink, source = DescriptorSink(null), DescriptorSource(null)
    await sink.send(bytes(100_000))
    with pytest.raises(anyio.EndOfStream):
        await source.receive()
    sink.close()
    source.close()
    os.close(null)


@pytest.mark.parametrize("kind", ["pipe", "terminal to write"])
async def test_where_it_cannot_be_opened_again_little_is_written_at_a_time_and_the_loop_never_waits(
    ends: Callable[[str], tuple[int, int]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after ``su``, when the terminal is another user's."""
    reader, writer = ends(kind)

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        sink = DescriptorSink(writer)
    data = os.urandom(200_000)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader, len(data))))
    async with anyio.create_task_group() as group:
        group.start_soon(sink.send, data)
        with anyio.fail_after(30):
            await anyio.sleep(0.02)  # the other side does not read: were the write blocking, this would hang
        thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert got == [data]
    assert not flags(writer)[0] & os.O_NONBLOCK
    sink.close()


async def test_a_pipe_that_others_made_non_blocking_works_too(
    ends: Callable[[str], tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = ends("socket")
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    source, sink = DescriptorSource(reader), DescriptorSink(writer)
    await sink.send(b"x")
    assert await source.receive() == b"x"
    source.close()
    sink.close()


async def test_only_what_is_open_the_right_way_is_taken() -> None:
    reader, writer = os.pipe()
    with pytest.raises(InvalidArgumentError, match=f"descriptor {reader} is not open for writing"):
        DescriptorSink(reader)
    with pytest.raises(InvalidArgumentError, match=f"descriptor {writer} is not open for reading"):
        DescriptorSource(writer)
    os.close(reader)
    os.close(writer)
    with pytest.raises(InvalidArgumentError, match=f"descriptor {reader} is not open$"):
        DescriptorSource(reader)


async def test_a_ptys_master_is_not_opened_again() -> None:
    """To open /dev/ptmx is to make another pty."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    before = set(descriptors().values())
    sink = DescriptorSink(master)
    assert set(descriptors().values()) == before
    await sink.send(b"x")
    assert os.read(slave, 10) == b"x"
    sink.close()
    os.close(master)
    os.close(slave)
