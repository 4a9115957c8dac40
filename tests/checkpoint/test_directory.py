"""A directory that CRIU writes to: empty before, and empty again where it failed."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from grpclib.const import Status

from containerd_aio import (
    AlreadyExistsError,
    CheckpointOptions,
    ConnectionLostError,
    ContainerdError,
    InvalidArgumentError,
    ProcessState,
    Task,
)
from containerd_aio.testing import FakeContainerd

EXIT = CheckpointOptions(exit=True)
BY_CRIU = CheckpointOptions(exit=True, open_tcp=True)


async def test_it_is_made_for_nobody_else(task: Task, tmp_path: Path) -> None:
    await task.checkpoint_to(tmp_path / "images")
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700
    await task.checkpoint_to(os.fspath(tmp_path / "images"))


@pytest.mark.parametrize("options", [None, EXIT, BY_CRIU])
@pytest.mark.parametrize("there", [True, False])
async def test_where_it_fails_it_is_as_it_was(
    fake: FakeContainerd, task: Task, tmp_path: Path, there: bool, options: CheckpointOptions | None
) -> None:
    images = tmp_path / "images"
    if there:
        images.mkdir()

    with fake.refuse("Tasks/Checkpoint", Status.INTERNAL, "no"):
        async with anyio.create_task_group() as group:
            with fake.hold("Tasks/Checkpoint"):

                async def take() -> None:
                    with pytest.raises(ContainerdError):
                        await task.checkpoint_to(images, options=options)

                group.start_soon(take)
                await fake.called("Tasks/Checkpoint")
                (images / "core-1.img").write_bytes(b"half")
                (images / "deep").mkdir()
                (images / "deep" / "more.img").write_bytes(b"half")
                (images / "link").symlink_to(tmp_path)
    assert (await task.status()).state is ProcessState.RUNNING
    assert images.exists() is there
    assert not there or os.listdir(images) == []
    assert tmp_path.exists()


@pytest.mark.parametrize("options", [EXIT, BY_CRIU])
async def test_the_memory_of_a_task_that_ended_stays_also_if_cancelled(
    fake: FakeContainerd, task: Task, tmp_path: Path, options: CheckpointOptions
) -> None:
    scope = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Checkpoint"):

            async def take() -> None:
                with scope:
                    await task.checkpoint_to(tmp_path / "images", options=options)

            group.start_soon(take)
            await fake.called("Tasks/Checkpoint")
            (tmp_path / "images" / "core-1.img").touch()
            scope.cancel()
    assert scope.cancelled_caught
    assert (await task.status()).state is ProcessState.STOPPED
    assert os.listdir(tmp_path / "images") == ["core-1.img"]


@pytest.mark.parametrize("options", [EXIT, BY_CRIU])
async def test_the_memory_of_a_task_that_may_have_ended_stays(
    fake: FakeContainerd, task: Task, tmp_path: Path, options: CheckpointOptions
) -> None:
    """containerd goes while CRIU kills, or while it is killed: whether it has ended, nobody can tell."""
    method = "Tasks/Kill" if options == EXIT else "Tasks/Checkpoint"
    async with anyio.create_task_group() as group:
        with fake.hold(method):

            async def take() -> None:
                with pytest.raises(ConnectionLostError) as caught:
                    await task.checkpoint_to(tmp_path / "images", options=options)
                assert str(tmp_path / "images") in "".join(caught.value.__notes__)

            group.start_soon(take)
            await fake.called(method)
            (tmp_path / "images" / "core-1.img").touch()
            down = fake.down()
            await down.__aenter__()
        fake.exit(task, 137)
        await anyio.wait_all_tasks_blocked()
        await down.__aexit__(None, None, None)
    assert os.listdir(tmp_path / "images") == ["core-1.img"]


async def test_a_kill_that_was_not_answered_may_come_late_and_leaves_the_memory(
    fake: FakeContainerd, task: Task, tmp_path: Path
) -> None:
    """The task still lives when it is looked at."""
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Kill"):

            async def take() -> None:
                with pytest.raises(ContainerdError) as caught:
                    await task.checkpoint_to(tmp_path / "images", options=EXIT)
                assert str(tmp_path / "images") in "".join(caught.value.__notes__)

            group.start_soon(take)
            await fake.called("Tasks/Kill")
            (tmp_path / "images" / "core-1.img").touch()
            fake.refuse("Tasks/Kill", Status.DEADLINE_EXCEEDED, "gone", times=1)
    assert os.listdir(tmp_path / "images") == ["core-1.img"]


async def test_it_is_frozen_until_it_is_ended(fake: FakeContainerd, task: Task, tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        with fake.hold("Tasks/Kill"):
            group.start_soon(lambda: task.checkpoint_to(tmp_path / "images", options=EXIT))
            await fake.called("Tasks/Kill")
            assert (await task.status()).state is ProcessState.PAUSED
    assert (await task.status()).state is ProcessState.STOPPED


async def test_one_with_something_in_it_is_refused(fake: FakeContainerd, task: Task, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AlreadyExistsError, match="is not empty"):
        await task.checkpoint_to(tmp_path)
    assert fake.calls["Tasks/Checkpoint"] == 0
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("images", "must be absolute", id="relative"),
        pytest.param("/no/such/place", "cannot make the directory", id="no parent"),
        pytest.param("/dev/null", "cannot use the directory", id="a file"),
    ],
)
async def test_a_path_that_cannot_be_one_is_refused(
    fake: FakeContainerd, task: Task, path: str, words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        await task.checkpoint_to(path)
    assert fake.calls["Tasks/Checkpoint"] == 0
