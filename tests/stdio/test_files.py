"""The user's file objects, and the words for what is none."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path

import anyio
import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.files import as_sink, as_source, check_sink, check_source


class Halting(io.RawIOBase):
    """A raw file that takes two bytes at a time."""

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: object) -> int:
        self.got += bytes(memoryview(data)[:2])  # type: ignore[arg-type]
        return min(2, len(memoryview(data)))  # type: ignore[arg-type]


class Simple:
    """The least that a file can be."""

    def __init__(self) -> None:
        self.got = b""
        self.thread: int | None = None

    def write(self, data: bytes) -> None:
        self.got += data
        self.thread = threading.get_ident()


async def test_a_raw_file_that_takes_little_gets_all() -> None:
    file = Halting()
    await as_sink(file).send(b"abcde")
    assert file.got == b"abcde"


async def test_what_has_only_write_will_do_and_is_called_in_a_thread() -> None:
    file = Simple()
    await as_sink(file).send(b"abc")
    assert file.got == b"abc"
    assert file.thread != threading.get_ident()


async def test_a_buffered_file_is_flushed_so_that_output_shows_as_it_comes(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        await as_sink(file).send(b"line")
        assert (tmp_path / "log").read_bytes() == b"line"


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    with (tmp_path / "in").open("rb") as file:
        assert b"".join([chunk async for chunk in as_source(file)]) == b"x" * 100_000


async def test_a_buffered_pipe_gives_what_there_is() -> None:
    """read() would wait until it had all that was asked for."""
    reader, writer = os.pipe()
    with io.BufferedReader(io.FileIO(reader)) as file:
        os.write(writer, b"some")
        with anyio.fail_after(30):
            assert await as_source(file).receive() == b"some"
        os.close(writer)


async def test_a_read_that_waits_does_not_hold_up_a_cancellation() -> None:
    reader, writer = os.pipe()
    with io.FileIO(reader) as file:
        with anyio.fail_after(30), anyio.move_on_after(0.02):
            await as_source(file).receive()
        os.close(writer)  # lets the thread go


async def test_non_blocking_raw_files_are_refused_when_they_have_nothing() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    with io.FileIO(reader) as source, io.FileIO(writer, "wb") as sink:
        with pytest.raises(BlockingIOError, match="stdin is non-blocking"):
            await as_source(source).receive()
        with pytest.raises(BlockingIOError, match="output is non-blocking"):
            await as_sink(sink).send(bytes(1024 * 1024))


async def test_the_users_files_stay_open() -> None:
    source, sink = io.BytesIO(), io.BytesIO()
    await as_source(source).aclose()
    await as_sink(sink).aclose()
    assert not source.closed
    assert not sink.closed


async def _read(_: int) -> bytes:
    return b""


class AsyncFile:
    """What an asyncio StreamReader looks like from here."""

    read = staticmethod(_read)
    write = staticmethod(_read)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(sys.stdin, r"a text file has its binary one at \.buffer", id="pytest's stdin"),
        pytest.param(io.TextIOWrapper(io.BytesIO()), "not TextIOWrapper; a text file", id="text file"),
        pytest.param(io.StringIO(), r"not StringIO; a text file", id="text in memory"),
        pytest.param("path", "not str$", id="path"),
        pytest.param(1, "not int$", id="number"),
        pytest.param(AsyncFile(), "not AsyncFile$", id="another kind of async file"),
    ],
)
def test_what_is_neither_stream_nor_binary_file_is_refused(given: object, message: str) -> None:
    with pytest.raises(
        InvalidArgumentError, match=rf"streams\(stdin=\.\.\.\) takes an anyio stream .*{message}"
    ):
        check_source("stdin", given)
    with pytest.raises(
        InvalidArgumentError, match=rf"streams\(stderr=\.\.\.\) takes an anyio stream .*{message}"
    ):
        check_sink("stderr", given)


def test_a_stream_of_the_wrong_direction_is_refused() -> None:
    send, receive = anyio.create_memory_object_stream[bytes]()
    with send, receive:
        with pytest.raises(InvalidArgumentError, match="receive from"):
            check_source("stdin", send)
        with pytest.raises(InvalidArgumentError, match="send to"):
            check_sink("stdout", receive)
