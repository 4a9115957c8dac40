"""Checkpoints of running tasks, by a real CRIU, and what goes on from them."""

from __future__ import annotations

import pytest

from containerd_aio import CheckpointOptions, Client, Image, ProcessState, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.counting import COUNT, counted_at_least, told

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def test_a_task_goes_on_under_another_id_from_where_it_was(client: Client, image: Image) -> None:
    """Memory and file are of one moment: no number is missing in the file, and none is there twice."""
    async with await client.new_container("first", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            exited = task.wait()
            await task.start()
            before = await told(task.stdout, 5)
            checkpoint = await task.checkpoint(options=CheckpointOptions(exit=True))
            assert (await exited).code == 137
            assert (await task.status()).state is ProcessState.STOPPED

    async with await client.restore("second", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint, stdio=pipes()) as task:
            assert task.pid == 0
            exited = task.wait()
            await task.start()
            assert task.pid > 0
            after = await told(task.stdout, 5)
            assert after[0] > before[-1]
            numbers = await counted_at_least(task, after[-1])
            assert numbers == list(range(1, len(numbers) + 1))
            await task.kill()
            assert (await exited).code == 137
