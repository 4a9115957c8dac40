"""Cancelled at any await, nothing is left behind: each operation is cancelled at its first, second, … await.

After each time everything is looked for: containers, tasks, snapshots, leases, ingests, FIFOs, descriptors, asyncio
tasks, shims, processes. This is about what makes something; ``test_cancellation_of_processes.py`` is about what
is done with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import Client, Container, Image, NotFoundError, Process, Task, pipes, spec
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.aftermath import Aftermath
from tests.integration.test_exits import SLEEP
from tests.interrupt import WAYS

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("cancelled", WAYS)]

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]


@pytest.mark.parametrize("user", ["0", "app"], ids=["", "with a user that is looked up"])
async def test_new_container(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel, user: str
) -> None:
    made: list[Container] = []

    async def make() -> None:
        made.append(await client.new_container("web", image=image, args=SLEEP, options=[spec.user(user)]))

    before = await Aftermath.of(client, daemon, fifo_dir)
    at = 0
    while await cancelled(make(), at):
        await before.nothing_is_left()
        at += 1
    assert at > 3
    assert (await made[0].info()).snapshot_key == "web"
    await made[0].delete()
    await before.nothing_is_left()


async def test_new_container_of_an_image_that_is_to_be_unpacked(
    client: Client, archive: bytes, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    [image] = await client.import_images(archive)
    before = await Aftermath.of(client, daemon, fifo_dir)
    at = 0

    async def make() -> None:
        await client.new_container("web", image=image, args=SLEEP)

    while await cancelled(make(), at):
        await before.nothing_is_left()
        at += 1
    assert at > 10
    async with await client.load_container("web") as container:
        await container.delete()


async def test_new_task(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task():
            pass  # the event stream is there to stay
        made: list[Task] = []

        async def make() -> None:
            made.append(await container.new_task(stdio=pipes(stdin=True)))

        before = await Aftermath.of(client, daemon, fifo_dir)
        at = 0
        while await cancelled(make(), at):
            await before.nothing_is_left()
            at += 1
        assert at > 0  # all but the opening of the streams is one call that is let come to its end
        async with made[0]:
            pass
        await before.nothing_is_left()


async def test_the_first_new_task_of_a_client(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    """It waits for the event stream first, which goes with the client."""
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        before = await Aftermath.of(client, daemon, fifo_dir)
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
        await container.delete()


async def test_exec(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        made: list[Process] = []

        async def make() -> None:
            made.append(await task.exec("ls", ["ls"], stdio=pipes(), user="app"))

        before = await Aftermath.of(client, daemon, fifo_dir)
        at = 0
        while await cancelled(make(), at):
            with pytest.raises(NotFoundError):
                await client.tasks.get("web", "ls")
            await before.nothing_is_left()
            at += 1
        assert at > 1
        async with made[0]:
            pass
        await before.nothing_is_left()


async def test_import(
    client: Client, archive: bytes, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    before = await Aftermath.of(client, daemon, fifo_dir)
    at = 0
    while await cancelled(client.import_images(archive), at):
        assert await client.list_images() == []
        await before.nothing_is_left()
        at += 5
    assert at > 10
