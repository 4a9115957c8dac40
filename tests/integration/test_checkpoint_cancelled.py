"""A checkpoint that is cancelled at its first, second, … await: the task is as it was, and nothing is left.

With ``exit`` it is either that, or the whole of it: the task has ended, and its image is there.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import CheckpointOptions, Client, Container, Image, NotFoundError, ProcessState, Task
from containerd_aio.private_daemon import PrivateDaemon
from tests.interrupt import WAYS, cancelled_by_scope

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("cancelled", WAYS)]

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
SLEEP = ["sleep", "3600"]


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def assert_nothing_is_left(client: Client, daemon: PrivateDaemon, image: Image) -> None:
    assert [each.name for each in await client.list_images()] == [image.name]
    assert await client.leases.list() == []
    assert await client.content.statuses() == []
    snapshots = await client.snapshotter(daemon.snapshotter).list()
    assert [info.name for info in snapshots if info.kind != "committed"] == ["web"]


async def test_the_task_is_as_it_was(
    client: Client, daemon: PrivateDaemon, image: Image, cancelled: Cancel
) -> None:
    """Found running, or paused: half of the ways each, since the fake's tests have all of them."""
    found = ProcessState.RUNNING if cancelled is cancelled_by_scope else ProcessState.PAUSED
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        spec = (await container.info()).spec
        async with await container.new_task() as task:
            await task.start()
            if found is ProcessState.PAUSED:
                await task.pause()
            at = 0
            while await cancelled(task.checkpoint("late"), at):
                assert (await task.status()).state is found
                assert (await container.info()).spec == spec
                await assert_nothing_is_left(client, daemon, image)
                at += 1
            assert at > 10
            assert (await task.status()).state is found
            assert (await client.image("late")).labels == {"containerd.io/checkpoint": "true"}


async def test_a_task_that_ended_has_its_image(
    client: Client, daemon: PrivateDaemon, image: Image, cancelled: Cancel
) -> None:
    """Ended by us, when the image is safe, or by CRIU: half of the ways each."""
    options = CheckpointOptions(exit=True, open_tcp=cancelled is cancelled_by_scope)
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        at = 0
        was_cancelled, ends = True, set()
        task = await started(container)
        while was_cancelled:
            was_cancelled = await cancelled(task.checkpoint("late", options=options), at)
            state = (await task.status()).state
            ends.add(state)
            if state is ProcessState.RUNNING:
                await assert_nothing_is_left(client, daemon, image)
            else:
                assert state is ProcessState.STOPPED
                assert await client.leases.list() == []
                checkpoint = await client.image("late")
                await task.delete()
                task = await container.new_task(checkpoint=checkpoint)
                await task.start()
                await checkpoint.delete(sync=True)
            at += 1
        await task.delete(kill=True)
        assert ends == {ProcessState.RUNNING, ProcessState.STOPPED}


async def started(container: Container) -> Task:
    task = await container.new_task()
    await task.start()
    return task


async def test_a_directory_is_as_it_was(
    client: Client, image: Image, cancelled: Cancel, tmp_path: Path
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task() as task:
            await task.start()
            at = 0
            while await cancelled(task.checkpoint_to(tmp_path / "images"), at):
                assert (await task.status()).state is ProcessState.RUNNING
                assert os.listdir(tmp_path) == []
                at += 1
            assert at > 1
            assert "inventory.img" in os.listdir(tmp_path / "images")


async def test_a_container_is_restored_or_not_there(
    client: Client, daemon: PrivateDaemon, image: Image, cancelled: Cancel
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        checkpoint = await container.checkpoint("kept", task=False)
        at = 0
        while await cancelled(client.restore("again", checkpoint), at):
            with pytest.raises(NotFoundError):
                await client.load_container("again")
            snapshots = await client.snapshotter(daemon.snapshotter).list()
            assert [info.name for info in snapshots if info.kind != "committed"] == ["web"]
            at += 1
        assert at > 5
        async with await client.load_container("again") as restored:
            await restored.delete()
