"""Copying between a process and the user's own streams, and what happens when those fail."""

from __future__ import annotations

import asyncio
import io
import math
import os

import anyio
import pytest
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

from containerd_aio.errors import UnavailableError
from containerd_aio.stdio import opened as stdio_opened
from containerd_aio.stdio import streams
from containerd_aio.stdio.connect import ConnectedStdio
from tests.stdio.shim import created, running


class Sink(ByteSendStream):
    """Keeps what it gets; fails, or waits for ever, when it is told to."""

    def __init__(self) -> None:
        self.got = b""
        self.failure: Exception | None = None
        self.stuck = False
        self.closed = False

    async def send(self, item: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        if self.stuck:
            await anyio.sleep_forever()
        self.got += item

    async def aclose(self) -> None:
        self.closed = True


class Source(ByteReceiveStream):
    """Gives its chunks; an exception among them is raised; after the last it waits, or ends."""

    def __init__(self, *chunks: bytes | Exception, ends: bool = True) -> None:
        self._chunks = list(chunks)
        self._ends = ends
        self.closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await checkpoint()
        if not self._chunks:
            if not self._ends:
                await anyio.sleep_forever()
            raise anyio.EndOfStream
        chunk = self._chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def aclose(self) -> None:
        self.closed = True


async def test_outputs_are_copied_whole_and_the_users_streams_left_open(fifo_dir: str) -> None:
    out, err = Sink(), Sink()
    async with running(streams(None, out, err), fifo_dir) as (opened, shim):
        data = os.urandom(700_000)
        await shim.write(data)
        await shim.write(b"err", "stderr")
        shim.end()
        await opened.drain(10)
        assert opened.complete
        await opened.aclose()
    assert (out.got, err.got) == (data, b"err")
    assert not out.closed


async def test_nothing_is_copied_before_the_start(fifo_dir: str) -> None:
    out = Sink()
    async with created(streams(None, out), fifo_dir) as (opened, shim):
        await shim.write(b"early")
        await anyio.wait_all_tasks_blocked()
        assert out.got == b""
        await opened.started()
        await anyio.wait_all_tasks_blocked()
        assert out.got == b"early"


async def test_input_is_copied_and_its_end_reaches_the_process(fifo_dir: str) -> None:
    source = Source(b"one ", b"two")
    async with running(streams(source), fifo_dir) as (_, shim):
        with anyio.fail_after(30):
            assert await shim.read() == b"one two"
        assert shim.close_io_calls == 1
    assert not source.closed


async def test_object_streams_of_bytes_fit_too(fifo_dir: str) -> None:
    send_in, receive_in = anyio.create_memory_object_stream[bytes](2)
    send_out, receive_out = anyio.create_memory_object_stream[bytes](2)
    async with running(streams(receive_in, send_out), fifo_dir) as (opened, shim):
        await send_in.send(b"in")
        send_in.close()
        assert await shim.read() == b"in"
        await shim.write(b"out")
        assert await receive_out.receive() == b"out"
        shim.end()
        await opened.drain(5)
    for stream in (receive_in, send_out, receive_out):
        stream.close()


async def test_files_are_read_and_written(fifo_dir: str) -> None:
    source, out = io.BytesIO(b"in"), io.BytesIO()
    async with running(streams(source, out), fifo_dir) as (opened, shim):
        assert await shim.read() == b"in"
        await shim.write(b"out")
        shim.end()
        await opened.drain(5)
    assert out.getvalue() == b"out"


async def test_a_sink_that_fails_does_not_hold_up_the_process_and_the_error_comes_out_of_closing(
    fifo_dir: str,
) -> None:
    out, err = Sink(), Sink()
    out.failure = ValueError("the user's")
    async with running(streams(None, out, err), fifo_dir) as (opened, shim):
        with anyio.fail_after(30):
            await shim.write(bytes(4 * 1024 * 1024))
        await shim.write(b"err", "stderr")
        shim.end()
        await opened.drain(5)
        assert err.got == b"err"
        assert not opened.complete
        assert opened.failure is out.failure
        with pytest.raises(ValueError, match="the user's"):
            await opened.aclose()
        assert os.listdir(fifo_dir) == []


async def test_a_sink_whose_own_work_was_cancelled_is_one_that_failed(fifo_dir: str) -> None:
    """It raises CancelledError, though nobody has cancelled the copying."""

    class Cancelled(Sink):
        async def send(self, item: bytes) -> None:
            raise asyncio.CancelledError("its own")

    async with running(streams(None, Cancelled()), fifo_dir) as (opened, shim):
        with anyio.fail_after(30):
            await shim.write(bytes(4 * 1024 * 1024))
        shim.end()
        await opened.drain(5)
        assert not opened.complete
        assert opened.failure is not None
        with pytest.raises(RuntimeError, match="cancelled"):
            await opened.aclose()


async def test_a_sink_that_is_stuck_bounds_the_drain_and_the_closing(fifo_dir: str) -> None:
    out = Sink()
    out.stuck = True
    stdio = ConnectedStdio(stdout=lambda _: out, patience=0.05)
    async with running(stdio, fifo_dir) as (opened, shim):
        await shim.write(b"x")
        shim.end()
        with anyio.fail_after(30):
            await opened.drain(60)
            assert not opened.complete
            await opened.aclose()
        assert opened.failure is None


async def test_who_is_in_a_hurry_waits_less_for_a_sink_that_is_stuck(
    fifo_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_opened, "HURRY", 0.05)
    out = Sink()
    out.stuck = True
    async with running(streams(None, out), fifo_dir) as (opened, shim):
        await shim.write(b"x")
        shim.end()
        opened.hurry()
        with anyio.fail_after(30):
            await opened.drain(60)
        assert not opened.complete


async def test_a_drain_under_way_hears_that_there_is_a_hurry(
    fifo_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves the block waits for a delete() that another task has begun: it would wait for ever."""
    monkeypatch.setattr(stdio_opened, "HURRY", 0.05)
    out = Sink()
    out.stuck = True
    stdio = ConnectedStdio(stdout=lambda _: out, patience=math.inf)
    async with running(stdio, fifo_dir) as (opened, shim):
        await shim.write(b"x")
        shim.end()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(opened.drain, 60)
                await anyio.wait_all_tasks_blocked()
                opened.hurry()
        assert not opened.complete


async def test_a_sink_that_is_slow_gets_all_of_it_and_does_not_hold_up_the_shim(fifo_dir: str) -> None:
    """As ``| less`` is: the shim would close the output 2 s after Delete, and what it had not written was lost."""
    send, receive = anyio.create_memory_object_stream[bytes](0)
    async with running(streams(None, send), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        written = shim.fill()
        group.start_soon(opened.drain, 60)
        with anyio.fail_after(30):
            await shim.write(bytes(100_000))
        shim.end()
        await anyio.wait_all_tasks_blocked()
        got = 0
        while got < written + 100_000:
            got += len(await receive.receive())
    assert opened.complete
    send.close()
    receive.close()


async def test_output_that_is_given_up_while_it_is_copied_is_not_complete(fifo_dir: str) -> None:
    out = Sink()
    out.stuck = True
    async with running(streams(None, out), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        await shim.write(b"x")
        shim.end()
        group.start_soon(opened.drain, 60)
        await anyio.wait_all_tasks_blocked()
        assert opened.complete
        with anyio.fail_after(30):
            await opened.aclose()
        assert not opened.complete


async def test_closing_ends_a_drain_that_has_only_begun_to_copy(fifo_dir: str) -> None:
    stdio = ConnectedStdio(stdout=lambda _: Sink(), patience=math.inf)
    async with created(stdio, fifo_dir) as (opened, shim):
        await shim.write(b"x")
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                drain = asyncio.ensure_future(opened.drain(60))
                group.start_soon(opened.aclose)
                await drain


async def test_a_drain_that_has_no_time_for_the_end_still_has_what_came_copied(fifo_dir: str) -> None:
    send, receive = anyio.create_memory_object_stream[bytes](0)
    async with running(streams(None, send), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        written = shim.fill()
        group.start_soon(opened.drain, 0)
        await anyio.wait_all_tasks_blocked()
        got = 0
        while got < written:
            got += len(await receive.receive())
    assert not opened.complete, "somebody still holds it open"
    send.close()
    receive.close()


async def test_a_source_that_fails_ends_the_input_and_the_error_comes_out_of_closing(fifo_dir: str) -> None:
    async with running(streams(Source(b"so far", OSError("unplugged"))), fifo_dir) as (opened, shim):
        with anyio.fail_after(30):
            assert await shim.read() == b"so far"
        assert opened.complete, "this is about output"
        with pytest.raises(OSError, match="unplugged"):
            await opened.aclose()


async def test_a_process_that_reads_no_more_ends_the_copying_of_input_in_silence(fifo_dir: str) -> None:
    source = Source(*[bytes(65536)] * 100, ends=False)
    async with running(streams(source), fifo_dir) as (opened, shim):
        shim.stop_reading()
        await anyio.wait_all_tasks_blocked()
        await opened.aclose()


async def test_input_that_never_ends_is_not_waited_for(fifo_dir: str) -> None:
    """Waiting for the input made clients hang until somebody pressed Enter (containerd issue 1389)."""
    async with running(streams(Source(ends=False), Sink()), fifo_dir) as (opened, shim):
        shim.end()
        with anyio.fail_after(30):
            await opened.drain(60)
            await opened.aclose()
        assert opened.complete


async def test_a_close_that_containerd_cannot_be_told_comes_out_of_closing(fifo_dir: str) -> None:
    async def refused() -> None:
        raise UnavailableError("not now")

    async with created(streams(Source(b"x")), fifo_dir) as (opened, _):
        opened.on_stdin_closed(refused)
        await opened.started()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(UnavailableError):
            await opened.aclose()


async def test_the_first_failure_is_told_once(fifo_dir: str) -> None:
    out = Sink()
    out.failure = ValueError("first")
    async with running(streams(Source(OSError("second")), out), fifo_dir) as (opened, shim):
        await shim.write(b"x")
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ValueError, match="first"):
            await opened.aclose()
        await opened.aclose()


async def test_a_cancelled_closing_stops_the_copying_and_tells_the_failure_later(fifo_dir: str) -> None:
    out = Sink()
    out.failure = ValueError("the user's")
    async with running(streams(Source(ends=False), out), fifo_dir) as (opened, shim):
        await shim.write(b"x")
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as scope:
            scope.cancel()
            with pytest.raises(ValueError, match="the user's"):
                await opened.aclose()
        assert os.listdir(fifo_dir) == []
        await opened.aclose()


async def test_the_copying_runs_beside_the_users_block(fifo_dir: str) -> None:
    """A user's scope that is cancelled does not end it: only closing does."""
    out = Sink()
    with anyio.CancelScope() as scope:
        async with created(streams(None, out), fifo_dir) as (opened, shim):
            with anyio.CancelScope(shield=True):
                await opened.started()
                scope.cancel()
                await shim.write(b"after")
                await anyio.wait_all_tasks_blocked()
                assert out.got == b"after"
