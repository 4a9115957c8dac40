"""Leases of a real containerd, and its garbage collection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from containerd_aio.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.services.leases import EXPIRE_LABEL, Leases
from containerd_aio.types import LeaseResource
from tests.interrupt import WAYS
from tests.services.cancelling import Cancel

pytestmark = pytest.mark.integration


@pytest.fixture
async def leases(services: Services) -> AsyncIterator[Leases]:
    """The lease service; every lease that a test made ends with it, and what it held."""
    yield services.leases
    for lease in await services.leases.list():
        await services.leases.delete(lease.id)
    last = await services.leases.create()
    await services.leases.delete(last.id, sync=True)


async def test_a_lease_is_made_found_and_deleted(leases: Leases) -> None:
    lease = await leases.create(id="mine", labels={"owner": "me"})
    assert lease.id == "mine"
    assert lease.labels.keys() == {"owner", EXPIRE_LABEL}
    assert await leases.list() == [lease]
    assert await leases.list("labels.owner==me") == [lease]
    assert await leases.list("id==other") == []
    with pytest.raises(AlreadyExistsError):
        await leases.create(id="mine")
    with pytest.raises(InvalidArgumentError):
        await leases.list("==")
    await leases.delete("mine")
    with pytest.raises(NotFoundError):
        await leases.delete("mine")
    assert await leases.list() == []


async def test_resources_are_added_listed_and_let_go(
    services: Services, leases: Leases, daemon: PrivateDaemon
) -> None:
    digest = await services.content.write_blob("resource", b"a blob to hold")
    lease = await leases.create()
    blob = LeaseResource("content", digest)
    snapshot = LeaseResource(f"snapshots/{daemon.snapshotter}", "a snapshot/of mine")
    ingest = LeaseResource("ingests", "an ingest")
    for resource in (blob, snapshot, ingest):
        await leases.add_resource(lease.id, resource)
    found = await leases.list_resources(lease.id)
    assert sorted(found, key=str) == sorted([blob, snapshot, ingest], key=str)
    await leases.delete_resource(lease.id, snapshot)
    await leases.delete_resource(lease.id, snapshot)
    await leases.delete_resource(lease.id, blob)
    assert await leases.list_resources(lease.id) == [ingest]
    other = await leases.create()
    await leases.delete(other.id, sync=True)
    with pytest.raises(NotFoundError):
        await services.content.info(digest)


async def test_wrong_resources_are_told(leases: Leases) -> None:
    lease = await leases.create()
    with pytest.raises(InvalidArgumentError):
        await leases.add_resource(lease.id, LeaseResource("content", "no digest"))
    with pytest.raises(NotImplementedByServerError):
        await leases.add_resource(lease.id, LeaseResource("sandboxes", "x"))
    resource = LeaseResource("ingests", "x")
    with pytest.raises(NotFoundError):
        await leases.add_resource("nowhere", resource)
    with pytest.raises(NotFoundError):
        await leases.delete_resource("nowhere", resource)
    with pytest.raises(NotFoundError):
        await leases.list_resources("nowhere")


async def test_hold_holds_blobs_and_snapshots_and_lets_them_go(
    services: Services, leases: Leases, daemon: PrivateDaemon
) -> None:
    snapshotter = services.snapshotter(daemon.snapshotter)
    async with leases.hold(labels={"owner": "me"}) as lease:
        digest = await services.content.write_blob("held", b"a blob to hold")
        await snapshotter.prepare("held snapshot")
        assert set(await leases.list_resources(lease.id)) == {
            LeaseResource("content", digest),
            LeaseResource(f"snapshots/{daemon.snapshotter}", "held snapshot"),
        }
        other = await leases.create()
        await leases.delete(other.id, sync=True)
        await services.content.info(digest)
        await snapshotter.stat("held snapshot")
    other = await leases.create()
    await leases.delete(other.id, sync=True)
    with pytest.raises(NotFoundError):
        await services.content.info(digest)
    with pytest.raises(NotFoundError):
        await snapshotter.stat("held snapshot")


async def test_a_lease_that_has_expired_holds_nothing(services: Services, leases: Leases) -> None:
    past = "2001-01-01T00:00:00Z"
    async with leases.hold(labels={EXPIRE_LABEL: past}):
        digest = await services.content.write_blob("expired", b"a blob that nobody holds")
        other = await leases.create()
        await leases.delete(other.id, sync=True)
        with pytest.raises(NotFoundError):
            await services.content.info(digest)


@pytest.mark.parametrize("id", [None, "mine"])
@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_hold_cancelled_anywhere_leaves_no_lease(
    leases: Leases, id: str | None, cancelled: Cancel
) -> None:
    """Also not one that containerd would make after the cleanup has looked."""

    async def hold() -> None:
        async with leases.hold(id=id):
            await leases.list()

    for _ in range(10):
        at = 0
        while await cancelled(hold(), at):
            assert await leases.list() == []
            at += 1
        assert at > 2
        assert await leases.list() == []
