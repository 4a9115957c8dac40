"""What a container changed, as a layer; neither a view nor an ingest is left."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpclib.const import Status

from containerd_aio import Client, Container, ContainerdError, NotFoundError
from containerd_aio._checkpoint.layer import changed_files
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.services import Services
from containerd_aio.testing import FakeContainerd
from tests.checkpoint.leftovers import left_of_checkpoints


@pytest.fixture
async def services(fake: FakeContainerd, client: Client) -> AsyncIterator[Services]:
    connection = Connection(Address.parse(fake.address))
    yield Services.of(connection.caller(client.namespace))
    await connection.aclose()


async def parent_of(client: Client, container: Container) -> str | None:
    info = await container.info()
    assert info.snapshotter is not None
    assert info.snapshot_key is not None
    return (await client.snapshotter(info.snapshotter).stat(info.snapshot_key)).parent


async def test_the_layer_is_in_the_content_store(
    services: Services, client: Client, container: Container
) -> None:
    parent = await parent_of(client, container)
    layer = await changed_files(services, "overlayfs", "web", parent)
    assert (await client.content.info(layer.digest)).size == layer.size
    assert await left_of_checkpoints(client) == []


async def test_a_snapshot_without_a_parent_is_compared_with_nothing(
    services: Services, client: Client
) -> None:
    await client.snapshotter("overlayfs").prepare("bare")
    layer = await changed_files(services, "overlayfs", "bare", None)
    assert (await client.content.info(layer.digest)).size == layer.size
    assert await left_of_checkpoints(client) == []


@pytest.mark.parametrize("method", ["Snapshots/View", "Snapshots/Mounts", "Diff/Diff", "Snapshots/Remove"])
async def test_what_fails_leaves_no_view(
    fake: FakeContainerd, services: Services, client: Client, container: Container, method: str
) -> None:
    parent = await parent_of(client, container)
    with fake.refuse(method, Status.INTERNAL, "out of order", times=1):
        with pytest.raises(ContainerdError, match="out of order"):
            await changed_files(services, "overlayfs", "web", parent)
    left = [line for line in await left_of_checkpoints(client) if method != "Snapshots/Remove"]
    assert left == []


async def test_a_snapshot_that_is_gone_is_told(services: Services, container: Container) -> None:
    with pytest.raises(NotFoundError):
        await changed_files(services, "overlayfs", "nothing", None)
