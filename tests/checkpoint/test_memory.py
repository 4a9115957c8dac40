"""The memory of a task, seen to be there."""

from __future__ import annotations

import pytest
from grpclib.const import Status

from containerd_aio import (
    CheckpointFailedError,
    CheckpointOptions,
    Client,
    ContainerdError,
    ProcessState,
    Task,
)
from containerd_aio.testing import FakeContainerd
from tests.checkpoint.leftovers import left_of_checkpoints


async def test_a_memory_that_is_not_in_the_content_store_is_none(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    """No image is returned as if it had one: what containerd says that it wrote is looked for."""
    with fake.refuse("Content/Info", Status.NOT_FOUND, "content: not found"):
        with pytest.raises(CheckpointFailedError, match="has written no memory of task 'web'"):
            await task.checkpoint()
    assert await left_of_checkpoints(client) == []


async def test_a_task_is_not_ended_without_a_memory(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Content/Info", Status.NOT_FOUND, "content: not found"):
        with pytest.raises(CheckpointFailedError):
            await task.checkpoint(options=CheckpointOptions(exit=True))
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_task_that_criu_has_ended_without_a_memory_is_owned_up_to(
    fake: FakeContainerd, task: Task
) -> None:
    with fake.refuse("Content/Info", Status.NOT_FOUND, "content: not found"):
        with pytest.raises(CheckpointFailedError) as caught:
            await task.checkpoint(options=CheckpointOptions(exit=True, open_tcp=True))
    assert caught.value.__notes__ == ["task 'web' may have ended, and there is no checkpoint of it"]


async def test_a_fault_of_another_kind_is_passed_on(fake: FakeContainerd, task: Task) -> None:
    with fake.refuse("Tasks/Checkpoint", Status.ALREADY_EXISTS, "something else: already exists"):
        with pytest.raises(ContainerdError, match="something else"):
            await task.checkpoint()


@pytest.fixture
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "criu-dump.log"
    path.write_text("(00.000001) Error (criu/a.c:1): the reason\n")
    return str(path)


async def test_what_criu_says_is_in_the_error(fake: FakeContainerd, task: Task, log: str) -> None:
    message = f"runc did not terminate successfully: criu failed path= {log}: unknown"
    with fake.refuse("Tasks/Checkpoint", Status.UNKNOWN, message):
        with pytest.raises(CheckpointFailedError, match="CRIU says: the reason"):
            await task.checkpoint()
        with pytest.raises(CheckpointFailedError, match="CRIU says: the reason"):
            await task.checkpoint_to(f"{log}.images", options=CheckpointOptions(exit=True))
