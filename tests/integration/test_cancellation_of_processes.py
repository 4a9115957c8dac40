"""Cancelled at any await, no process runs on unnoticed and nothing stays open: start, delete, run, attach, blocks.

As in ``test_cancellation.py``, everything is looked for after each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from containerd_aio import Client, FailedPreconditionError, Image, Process, ProcessState, Task, attach, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.aftermath import Aftermath
from tests.integration.test_exits import SLEEP
from tests.interrupt import WAYS, cancelled_by_scope

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("cancelled", WAYS)]

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
BOTH = pipes(stdin=True)
MORE_THAN_FITS = bytes(300_000)


@pytest.fixture
async def task(client: Client, image: Image) -> AsyncIterator[Task]:
    """A task that runs, of the container ``web``."""
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        yield task


@pytest.fixture
async def before(client: Client, daemon: PrivateDaemon, fifo_dir: Path, task: Task) -> Aftermath:
    """What there is while the task runs and nothing else does."""
    return await Aftermath.of(client, daemon, fifo_dir)


async def test_start_of_a_task(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task():
            pass  # the event stream is there to stay
        before = await Aftermath.of(client, daemon, fifo_dir)
        at, was_cancelled = 0, True
        while was_cancelled:
            async with await container.new_task(stdio=BOTH) as task:
                was_cancelled = await cancelled(task.start(), at)
                state = (await task.status()).state
                if was_cancelled:  # whether it had been started or not
                    assert state in (ProcessState.CREATED, ProcessState.STOPPED)
                else:
                    assert state is ProcessState.RUNNING
            await before.nothing_is_left()
            at += 1
        assert at > 1


async def test_start_of_an_exec(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    at, was_cancelled = 0, True
    while was_cancelled:
        async with await task.exec("nap", SLEEP, stdio=BOTH) as process:
            was_cancelled = await cancelled(process.start(), at)
            runs = "nap" in [info.exec_id for info in await task.pids()]
            assert runs is not was_cancelled
        await before.nothing_is_left()
        at += 1
    assert at > 1


async def test_delete_which_can_be_repeated(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    at, was_cancelled = 0, True
    while was_cancelled:
        process = await task.exec("hi", ["echo", "hi"], stdio=pipes())
        exited = process.wait()
        await process.start()
        status = await exited
        was_cancelled = await cancelled(process.delete(), at)
        if was_cancelled:
            assert await process.delete() == status
        await before.nothing_is_left()
        assert process.stdout is not None
        assert await process.stdout.receive() == b"hi\n"
        at += 1
    assert at > 1


async def test_delete_that_kills(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    at, was_cancelled = 0, True
    while was_cancelled:
        async with await task.exec("nap", SLEEP, stdio=BOTH) as process:
            await process.start()
            was_cancelled = await cancelled(process.delete(kill=True), at)
        await before.nothing_is_left()
        at += 1
    assert at > 1


async def test_stop(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    """The signal may have been sent; the process is still the caller's."""
    at, was_cancelled = 0, True
    while was_cancelled:
        async with await task.exec("nap", SLEEP) as process:
            await process.start()
            was_cancelled = await cancelled(process.stop(), at)
            assert (await process.status()).state in (ProcessState.RUNNING, ProcessState.STOPPED)
        await before.nothing_is_left()
        at += 1
    assert at > 1


@pytest.mark.parametrize("paused", [False, True])
async def test_stop_of_a_task(client: Client, image: Image, cancelled: Cancel, paused: bool) -> None:
    """Signals may have been sent; whatever the task made of them, it can be stopped again."""
    deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"]
    async with (
        await client.new_container("web", image=image, args=deaf) as container,
        await container.new_task() as task,
    ):
        await task.start()
        at = 0
        while (state := (await task.status()).state) is not ProcessState.STOPPED:
            if paused and state is ProcessState.RUNNING:
                with suppress(FailedPreconditionError):  # it was killed, and has ended this moment
                    await task.pause()
            await cancelled(task.stop(0), at)
            at += 1
        assert at > 3
        with anyio.fail_after(10):
            assert (await task.stop()).code == 137


