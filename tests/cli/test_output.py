"""Writing to what somebody reads, or reads slowly, or does not read any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from containerd_aio.cli.output import Output, until_closed


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends a test may close."""
    ends = os.pipe()
    opened = [os.fstat(end).st_ino for end in ends]
    yield ends
    for end, inode in zip(ends, opened, strict=True):
        try:
            still = os.fstat(end).st_ino == inode
        except OSError:
            continue
        if still:
            os.close(end)


async def test_more_than_a_pipe_holds_is_written_as_it_is_read(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    text = "äöü" * 50_000
    got = bytearray()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(Output(writing).write, text)
            while len(got) < len(text.encode()):
                await anyio.wait_readable(reading)
                got += os.read(reading, 10_000)
    assert got.decode() == text


async def test_a_write_that_nobody_reads_can_be_cancelled(pipe: tuple[int, int]) -> None:
    """It leaves the pipe as it was: others may share it."""
    with anyio.fail_after(60):
        with anyio.move_on_after(0.05) as scope:
            await Output(pipe[1]).write("x" * 1_000_000)
    assert scope.cancelled_caught
    assert os.get_blocking(pipe[1])


async def test_a_write_without_a_reader_fails(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with anyio.fail_after(60), pytest.raises(BrokenPipeError):
        await Output(pipe[1]).write("x")


async def test_files_are_written_to(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb") as file:
        output = Output(file.fileno())
        with until_closed(file.fileno()):
            await output.write("one\n")
            await output.write("two\n" * 10_000)
    assert path.read_text() == "one\n" + "two\n" * 10_000


async def test_the_block_is_left_when_the_reader_goes(pipe: tuple[int, int]) -> None:
    async def go_away() -> None:
        await wait_all_tasks_blocked()
        os.close(pipe[0])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(go_away)
            with until_closed(pipe[1]):
                await anyio.sleep_forever()


async def test_the_block_is_left_when_a_write_finds_no_reader(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with anyio.fail_after(60), until_closed(pipe[1]):
        await Output(pipe[1]).write("x")
        pytest.fail("nobody read it")


async def test_a_pipe_that_is_open_both_ways_never_ends_the_block(tmp_path: Path) -> None:
    """Its own data would make it readable."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    reached = False
    try:
        with until_closed(descriptor):
            await Output(descriptor).write("x")
            await wait_all_tasks_blocked()
            reached = True
    finally:
        os.close(descriptor)
    assert reached
