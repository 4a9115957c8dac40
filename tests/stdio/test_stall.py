"""Who waits for a process whose output nobody reads is told so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from containerd_aio.stdio import OpenStdio, pipes, streams
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.stdio.stall import PATIENCE, Stall
from tests.stdio.shim import Shim, running


class Clock(asyncio.TimerHandle):
    """Stands for the event loop's clock; it also is the handle of what is to be called."""

    def __init__(self) -> None:
        self._due: tuple[Callable[..., object], tuple[Any, ...]] | None = None

    def call_later(self, delay: float, call: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        assert delay == PATIENCE
        assert self._due is None, "one look at a time"
        self._due = call, args
        return self

    def cancel(self) -> None:
        self._due = None

    @property
    def runs(self) -> bool:
        return self._due is not None

    def strikes(self) -> None:
        """The time to look has come."""
        assert self._due is not None
        (call, args), self._due = self._due, None
        call(*args)


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    return [record.getMessage() for record in caplog.records if record.name == "containerd_aio.stdio"]


def stall_of(opened: OpenStdio, clock: Clock, *, copied: bool = False) -> Stall:
    outputs = [stream for stream in (opened.stdout, opened.stderr) if isinstance(stream, FifoReceiveStream)]
    return Stall([] if copied else outputs, outputs if copied else [], clock.call_later)


@pytest.mark.parametrize("write", [100, 3000, 4096])
async def test_it_is_known_which_output_is_full(fifo_dir: str, write: int) -> None:
    """How many bytes that takes depends on how they are written: small writes may take a page each."""
    async with running(pipes(), fifo_dir) as (opened, shim):
        assert not opened.full
        shim.fill("stderr", write=write)
        assert opened.full == ("stderr",)
        assert opened.stderr is not None
        while opened.full:
            await opened.stderr.receive(4096)
    assert not opened.full


async def test_whoever_waits_is_told_once_which_stream_stands_still(
    fifo_dir: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with running(pipes(), fifo_dir) as (opened, shim):
        stall = stall_of(opened, clock)
        stall.awaited(future(), "task 'web'")
        stall.awaited(future(), "task 'web'")
        clock.strikes()
        assert told(caplog) == []
        shim.fill("stdout")
        clock.strikes()
        stall.awaited(future(), "task 'web'")
        assert not clock.runs
    assert told(caplog) == [
        "task 'web' is waited for, but cannot go on: nobody reads its stdout, and the FIFO is full;"
        " receive from process.stdout, or close it"
    ]


async def test_what_is_copied_somewhere_is_told_as_such(
    fifo_dir: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with running(pipes(), fifo_dir) as (opened, shim):
        stall_of(opened, clock, copied=True).awaited(future(), "task 'web'")
        shim.fill("stderr")
        clock.strikes()
    [message] = told(caplog)
    assert "nothing takes what is copied from its stderr" in message


async def test_an_output_that_is_full_and_read_slowly_is_no_stall(
    fifo_dir: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with running(pipes(), fifo_dir) as (opened, shim):
        assert opened.stdout is not None
        stall_of(opened, clock).awaited(future(), "task 'web'")
        for _ in range(3):
            shim.fill("stdout")
            await opened.stdout.receive(4096)
            shim.fill("stdout")
            clock.strikes()
    assert told(caplog) == []


async def test_nobody_looks_where_nobody_waits_any_more(fifo_dir: str) -> None:
    clock = Clock()
    async with running(pipes(), fifo_dir) as (opened, _):
        stall = stall_of(opened, clock)
        done, first, second = future(), future(), future()
        done.set_result(None)
        stall.awaited(done, "task 'web'")
        assert not clock.runs
        stall.awaited(first, "task 'web'")
        stall.awaited(second, "task 'web'")
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert clock.runs
        second.set_result(None)
        await anyio.wait_all_tasks_blocked()
        assert not clock.runs
        stall.awaited(future(), "task 'web'")
        assert clock.runs, "who waits again is heard again"
        stall.stop()
        assert not clock.runs


async def test_a_process_without_outputs_is_not_looked_at() -> None:
    clock = Clock()
    Stall([], [], clock.call_later).awaited(future(), "task 'web'")
    assert not clock.runs


async def test_an_open_process_is_looked_at_as_long_as_its_streams_are_open(fifo_dir: str) -> None:
    """With the clock of the event loop itself."""
    send, receive = anyio.create_memory_object_stream[bytes](0)
    for stdio in (pipes(), streams(None, send)):
        async with running(stdio, fifo_dir) as (opened, shim):
            opened.awaited(future(), "task 'web'")
            await fill(shim)
            assert opened.full == ("stdout",)
    send.close()
    receive.close()


async def fill(shim: Shim) -> None:
    """Fill stdout, and what its copy takes at once."""
    while shim.fill("stdout"):
        await anyio.wait_all_tasks_blocked()
