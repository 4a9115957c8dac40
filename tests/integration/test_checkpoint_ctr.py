"""Checkpoints from the Go client's tool, and for it: each restores what the other has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio import Client, Image, ProcessState
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.counting import COUNT, counted_at_least
from tests.integration.leaks import ctr

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def test_what_ctr_has_written_is_restored(client: Client, image: Image) -> None:
    async with await client.new_container("theirs", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            await counted_at_least(task, 3)
            ctr_here(client, "containers", "checkpoint", "--rw", "--image", "--task", "theirs", "by-ctr")
    checkpoint = await client.image("by-ctr")
    async with await client.restore("ours", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint) as task:
            await task.start()
            in_file = await counted_at_least(task, 10)
            assert in_file == list(range(1, len(in_file) + 1))


async def test_what_we_have_written_ctr_restores(client: Client, image: Image) -> None:
    async with await client.new_container("ours", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            await counted_at_least(task, 3)
            checkpoint = await task.checkpoint("by-us")
    ctr_here(client, "containers", "restore", "--rw", "--live", "theirs", checkpoint.name)
    container = await client.load_container("theirs")
    task = await container.task()
    assert (await task.status()).state is ProcessState.RUNNING
    in_file = await counted_at_least(task, 10)
    assert in_file == list(range(1, len(in_file) + 1))
    await task.delete(kill=True)
    await container.delete()


async def test_a_directory_of_ctrs_is_gone_on_from(client: Client, image: Image, tmp_path: Path) -> None:
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            numbers = await counted_at_least(task, 3)
            ctr_here(client, "tasks", "checkpoint", "--exit", "--image-path", f"{tmp_path}/images", "web")
            assert (await task.wait()).code == 137
        async with await container.new_task(checkpoint=tmp_path / "images") as task:
            await task.start()
            in_file = await counted_at_least(task, len(numbers) + 5)
            assert in_file == list(range(1, len(in_file) + 1))


async def test_images_go_out_to_ctr_and_come_in_from_it(
    client: Client, daemon: PrivateDaemon, image: Image, tmp_path: Path
) -> None:
    await client.export_images(tmp_path / "ours.tar", image)
    ctr_here(client, "images", "export", str(tmp_path / "theirs.tar"), image.name)
    digest = image.target.digest
    for name in ("ours.tar", "theirs.tar"):
        await image.delete(sync=True)
        ctr_here(client, "images", "import", "--no-unpack", str(tmp_path / name))
        assert (await client.image(image.name)).target.digest == digest
        assert await (await client.image(image.name)).config() == await image.config()
        await (await client.image(image.name)).delete(sync=True)
        [image] = await client.import_images(tmp_path / name)
        assert image.target.digest == digest


def ctr_here(client: Client, *arguments: str) -> list[str]:
    return ctr(client.address, client.namespace, *arguments)
