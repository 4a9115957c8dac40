"""A task is frozen and thawed, and a block leaves it as it was found."""

from __future__ import annotations

import anyio
import pytest

from containerd_aio import (
    Client,
    Container,
    ContainerdError,
    FailedPreconditionError,
    ProcessState,
    Task,
)
from containerd_aio.testing import FakeContainerd


async def test_a_task_is_frozen_and_thawed(task: Task) -> None:
    await task.pause()
    assert (await task.status()).state is ProcessState.PAUSED
    await task.resume()
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_block_leaves_it_as_it_was_found(task: Task) -> None:
    async with task.paused():
        assert (await task.status()).state is ProcessState.PAUSED
        async with task.paused():
            pass
        assert (await task.status()).state is ProcessState.PAUSED
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_block_that_fails_or_is_cancelled_thaws_too(task: Task) -> None:
    with pytest.raises(ValueError, match="^a bug$"):
        async with task.paused():
            raise ValueError("a bug")
    with anyio.move_on_after(0.01):
        async with task.paused():
            await anyio.sleep_forever()
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_block_forgives_that_the_task_has_ended_or_was_thawed(
    fake: FakeContainerd, task: Task
) -> None:
    async with task.paused():
        await task.resume()
    async with task.paused():
        fake.exit(task, 1)
        await task.wait()


async def test_of_two_blocks_at_once_the_last_one_thaws(client: Client, task: Task) -> None:
    same = await (await client.load_container("web")).task()
    first, second = task.paused(), same.paused()
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    assert (await task.status()).state is ProcessState.PAUSED
    await second.__aexit__(None, None, None)
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_block_freezes_what_somebody_thawed_under_another(task: Task) -> None:
    async with task.paused():
        await task.resume()
        async with task.paused():
            assert (await task.status()).state is ProcessState.PAUSED
        assert (await task.status()).state is ProcessState.PAUSED
    assert (await task.status()).state is ProcessState.RUNNING


async def test_blocks_of_which_one_fails_to_freeze_harm_no_other(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Tasks/Get", times=1), pytest.raises(ContainerdError):
        async with task.paused():
            raise AssertionError("it is not frozen")
    async with task.paused():
        pass
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_task_that_does_not_tell_its_state_is_thawed(fake: FakeContainerd, task: Task) -> None:
    """As the shim of a checkpoint that was given up: it takes the call, and does it when it is done."""
    async with task.paused():
        silent = fake.unknown_status(task, seconds=3600)
    silent.lift()
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_daemon_that_restarts_meanwhile_leaves_no_frozen_task(
    fake: FakeContainerd, task: Task
) -> None:
    async with anyio.create_task_group() as group:
        async with task.paused():
            down = fake.down()
            await down.__aenter__()

            async def come_back() -> None:
                await anyio.wait_all_tasks_blocked()  # the block waits for the daemon
                await down.__aexit__(None, None, None)

            group.start_soon(come_back)
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_block_that_cannot_freeze_is_not_entered(created: Task) -> None:
    with pytest.raises(FailedPreconditionError, match=r"task 'web' is created; start\(\) it first"):
        async with created.paused():
            raise AssertionError("it is not frozen")
    assert (await created.status()).state is ProcessState.CREATED


async def test_a_block_whose_task_was_deleted_ends_in_peace(fake: FakeContainerd, task: Task) -> None:
    async with task.paused():
        await task.delete(kill=True)


async def test_a_block_of_a_task_that_is_gone_keeps_the_next_one_of_its_container_out_of_it(
    container: Container, task: Task
) -> None:
    async with task.paused():
        await task.delete(kill=True)
        async with await container.new_task() as another:
            await another.start()
            async with another.paused():
                assert (await another.status()).state is ProcessState.PAUSED
            assert (await another.status()).state is ProcessState.RUNNING


async def test_a_thaw_that_fails_is_told(fake: FakeContainerd, task: Task) -> None:
    with pytest.raises(ValueError, match="^a bug\n") as error:
        async with task.paused():
            fake.refuse("Tasks/Resume", times=1)
            raise ValueError("a bug")
    assert error.value.__notes__ == [
        "task 'web' could not be resumed: Tasks/Resume of task 'web': refused by the test"
    ]
    await task.resume()
