"""Cancelled at any await, no process runs on unnoticed and nothing stays open: start, delete, run, attach, blocks.

As in ``test_cancellation.py``, everything is looked for after each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, FailedPreconditionError, Image, Process, ProcessState, Task, attach, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.aftermath import Aftermath
from tests.integration.test_exits import SLEEP
from tests.interrupt import WAYS, cancelled_anywhere

pytestmark = pytest.mark.integration

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


async def test_start_of_a_task(client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task():
            pass  # the event stream is there to stay
        before = await Aftermath.of(client, daemon, fifo_dir)
        for cancelled in WAYS:
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


async def test_start_of_an_exec(task: Task, before: Aftermath) -> None:
    for cancelled in WAYS:
        at, was_cancelled = 0, True
        while was_cancelled:
            async with await task.exec("nap", SLEEP, stdio=BOTH) as process:
                was_cancelled = await cancelled(process.start(), at)
                runs = "nap" in [info.exec_id for info in await task.pids()]
                assert runs is not was_cancelled
            await before.nothing_is_left()
            at += 1
        assert at > 1


async def test_delete_which_can_be_repeated(task: Task, before: Aftermath) -> None:
    for cancelled in WAYS:
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


async def test_delete_that_kills(task: Task, before: Aftermath) -> None:
    for cancelled in WAYS:
        at, was_cancelled = 0, True
        while was_cancelled:
            async with await task.exec("nap", SLEEP, stdio=BOTH) as process:
                await process.start()
                was_cancelled = await cancelled(process.delete(kill=True), at)
            await before.nothing_is_left()
            at += 1
        assert at > 1


async def test_stop(task: Task, before: Aftermath) -> None:
    """The signal may have been sent; the process is still the caller's."""
    for cancelled in WAYS:
        at, was_cancelled = 0, True
        while was_cancelled:
            async with await task.exec("nap", SLEEP) as process:
                await process.start()
                was_cancelled = await cancelled(process.stop(), at)
                assert (await process.status()).state in (ProcessState.RUNNING, ProcessState.STOPPED)
            await before.nothing_is_left()
            at += 1
        assert at > 1


@pytest.mark.parametrize("paused", [False, True], ids=["", "that is paused"])
async def test_stop_of_a_task(client: Client, image: Image, paused: bool) -> None:
    """Signals may have been sent; whatever the task made of them, it can be stopped again."""
    deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"]
    async with await client.new_container("web", image=image, args=deaf) as container:
        for cancelled in WAYS:
            async with await container.new_task() as task:
                await task.start()
                at = 0
                while (state := (await task.status()).state) is not ProcessState.STOPPED:
                    if paused and state is ProcessState.RUNNING:
                        with suppress(FailedPreconditionError):  # it was killed, and has ended this moment
                            await task.pause()
                    await cancelled(task.stop(0), at)
                    at += 1
                assert at > 3
                with anyio.fail_after(60):
                    assert (await task.stop()).code == 137


async def test_run_of_a_task(task: Task, before: Aftermath) -> None:
    awaits = await cancelled_anywhere(lambda: task.run(["cat"], input=b"hi"), before.nothing_is_left)
    assert awaits > 5


async def test_run_of_a_client(client: Client, image: Image, task: Task, before: Aftermath) -> None:
    awaits = await cancelled_anywhere(
        lambda: client.run(image, ["cat"], id="run", input=b"hi"), before.nothing_is_left, step=2
    )
    assert awaits > 10


@pytest.mark.parametrize("which", ["task", "client"])
async def test_run_at_any_moment(
    client: Client, image: Image, task: Task, before: Aftermath, which: str
) -> None:
    """Not only where an await begins: what was fed, started or killed meanwhile is in all kinds of states."""

    async def run() -> None:
        if which == "task":
            await task.run(SLEEP, input=MORE_THAN_FITS)
        else:
            await client.run(image, SLEEP, id="run", input=MORE_THAN_FITS)

    for after in (0.003, 0.02, 0.05, 0.12):
        with anyio.move_on_after(after):
            await run()
        await before.nothing_is_left()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(), after)
        await before.nothing_is_left()


async def echoed(process: Process, text: bytes) -> bool:
    """Whether it says what it is told."""
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdin.send(text)
    with anyio.fail_after(60):
        return await process.stdout.receive() == text


async def test_attaching_to_a_task(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path
) -> None:
    """Its streams stay whole, for whoever attaches next."""
    async with (
        await client.new_container("cat", image=image, args=["cat"]) as container,
        await container.new_task(stdio=BOTH) as task,
    ):
        await task.start()
        before = await Aftermath.of(client, daemon, fifo_dir)
        loaded: list[Task] = []

        async def load() -> None:
            loaded.append(await container.task(attach(stdin=True)))

        async def nothing_is_left() -> None:
            await before.nothing_is_left()
            assert await echoed(task, b"still here")

        async def unload() -> None:
            async with loaded.pop():
                pass
            await nothing_is_left()

        assert await cancelled_anywhere(load, nothing_is_left, undo=unload) > 0


@pytest.mark.parametrize("started", [True, False], ids=["", "that was not started"])
async def test_attaching_to_an_exec(
    task: Task, client: Client, daemon: PrivateDaemon, fifo_dir: Path, started: bool
) -> None:
    async with await task.exec("cat", ["cat"], stdio=BOTH) as process:
        if started:
            await process.start()
        before = await Aftermath.of(client, daemon, fifo_dir)
        loaded: list[Process] = []

        async def load() -> None:
            loaded.append(await task.load_process("cat", stdio=attach(stdin=True)))

        async def nothing_is_left() -> None:
            await before.nothing_is_left()
            assert not started or await echoed(process, b"still here")

        async def unload() -> None:
            async with loaded.pop():
                pass
            await nothing_is_left()

        assert await cancelled_anywhere(load, nothing_is_left, undo=unload) > 0
        if not started:
            await process.start()
            assert await echoed(process, b"at last")


async def test_a_paused_block(task: Task, before: Aftermath) -> None:
    async def pause() -> None:
        async with task.paused():
            await anyio.lowlevel.checkpoint()

    async def it_runs() -> None:
        assert (await task.status()).state is ProcessState.RUNNING
        await before.nothing_is_left()

    assert await cancelled_anywhere(pause, it_runs) > 2


async def test_the_life_of_a_container_from_block_to_block(
    client: Client, image: Image, task: Task, before: Aftermath
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

    assert await cancelled_anywhere(live, before.nothing_is_left, step=2) > 15