async def test_run_of_a_task(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    at = 0
    while await cancelled(task.run(["cat"], input=b"hi"), at):
        await before.nothing_is_left()
        at += 1
    assert at > 5


async def test_run_of_a_client(
    client: Client, image: Image, task: Task, before: Aftermath, cancelled: Cancel
) -> None:
    at = 0
    while await cancelled(client.run(image, ["cat"], id="run", input=b"hi"), at):
        await before.nothing_is_left()
        at += 2
    assert at > 10


@pytest.mark.parametrize("which", ["task", "client"])
async def test_run_at_any_moment(
    client: Client, image: Image, task: Task, before: Aftermath, cancelled: Cancel, which: str
) -> None:
    """Not only where an await begins: what was fed, started or killed meanwhile is in all kinds of states."""

    async def run() -> None:
        if which == "task":
            await task.run(SLEEP, input=MORE_THAN_FITS)
        else:
            await client.run(image, SLEEP, id="run", input=MORE_THAN_FITS)

    for after in (0.003, 0.02, 0.05, 0.12):
        if cancelled is cancelled_by_scope:
            with anyio.move_on_after(after):
                await run()
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run(), after)
        await before.nothing_is_left()


async def echoed(process: Process, text: bytes) -> bool:
    """Whether it says what it is told."""
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(text)
    with anyio.fail_after(10):
        return await process.stdout.receive() == text


async def test_attaching_to_a_task(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    """Its streams stay whole, for whoever attaches next."""
    async with (
        await client.new_container("cat", image=image, args=["cat"]) as container,
        await container.new_task(stdio=BOTH) as task,
    ):
        await task.start()
        loaded: list[Task] = []

        async def load() -> None:
            loaded.append(await container.task(attach(stdin=True)))

        before = await Aftermath.of(client, daemon, fifo_dir)
        at = 0
        while await cancelled(load(), at):
            await before.nothing_is_left()
            assert await echoed(task, b"still here")
            at += 1
        assert at > 0
        async with loaded[0]:
            pass
        await before.nothing_is_left()
        assert await echoed(task, b"still here")


async def test_attaching_to_an_exec(
    task: Task, client: Client, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with await task.exec("cat", ["cat"], stdio=BOTH) as process:
        await process.start()
        loaded: list[Process] = []

        async def load() -> None:
            loaded.append(await task.load_process("cat", stdio=attach(stdin=True)))

        before = await Aftermath.of(client, daemon, fifo_dir)
        at = 0
        while await cancelled(load(), at):
            await before.nothing_is_left()
            assert await echoed(process, b"still here")
            at += 1
        assert at > 0
        async with loaded[0]:
            pass
        await before.nothing_is_left()
        assert await echoed(process, b"still here")


async def test_attaching_to_an_exec_that_was_not_started(
    task: Task, client: Client, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with await task.exec("cat", ["cat"], stdio=BOTH) as process:
        before = await Aftermath.of(client, daemon, fifo_dir)
        loaded: list[Process] = []

        async def load() -> None:
            loaded.append(await task.load_process("cat", stdio=attach(stdin=True)))

        at = 0
        while await cancelled(load(), at):
            await before.nothing_is_left()
            at += 1
        assert at > 0
        async with loaded[0]:
            pass
        await before.nothing_is_left()
        await process.start()
        assert await echoed(process, b"still here")


async def test_a_paused_block(task: Task, before: Aftermath, cancelled: Cancel) -> None:
    async def pause() -> None:
        async with task.paused():
            await anyio.lowlevel.checkpoint()

    at = 0
    while await cancelled(pause(), at):
        assert (await task.status()).state is ProcessState.RUNNING
        at += 1
    assert at > 2
    await before.nothing_is_left()


async def test_the_life_of_a_container_from_block_to_block(
    client: Client, image: Image, task: Task, before: Aftermath, cancelled: Cancel
) -> None:
    """Also cancelled in the middle of its removal, it is removed."""

    async def live() -> None:
        async with (
            await client.new_container("life", image=image, args=SLEEP) as container,
            await container.new_task(stdio=BOTH) as init,
        ):
            await init.start()
            async with await init.exec("nap", SLEEP, stdio=BOTH) as process:
                await process.start()

    at = 0
    while await cancelled(live(), at):
        await before.nothing_is_left()
        at += 1
    assert at > 15
