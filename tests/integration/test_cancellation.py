"""Cancelled at any await, nothing is left behind: each operation is cancelled at its first, second, … await.

What must not stay is looked for after each time: containers, tasks, snapshots, FIFOs. Leases, ingests, descriptors
and asyncio tasks are looked for by the fixtures at the end.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import Client, Image, NotFoundError, Process, Task, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.interrupt import WAYS

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("cancelled", WAYS)]

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
SLEEP = ["sleep", "3600"]


async def active_snapshots(client: Client, daemon: PrivateDaemon) -> list[str]:
    return [
        info.name for info in await client.snapshotter(daemon.snapshotter).list() if info.kind != "committed"
    ]


async def test_new_container(client: Client, image: Image, daemon: PrivateDaemon, cancelled: Cancel) -> None:
    async def make() -> None:
        await client.new_container("web", image=image, args=SLEEP)

    at = 0
    while await cancelled(make(), at):
        assert await client.list_containers() == []
        assert await active_snapshots(client, daemon) == []
        at += 1
    assert at > 3
    async with await client.load_container("web") as container:
        await container.delete()


async def test_new_task(client: Client, image: Image, fifo_dir: Path, cancelled: Cancel) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        made: list[Task] = []

        async def make() -> None:
            made.append(await container.new_task(stdio=pipes(stdin=True)))

        at = 0
        while await cancelled(make(), at):
            assert await client.tasks.list() == []
            assert os.listdir(fifo_dir) == []
            at += 1
        assert at > 1
        await made[0].delete()


async def test_exec(client: Client, image: Image, fifo_dir: Path, cancelled: Cancel) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        made: list[Process] = []

        async def make() -> None:
            made.append(await task.exec("ls", ["ls"], stdio=pipes(), user="app"))

        at = 0
        while await cancelled(make(), at):
            with pytest.raises(NotFoundError):
                await client.tasks.get("web", "ls")
            assert os.listdir(fifo_dir) == []
            at += 1
        assert at > 1
        await made[0].delete()


async def test_start(client: Client, image: Image, cancelled: Cancel) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        at = 0
        while True:
            async with await task.exec("nap", SLEEP, stdio=pipes(stdin=True)) as process:
                if not await cancelled(process.start(), at):
                    break
                # It runs no more, whether it was started or not.
                exec_ids = [info.exec_id for info in await task.pids()]
                assert "nap" not in exec_ids
            at += 1
        assert at > 0


async def test_delete_can_be_repeated(
    client: Client, image: Image, fifo_dir: Path, cancelled: Cancel
) -> None:
    async with await client.new_container("web", image=image, args=["echo", "hi"]) as container:
        at = 0
        while True:
            async with await container.new_task(stdio=pipes()) as task:
                exited = task.wait()
                await task.start()
                status = await exited
                was_cancelled = await cancelled(task.delete(), at)
                if was_cancelled:
                    assert await task.delete() == status
                assert os.listdir(fifo_dir) == []
                assert task.stdout is not None
                assert await task.stdout.receive() == b"hi\n"
            if not was_cancelled:
                break
            at += 1
        assert at > 1


async def test_run(
    client: Client, image: Image, daemon: PrivateDaemon, fifo_dir: Path, cancelled: Cancel
) -> None:
    at = 0
    while await cancelled(client.run(image, ["cat"], id="web", input=b"hi"), at):
        assert await client.list_containers() == []
        assert await client.tasks.list() == []
        assert await active_snapshots(client, daemon) == []
        assert os.listdir(fifo_dir) == []
        at += 3
    assert at > 10


async def test_import(client: Client, archive: bytes, cancelled: Cancel) -> None:
    at = 0
    while await cancelled(client.import_images(archive), at):
        assert await client.list_images() == []
        assert await client.leases.list() == []
        assert await client.content.statuses() == []
        at += 5
    assert at > 10
