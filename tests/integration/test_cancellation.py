"""Cancelled at any await, nothing is left behind: each operation is cancelled at its first, second, … await.

After each time everything is looked for: containers, tasks, snapshots, leases, ingests, FIFOs, descriptors, asyncio
tasks, shims, processes. This is about what makes something; ``test_cancellation_of_processes.py`` is about what
is done with it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio import Client, Container, Image, NotFoundError, Process, Task, pipes, spec
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.aftermath import Aftermath
from tests.integration.test_exits import SLEEP
from tests.interrupt import WAYS, cancelled_anywhere

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("user", ["0", "app"], ids=["", "with a user that is looked up"])
async def test_new_container(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, user: str
) -> None:
    made: list[Container] = []

    async def make() -> None:
        made.append(await client.new_container("web", image=image, args=SLEEP, options=[spec.user(user)]))

    async def unmake() -> None:
        assert (await made[0].info()).snapshot_key == "web"
        await made.pop().delete()
        await before.nothing_is_left()

    before = await Aftermath.of(client, daemon, fifo_dir)
    assert await cancelled_anywhere(make, before.nothing_is_left, undo=unmake) > 3


async def test_new_container_of_an_image_that_is_to_be_unpacked(
    client: Client, archive: bytes, daemon: PrivateDaemon, fifo_dir: Path
) -> None:
    [image] = await client.import_images(archive)
    before = await Aftermath.of(client, daemon, fifo_dir)

    async def make() -> None:
        await client.new_container("web", image=image, args=SLEEP)

    for cancelled in WAYS:  # the one layer stays in the end: what is left for the second is to use it
        at = 0
        while await cancelled(make(), at):
            await before.nothing_is_left()
            at += 1
        assert at > (10 if cancelled is WAYS[0] else 3)
        async with await client.load_container("web") as container:
            await container.delete()


async def test_new_task(client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task():
            pass  # the event stream is there to stay
        made: list[Task] = []

        async def make() -> None:
            made.append(await container.new_task(stdio=pipes(stdin=True)))

        async def unmake() -> None:
            async with made.pop():
                pass
            await before.nothing_is_left()

        before = await Aftermath.of(client, daemon, fifo_dir)
        # All but the opening of the streams is one call that is let come to its end.
        assert await cancelled_anywhere(make, before.nothing_is_left, undo=unmake) > 0


async def test_the_first_new_task_of_a_client(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path
) -> None:
    """It waits for the event stream first, which goes with the client."""
    async with await client.new_container("web", image=image, args=SLEEP):
        before = await Aftermath.of(client, daemon, fifo_dir)
        for cancelled in WAYS:
            at, was_cancelled = 0, True
            while was_cancelled:
                async with Client(daemon.address, namespace=client.namespace, fifo_dir=fifo_dir) as first:
                    loaded = await first.load_container("web")

                    async def make(loaded: Container = loaded) -> None:
                        async with await loaded.new_task(stdio=pipes()):
                            pass

                    was_cancelled = await cancelled(make(), at)
                await before.nothing_is_left()
                at += 1
            assert at > 3


async def test_exec(client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        made: list[Process] = []

        async def make() -> None:
            made.append(await task.exec("ls", ["ls"], stdio=pipes(), user="app"))

        async def nothing_is_left() -> None:
            with pytest.raises(NotFoundError):
                await client.tasks.get("web", "ls")
            await before.nothing_is_left()

        async def unmake() -> None:
            async with made.pop():
                pass
            await nothing_is_left()

        before = await Aftermath.of(client, daemon, fifo_dir)
        assert await cancelled_anywhere(make, nothing_is_left, undo=unmake) > 1


async def test_import(client: Client, archive: bytes, daemon: PrivateDaemon, fifo_dir: Path) -> None:
    async def nothing_is_left() -> None:
        assert await client.list_images() == []
        await before.nothing_is_left()

    async def unmake() -> None:
        [image] = await client.list_images()
        await image.delete(sync=True)

    before = await Aftermath.of(client, daemon, fifo_dir)
    awaits = await cancelled_anywhere(
        lambda: client.import_images(archive), nothing_is_left, undo=unmake, step=5
    )
    assert awaits > 10
