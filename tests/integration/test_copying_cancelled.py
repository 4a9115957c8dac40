"""A copy that is cancelled, at any await, leaves nothing half: no file, exec, lease, blob, mount or descriptor.

Descriptors, asyncio tasks, leases and ingests are looked for by the fixtures at the end.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import Client, Container, Image
from containerd_aio.private_daemon import PrivateDaemon
from tests.copying.trees import from_tar, tar_of
from tests.integration.containers import container_of, output_of, packed, seen_by, shared_client, unpacked
from tests.interrupt import WAYS

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("cancelled", WAYS)]

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
CONTENT = {"one": b"1" * 600_000, "two": b"2"}
ARCHIVE = tar_of(CONTENT.items())


@pytest.fixture(scope="module")
async def client(daemon: PrivateDaemon) -> AsyncIterator[Client]:
    async with shared_client(daemon) as client:
        yield client


@pytest.fixture(scope="module")
async def image(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    return await unpacked(client, daemon, archive)


async def check_files(container: Container) -> None:
    """Each file is there as a whole or not at all."""
    found = from_tar(await packed(container, "/tmp"))
    for name, item in found.items():
        assert item.kind == "directory" or item.content == CONTENT[name.removeprefix("tmp/")], name


async def each_await(
    cancelled: Cancel,
    copy: Callable[[], Coroutine[Any, Any, object]],
    check: Callable[[], Awaitable[None]],
    step: int,
) -> None:
    """Cancel it at its first await, then at a later one, until it comes to its end."""
    at = 0
    while await cancelled(copy(), at):
        await check()
        at += step
    await check()
    assert at > step


async def digests(client: Client) -> set[str]:
    return {info.digest for info in await client.content.list()}


async def test_copy_in_while_it_runs(client: Client, image: Image, cancelled: Cancel) -> None:
    async with container_of(client, image, "running") as container:

        async def check() -> None:
            await check_files(container)

        await each_await(cancelled, lambda: container.copy_in(ARCHIVE, "/tmp"), check, 1)
        assert await output_of(container, "ls", "-A", "/tmp") == "one\ntwo\n"


async def test_copy_in_without_a_task(client: Client, image: Image, cancelled: Cancel) -> None:
    async with container_of(client, image, "no task") as container:
        before = await digests(client)

        async def check() -> None:
            assert await client.leases.list() == []
            await check_files(container)

        await each_await(cancelled, lambda: container.copy_in(ARCHIVE, "/tmp"), check, 2)
        assert from_tar(await packed(container, "/tmp")).keys() == {"tmp", "tmp/one", "tmp/two"}
        async with client.leases.hold(sync=True):
            pass
        assert await digests(client) == before


async def test_copy_out(client: Client, image: Image, tmp_path: Path, cancelled: Cancel) -> None:
    async with container_of(client, image, "running") as container:
        await container.copy_in(ARCHIVE, "/tmp")
        target = tmp_path / "target"
        target.mkdir()

        async def check() -> None:
            for name in os.listdir(target):
                assert (target / name).read_bytes() == CONTENT[name]

        await each_await(cancelled, lambda: container.copy_out_to("/tmp/.", target), check, 1)
        assert sorted(os.listdir(target)) == ["one", "two"]


@pytest.mark.parametrize(
    ("state", "step"),
    [
        pytest.param("not to be seen", 53, id="by a tar of its own"),
        pytest.param("on another host", 53, id="from another host"),
        pytest.param("not to be seen", 1, id="by a tar of its own, each await", marks=pytest.mark.long),
        pytest.param("on another host", 1, id="from another host, each await", marks=pytest.mark.long),
    ],
)
async def test_by_the_longer_ways(
    client: Client,
    image: Image,
    daemon: PrivateDaemon,
    fifo_dir: Path,
    cancelled: Cancel,
    state: str,
    step: int,
) -> None:
    async with container_of(client, image, state) as made, seen_by(client, daemon, state, made) as container:
        before = await digests(client)

        async def check() -> None:
            assert await client.leases.list() == []
            if state == "not to be seen":
                assert [info.exec_id for info in await (await container.task()).pids()] == [None]

        async def copy() -> None:
            await container.copy_in(ARCHIVE, "/tmp")
            await container.read_file("/tmp/two")

        await each_await(cancelled, copy, check, step)
        await check_files(container)
        async with client.leases.hold(sync=True):
            pass
        assert await digests(client) == before
