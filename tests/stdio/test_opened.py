"""The streams of one process from Create to Delete, over pipes: what is complete, what ends, what is left."""

from __future__ import annotations

import os

import anyio
import pytest
from anyio.lowlevel import checkpoint

from containerd_aio.errors import UnavailableError
from containerd_aio.stdio import OpenStdio, pipes
from containerd_aio.stdio import opened as stdio_opened
from containerd_aio.stdio.receive import KEPT_BYTES
from tests.stdio.conftest import exists
from tests.stdio.shim import PROCESS_ID, created, running


async def both(opened: OpenStdio) -> tuple[bytes, bytes]:
    assert opened.stdout is not None
    assert opened.stderr is not None
    return (
        b"".join([chunk async for chunk in opened.stdout]),
        b"".join([chunk async for chunk in opened.stderr]),
    )


async def test_both_outputs_are_received_apart(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        await shim.write(b"out")
        await shim.write(b"err", "stderr")
        shim.end()
        assert await both(opened) == (b"out", b"err")
        assert opened.complete


async def test_a_process_that_writes_nothing_ends_as_soon_as_it_is_started(fifo_dir: str) -> None:
    """Its shim may have come and gone before Start has answered."""
    async with created(pipes(), fifo_dir) as (opened, shim):
        shim.end()
        await opened.started()
        await opened.started()
        assert await both(opened) == (b"", b"")


async def test_an_output_does_not_end_before_the_process_is_started(fifo_dir: str) -> None:
    async with created(pipes(), fifo_dir) as (opened, shim):
        assert opened.stdout is not None
        await shim.write(b"said before Start answered")
        shim.end()
        assert await opened.stdout.receive() == b"said before Start answered"
        with anyio.move_on_after(0.02) as scope:
            await opened.stdout.receive()
        assert scope.cancelled_caught
        await opened.started()
        assert await both(opened) == (b"", b"")


async def test_what_nobody_read_is_received_after_the_delete(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        size = shim.fill()
        await shim.write(b"err", "stderr")
        shim.end()
        await opened.drain(1)
        await opened.aclose()
        assert os.listdir(fifo_dir) == []
        out, err = await both(opened)
        assert (len(out), err) == (size, b"err")
        assert opened.complete


async def test_draining_returns_at_once_after_a_start_that_failed(fifo_dir: str) -> None:
    opened = await pipes(stdin=True).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    with anyio.fail_after(30):
        await opened.drain(60)
    await opened.aclose()
    assert await both(opened) == (b"", b"")
    assert opened.complete


async def test_a_drain_that_has_no_time_still_keeps_what_is_there(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        await shim.write(bytes(300_000) if os.geteuid() == 0 else b"x")
        await shim.write(b"err", "stderr")
        shim.end(["stdout"])
        await opened.drain(0)
        assert not opened.complete, "stderr is still open"
        out, err = await both(opened)
        assert (len(out), err) == (300_000 if os.geteuid() == 0 else 1, b"err")


async def test_a_process_left_behind_that_holds_an_output_is_cut_off(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        await shim.write(b"so far")
        shim.end(["stderr"])
        with anyio.fail_after(30):
            await opened.drain(0.05)
        assert not opened.complete
        await opened.aclose()
        await shim.write(b"too late")
        assert await both(opened) == (b"so far", b"")


async def test_an_output_that_the_shim_closed_after_its_own_drain_is_not_complete(
    fifo_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks like the end, and comes 2 or 10 seconds after Delete."""
    monkeypatch.setattr(stdio_opened, "SHIM_DRAINS", (0.0,))  # at once, that is
    async with running(pipes(), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        group.start_soon(opened.drain, 5)
        await anyio.wait_all_tasks_blocked()
        shim.end()
    assert not opened.complete


async def test_a_process_left_behind_that_ends_in_time_leaves_the_output_complete(
    fifo_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_opened, "SHIM_DRAINS", (60.0,))
    async with running(pipes(), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        group.start_soon(opened.drain, 5)
        await anyio.wait_all_tasks_blocked()
        await shim.write(b"afterwards")
        shim.end()
    assert opened.complete
    assert (await both(opened))[0] == b"afterwards"


async def test_a_process_left_behind_that_floods_is_bounded_in_memory_and_time(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim), anyio.create_task_group() as group:

        async def flood() -> None:
            while True:
                await shim.write(bytes(65536))

        group.start_soon(flood)
        with anyio.fail_after(30):
            await opened.drain(0.2)
        group.cancel_scope.cancel()
    assert not opened.complete
    assert len((await both(opened))[0]) == KEPT_BYTES


async def test_a_slow_reader_gets_all_while_the_drain_waits_for_it(fifo_dir: str) -> None:
    total = 8 * KEPT_BYTES
    async with running(pipes(), fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        sizes: list[int] = []

        async def read() -> None:
            assert opened.stdout is not None
            async for chunk in opened.stdout:
                sizes.append(len(chunk))
                for _ in range(5):
                    await checkpoint()

        async def write() -> None:
            await shim.write(bytes(total))
            shim.end()

        group.start_soon(read)
        group.start_soon(write)
        await opened.drain(60)
        assert opened.complete
    assert sum(sizes) == total


async def test_a_cancelled_drain_cuts_nothing_off_and_can_be_called_again(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        await shim.write(b"first ")
        with anyio.move_on_after(0.02) as scope:
            await opened.drain(60)
        assert scope.cancelled_caught
        await shim.write(b"second")
        shim.end()
        await opened.drain(1)
        assert opened.complete
        assert await both(opened) == (b"first second", b"")


async def test_an_output_that_its_reader_closed_does_not_make_the_rest_incomplete(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, shim):
        assert opened.stdout is not None
        await shim.write(b"unwanted")
        await opened.stdout.aclose()
        shim.end(["stderr"])
        await opened.drain(0.05)
        assert opened.complete


async def test_closing_without_a_drain_is_no_end_of_the_output(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, _):
        await opened.aclose()
        assert opened.stdout is not None
        assert not opened.complete
        with pytest.raises(anyio.ClosedResourceError):
            await opened.stdout.receive()


async def test_closing_wakes_a_task_that_receives(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, _), anyio.create_task_group() as group:

        async def read() -> None:
            assert opened.stdout is not None
            with pytest.raises(anyio.ClosedResourceError):
                await opened.stdout.receive()

        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await opened.aclose()


async def test_everything_may_be_called_again_after_closing(fifo_dir: str) -> None:
    async with running(pipes(stdin=True), fifo_dir) as (opened, shim):
        for _ in range(2):
            await opened.aclose()
            await opened.started()
            await opened.drain(1)
            opened.close_stdin()
            assert opened.stdin is not None
            await opened.stdin.aclose()
        assert shim.close_io_calls == 0, "closing the streams is no word to the process"


async def test_detached_the_fifos_stay_until_they_are_removed(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (opened, _):
        await opened.aclose(unlink=False)
        assert exists(opened.stdout_path)
        await opened.aclose(unlink=True)
        assert os.listdir(fifo_dir) == []


async def test_closing_is_done_whole_when_cancelled(fifo_dir: str) -> None:
    async with created(pipes(), fifo_dir) as (opened, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await opened.aclose()
        assert os.listdir(fifo_dir) == []


async def test_input_reaches_the_process_and_ends(fifo_dir: str) -> None:
    async with running(pipes(stdin=True), fifo_dir) as (opened, shim):
        assert opened.stdin is not None
        await opened.stdin.send(b"hello")
        await opened.stdin.aclose()
        assert await shim.read() == b"hello"
        assert shim.close_io_calls == 1


async def test_input_sent_and_closed_before_the_start_reaches_the_process(fifo_dir: str) -> None:
    async with created(pipes(stdin=True), fifo_dir) as (opened, shim):
        assert opened.stdin is not None
        await opened.stdin.send(b"hello")
        await opened.stdin.aclose()
        assert shim.close_io_calls == 0
        await opened.started()
        assert await shim.read() == b"hello"


async def test_an_early_close_that_containerd_cannot_be_told_comes_out_of_started(fifo_dir: str) -> None:
    async with created(pipes(stdin=True), fifo_dir) as (opened, shim):
        answers: list[Exception] = [UnavailableError("not now")]

        async def close_io() -> None:
            if answers:
                raise answers.pop()
            await shim.close_io()

        opened.on_stdin_closed(close_io)
        assert opened.stdin is not None
        await opened.stdin.aclose()
        with pytest.raises(UnavailableError):
            await opened.started()
        await opened.started()
        assert shim.close_io_calls == 1


async def test_closing_our_end_of_stdin_alone_tells_nobody(fifo_dir: str) -> None:
    async with running(pipes(stdin=True), fifo_dir) as (opened, shim):
        opened.close_stdin()
        assert opened.stdin is not None
        with pytest.raises(anyio.ClosedResourceError):
            await opened.stdin.send(b"x")
        await shim.close_io()
        assert await shim.read() == b""
        assert shim.close_io_calls == 1


async def test_a_cancelled_start_can_be_told_again(fifo_dir: str) -> None:
    opened = await pipes(stdin=True).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    with anyio.move_on_after(0.01) as scope:
        await opened.started()  # looks for the shim's end of stdin, which is not there yet
    assert scope.cancelled_caught
    shim = os.open(opened.stdin_path, os.O_RDONLY | os.O_NONBLOCK)
    await opened.started()
    assert opened.stdin is not None
    await opened.stdin.send(b"x")
    assert os.read(shim, 10) == b"x"
    os.close(shim)
    await opened.aclose()
