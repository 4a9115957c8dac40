"""An exec is added with all that belongs to it, or nothing of it is there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from grpclib.const import Status

from containerd_aio import (
    AlreadyExistsError,
    ConnectionLostError,
    FailedPreconditionError,
    NotFoundError,
    Task,
    UnavailableError,
    pipes,
)
from containerd_aio.testing import FakeContainerd

BOTH = pipes(stdin=True)


def nothing_is_open(fake: FakeContainerd) -> bool:
    return not Path(fake.fifo_dir).exists() or os.listdir(fake.fifo_dir) == []


async def test_an_exec_may_be_added_before_its_task_is_started(fake: FakeContainerd, created: Task) -> None:
    async with await created.exec("ps", ["ps"], stdio=BOTH) as process:
        await process.start()
        fake.exit(process, 3)
        assert (await process.wait()).code == 3


async def test_an_id_that_is_taken_is_refused_and_its_owner_undisturbed(
    fake: FakeContainerd, task: Task
) -> None:
    async with await task.exec("ps", ["ps"]) as first:
        with pytest.raises(AlreadyExistsError):
            await task.exec("ps", ["ps"], stdio=BOTH)
        assert nothing_is_open(fake)
        await first.start()
        fake.exit(first, 3)
        assert (await first.wait()).code == 3


async def test_a_task_that_takes_none_says_its_state(fake: FakeContainerd, task: Task) -> None:
    await task.pause()
    with pytest.raises(
        FailedPreconditionError, match=r"exec 'ps' cannot be added: task 'web' is paused; resume"
    ):
        await task.exec("ps", ["ps"], stdio=BOTH)
    await task.kill()
    await task.wait()
    with pytest.raises(
        FailedPreconditionError, match=r"exec 'ps' cannot be added: task 'web' is stopped; .*another"
    ):
        await task.exec("ps", ["ps"], stdio=BOTH)
    assert nothing_is_open(fake)


async def test_a_call_that_fails_leaves_nothing(fake: FakeContainerd, task: Task) -> None:
    fake.refuse("Tasks/Exec", times=1)
    with pytest.raises(UnavailableError):
        await task.exec("ps", ["ps"], stdio=BOTH)
    assert nothing_is_open(fake)
    async with await task.exec("ps", ["ps"], stdio=BOTH):
        pass


async def test_one_that_is_given_up_while_containerd_makes_it_is_removed(
    fake: FakeContainerd, task: Task
) -> None:
    """The call is let come to its end, so that it is known what was made."""
    with fake.delay("Tasks/Exec", 0.05):
        adding = asyncio.create_task(task.exec("ps", ["ps"], stdio=BOTH))
        await fake.called("Tasks/Exec")
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
    assert nothing_is_open(fake)
    with pytest.raises(NotFoundError):
        await task.load_process("ps")


async def test_one_that_is_given_up_while_its_task_ends_needs_no_removal(
    fake: FakeContainerd, task: Task
) -> None:
    fake.refuse("Tasks/DeleteProcess", Status.NOT_FOUND)
    with fake.delay("Tasks/Exec", 0.05):
        adding = asyncio.create_task(task.exec("ps", ["ps"], stdio=BOTH))
        await fake.called("Tasks/Exec")
        adding.cancel()
        with pytest.raises(asyncio.CancelledError) as cancelled:
            await adding
    assert not hasattr(cancelled.value, "__notes__")
    assert nothing_is_open(fake)


async def test_one_that_is_lost_with_the_connection_leaves_nothing_here(
    fake: FakeContainerd, task: Task
) -> None:
    with fake.delay("Tasks/Exec", 600):
        adding = asyncio.create_task(task.exec("ps", ["ps"], stdio=BOTH))
        await fake.called("Tasks/Exec")
        await fake.die()
        with pytest.raises(ConnectionLostError):
            await adding
    assert nothing_is_open(fake)
    await fake.start()
