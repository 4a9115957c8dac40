"""Waiting for a descriptor: any number of waiters, and nothing left in the event loop."""

from __future__ import annotations

import os
from collections.abc import Generator

import anyio
import pytest

from containerd_aio.stdio.readiness import Readiness


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    """A pipe: its read end and its write end."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    yield reader, writer
    os.close(reader)
    os.close(writer)


async def test_all_who_wait_are_told(pipe: tuple[int, int]) -> None:
    readable = Readiness(pipe[0])
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(readable.wait)
        await anyio.wait_all_tasks_blocked()
        os.write(pipe[1], b"x")
    await readable.wait()


async def test_a_cancelled_waiter_leaves_the_others_waiting(pipe: tuple[int, int]) -> None:
    readable = Readiness(pipe[0])
    async with anyio.create_task_group() as group:
        group.start_soon(readable.wait)
        with anyio.move_on_after(0.01) as scope:
            await readable.wait()
        assert scope.cancelled_caught
        os.write(pipe[1], b"x")


async def test_stopping_wakes_all_and_the_number_may_be_used_again(pipe: tuple[int, int]) -> None:
    """A descriptor that stayed in the event loop would wake, or fail, whoever gets its number next."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    readable = Readiness(reader)
    async with anyio.create_task_group() as group:
        group.start_soon(readable.wait)
        group.start_soon(readable.wait)
        await anyio.wait_all_tasks_blocked()
        readable.stop()
        os.close(reader)
        assert os.dup(pipe[0]) == reader
    again = Readiness(reader)
    os.write(pipe[1], b"x")
    with anyio.fail_after(30):
        await again.wait()
    os.close(reader)
    os.close(writer)


async def test_writing_is_waited_for_too(pipe: tuple[int, int]) -> None:
    writable = Readiness(pipe[1], write=True)
    await writable.wait()
    os.write(pipe[1], bytes(65536))
    with anyio.move_on_after(0.01) as scope:
        await writable.wait()
    assert scope.cancelled_caught
    os.read(pipe[0], 65536)
    with anyio.fail_after(30):
        await writable.wait()


async def test_what_cannot_be_watched_says_so_and_can_be_tried_again() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY)
    readable = Readiness(descriptor)
    for _ in range(2):
        with pytest.raises(PermissionError):
            await readable.wait()
    os.close(descriptor)
