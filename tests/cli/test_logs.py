"""Reading a log file: from its last lines on, and as it is written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.cli.logs import copy, copy_until_ended, is_written, start_of_last_lines
from containerd_aio.cli.output import Output
from containerd_aio.errors import ProcessLostError
from containerd_aio.types import ExitStatus


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.touch()
    return path


@pytest.fixture
def descriptor(log: Path) -> Iterator[int]:
    descriptor = os.open(log, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


class Reader:
    """Whoever reads what is printed."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self.output = Output(writing)
        self._writing = writing

    async def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            await anyio.wait_readable(self._reading)
            got += os.read(self._reading, size - len(got))
        return got

    def rest(self) -> bytes:
        self.close_writer()
        with os.fdopen(self._reading, "rb", closefd=False) as file:
            return file.read()

    def close_writer(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def close(self) -> None:
        self.close_writer()
        os.close(self._reading)


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@given(st.lists(st.sampled_from([b"a", b"\n", b"bcd", b"\n\n"])), st.integers(0, 8), st.integers(1, 5))
def test_the_last_lines_are_those_that_tail_shows(parts: list[bytes], count: int, repeated: int) -> None:
    content = b"".join(parts) * repeated
    descriptor = os.memfd_create("log")
    try:
        os.write(descriptor, content)
        start = start_of_last_lines(descriptor, count)
    finally:
        os.close(descriptor)
    lines = content.splitlines(keepends=True)
    assert content[start:] == b"".join(lines[len(lines) - count :] if count < len(lines) else lines)


def test_long_lines_are_found_over_block_ends(log: Path, descriptor: int) -> None:
    lines = [b"x" * 70_000 + b"\n", b"y" * 130_000 + b"\n", b"z" * 65_536]
    log.write_bytes(b"".join(lines))
    for count in range(4):
        start = start_of_last_lines(descriptor, count)
        assert log.read_bytes()[start:] == b"".join(lines[3 - count :])


def test_whether_a_file_is_written_is_known(log: Path, descriptor: int) -> None:
    assert not is_written(descriptor)
    with log.open("ab"):
        assert is_written(descriptor)
    assert not is_written(descriptor)


async def test_a_file_that_was_cut_shorter_is_begun_anew(log: Path, descriptor: int, reader: Reader) -> None:
    log.write_bytes(b"a long first line\n")
    await copy(descriptor, reader.output)
    log.write_bytes(b"new\n")
    await copy(descriptor, reader.output)
    assert reader.rest() == b"a long first line\nnew\n"


@asynccontextmanager
async def following(
    log: Path, descriptor: int, reader: Reader, *, patience: float = 60
) -> AsyncIterator[asyncio.Future[ExitStatus]]:
    """Follow a log; yields the end of its task. Leaving the block waits until following has ended."""
    exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            follow = partial(copy_until_ended, patience=patience)
            group.start_soon(follow, log, descriptor, reader.output, exited)
            yield exited


async def test_what_is_written_is_shown_at_once(log: Path, descriptor: int, reader: Reader) -> None:
    log.write_bytes(b"before\n")
    with log.open("ab", buffering=0) as shim:
        async with following(log, descriptor, reader) as exited:
            assert await reader.read(7) == b"before\n"
            for number in range(3):
                shim.write(b"%d" % number)
                assert await reader.read(1) == b"%d" % number
            shim.close()
            exited.set_result(ExitStatus(0))


async def test_what_the_shim_writes_after_the_end_is_shown(
    log: Path, descriptor: int, reader: Reader
) -> None:
    with log.open("ab", buffering=0) as shim:
        async with following(log, descriptor, reader) as exited:
            shim.write(b"a")
            assert await reader.read(1) == b"a"
            exited.set_result(ExitStatus(0))
            await anyio.wait_all_tasks_blocked()
            shim.write(b"b")
            assert await reader.read(1) == b"b"
            shim.write(b"the last")
            shim.close()
    assert reader.rest() == b"the last"


async def test_a_task_that_has_ended_before_is_shown_to_its_end(
    log: Path, descriptor: int, reader: Reader
) -> None:
    log.write_bytes(b"all")
    async with following(log, descriptor, reader) as exited:
        exited.set_result(ExitStatus(0))
    assert reader.rest() == b"all"


async def test_a_file_that_somebody_else_goes_on_writing_is_not_followed_for_ever(
    log: Path, descriptor: int, reader: Reader
) -> None:
    with log.open("ab", buffering=0) as other:
        async with following(log, descriptor, reader, patience=0.05) as exited:
            other.write(b"x")
            exited.set_exception(ProcessLostError("how it ended is not known"))
    assert reader.rest() == b"x"


async def test_whoever_reads_slowly_gets_all_of_it(log: Path, descriptor: int, reader: Reader) -> None:
    """As ``| less`` does: what is waited for after the end is the shim, not the reader."""
    text = b"x" * 1_000_000
    log.write_bytes(text)
    async with following(log, descriptor, reader, patience=0) as exited:
        exited.set_result(ExitStatus(0))
        await anyio.wait_all_tasks_blocked()  # the pipe is full
        got = await reader.read(len(text))
    assert got == text
