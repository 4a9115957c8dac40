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
    ContainerdError,
    InvalidArgumentError,
    ProcessState,
    Task,
)
from containerd_aio.testing import FakeContainerd


async def test_it_is_made_for_nobody_else(task: Task, tmp_path: Path) -> None:
    await task.checkpoint_to(tmp_path / "images")
    assert (tmp_path / "images").stat().st_mode & 0o777 == 0o700
    await task.checkpoint_to(os.fspath(tmp_path / "images"))


@pytest.mark.parametrize("there", [True, False])
async def test_where_it_fails_it_is_as_it_was(
    fake: FakeContainerd, task: Task, tmp_path: Path, there: bool
) -> None:
    images = tmp_path / "images"
    if there:
        images.mkdir()

    async def write_some() -> None:
        await fake.called("Tasks/Checkpoint")
        (images / "core-1.img").write_bytes(b"half")
        (images / "deep").mkdir()
        (images / "deep" / "more.img").write_bytes(b"half")
        (images / "link").symlink_to(tmp_path)

    with fake.delay("Tasks/Checkpoint", 0.05), fake.refuse("Tasks/Checkpoint", Status.INTERNAL, "no"):
        async with anyio.create_task_group() as group:
            group.start_soon(write_some)
            with pytest.raises(ContainerdError):
                await task.checkpoint_to(images)
    assert images.exists() is there
    assert not there or os.listdir(images) == []
    assert tmp_path.exists()


async def test_the_memory_of_a_task_that_ended_stays_also_if_cancelled(
    fake: FakeContainerd, task: Task, tmp_path: Path
) -> None:
    with fake.delay("Tasks/Checkpoint", 0.05), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(
                lambda: task.checkpoint_to(tmp_path / "images", options=CheckpointOptions(exit=True))
            )
            await fake.called("Tasks/Checkpoint")
            scope.cancel()
    assert (await task.status()).state is ProcessState.STOPPED
    assert (tmp_path / "images").is_dir()


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
