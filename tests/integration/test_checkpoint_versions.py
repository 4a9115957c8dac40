"""The same on containerd 1.7 and 2.1, and from each version to each other one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from containerd_aio import CheckpointOptions, Client, Image, ProcessState, pipes
from tests.integration.conftest import private_daemon
from tests.integration.counting import COUNT, counted_at_least, told

pytestmark = [pytest.mark.integration, pytest.mark.long]

EXIT = CheckpointOptions(exit=True)


@pytest.fixture
def containerds(containerd_versions: Mapping[str, str]) -> dict[str, str]:
    return {"here": "containerd", **containerd_versions}


@pytest.mark.parametrize("version", ["here", "1.7", "2.1"])
async def test_checkpoints_in_a_row_can_all_be_restored(
    containerds: Mapping[str, str], criu: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with private_daemon(containerd=containerds[version], env=criu) as daemon, daemon.client() as client:
        [image] = await client.import_images(archive)
        made: list[Image] = []
        async with await client.new_container("web", image=image, args=COUNT) as container:
            spec = (await container.info()).spec
            async with await container.new_task() as task:
                await task.start()
                for _ in range(3):
                    made.append(await task.checkpoint())
                    assert (await task.status()).state is ProcessState.RUNNING
                await task.pause()
                made.append(await task.checkpoint())
                assert (await task.status()).state is ProcessState.PAUSED
                made.append(await task.checkpoint(options=EXIT))
                assert (await task.wait()).code == 137
            assert (await container.info()).spec == spec
        lease = await client.leases.create()
        await client.leases.delete(lease.id, sync=True)
        for number, checkpoint in enumerate(made):
            await goes_on(client, f"web-{number}", checkpoint)


async def goes_on(client: Client, id: str, checkpoint: Image) -> None:
    async with await client.restore(id, checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint) as task:
            exited = task.wait()
            await task.start()
            numbers = await counted_at_least(task, 5)
            assert numbers == list(range(1, len(numbers) + 1))
            await task.kill()
            assert (await exited).code == 137


async def test_a_container_wanders_through_all_versions_and_counts_on(
    containerds: Mapping[str, str], criu: Mapping[str, str], archive: bytes, tmp_path: Path
) -> None:
    path, last = tmp_path / "wandering.tar", 0
    for stop, version in enumerate(["here", "2.1", "1.7", "here", "1.7", "2.1"]):
        async with (
            private_daemon(containerd=containerds[version], env=criu) as daemon,
            daemon.client() as client,
        ):
            if stop == 0:
                [image] = await client.import_images(archive)
                container = await client.new_container("web", image=image, args=COUNT)
                checkpoint = None
            else:
                [checkpoint] = await client.import_images(path)
                container = await client.restore(f"web-{stop}", checkpoint)
            async with container:
                async with await container.new_task(checkpoint=checkpoint, stdio=pipes()) as task:
                    await task.start()
                    numbers = await told(task.stdout, 5)
                    assert numbers[0] > last
                    in_file = await counted_at_least(task, numbers[-1])
                    assert in_file == list(range(1, len(in_file) + 1))
                    last = numbers[-1]
                    checkpoint = await task.checkpoint(f"wandering-{stop}", options=EXIT)
            await client.export_images(path, checkpoint)
