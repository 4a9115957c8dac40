"""Snapshotters of a real containerd."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from containerd_aio.errors import (
    AlreadyExistsError,
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    UnknownError,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.services.snapshots import Snapshotter
from containerd_aio.types import SnapshotInfo, SnapshotKind
from tests.integration.conftest import cannot_run

pytestmark = pytest.mark.integration

# As unpacking calls them: no identifiers.
KEY = "extract-1-aB_- sha256:" + "a" * 64
BASE = "default/1/base layer"
CHILD = "sha256:" + "c" * 64


@pytest.fixture(params=["native", "overlayfs"])
async def snapshotter(
    request: pytest.FixtureRequest, services: Services, daemon: PrivateDaemon
) -> AsyncIterator[Snapshotter]:
    """A snapshotter of this machine, with the snapshots of one test under a lease."""
    if request.param == "overlayfs" and daemon.snapshotter != "overlayfs":
        cannot_run("this machine's containerd has no overlayfs")
    async with services.leases.hold():
        yield services.snapshotter(request.param)
    last = await services.leases.create()
    await services.leases.delete(last.id, sync=True)


async def committed(snapshotter: Snapshotter, name: str, *, parent: str | None = None) -> None:
    await snapshotter.prepare(KEY, parent=parent)
    await snapshotter.commit(name, KEY)


async def test_a_snapshot_goes_from_active_to_committed_to_parent(snapshotter: Snapshotter) -> None:
    mounts = await snapshotter.prepare(KEY, labels={"a": "1"})
    assert mounts
    assert await snapshotter.mounts(KEY) == mounts
    active = await snapshotter.stat(KEY)
    assert (active.name, active.kind, active.parent) == (KEY, SnapshotKind.ACTIVE, None)
    assert active.labels == {"a": "1"}
    assert active.created_at_ns is not None

    await snapshotter.commit(BASE, KEY, labels={"b": "2"})
    base = await snapshotter.stat(BASE)
    assert (base.name, base.kind, base.parent) == (BASE, SnapshotKind.COMMITTED, None)
    assert base.labels == {"b": "2"}
    with pytest.raises(NotFoundError):
        await snapshotter.stat(KEY)

    (mount,) = await snapshotter.view("v", parent=BASE)
    assert "ro" in mount.options
    view = await snapshotter.stat("v")
    assert (view.kind, view.parent) == (SnapshotKind.VIEW, BASE)
    await committed(snapshotter, CHILD, parent=BASE)
    assert (await snapshotter.stat(CHILD)).parent == BASE

    with pytest.raises(FailedPreconditionError):
        await snapshotter.remove(BASE)
    for name in ("v", CHILD, BASE):
        await snapshotter.remove(name)
    assert await snapshotter.list() == []


async def test_a_walk_finds_all_and_what_is_asked_for(snapshotter: Snapshotter) -> None:
    await committed(snapshotter, BASE)
    await committed(snapshotter, CHILD, parent=BASE)
    for number in range(110):
        await snapshotter.prepare(f"active {number}", parent=BASE)
    assert len(await snapshotter.list()) == 112
    assert len(await snapshotter.list("kind==active")) == 110
    assert [info.name for info in await snapshotter.list("kind==committed", f'name=="{CHILD}"')] in (
        [BASE, CHILD],
        [CHILD, BASE],
    )
    assert [info.name for info in await snapshotter.list(f'parent=="{BASE}",kind==committed')] == [CHILD]
    with pytest.raises((InvalidArgumentError, UnknownError), match="parse error"):
        await snapshotter.list("==")


async def test_labels_are_changed_one_by_one_or_all(snapshotter: Snapshotter) -> None:
    await snapshotter.prepare(KEY, labels={"a": "1", "b": "2"})
    before = await snapshotter.stat(KEY)
    wanted = SnapshotInfo(KEY, SnapshotKind.UNKNOWN, labels={"a": "", "c.d/e": "3"})
    after = await snapshotter.update(wanted, "labels.a", "labels.c.d/e")
    assert after.labels == {"b": "2", "c.d/e": "3"}
    assert (after.kind, after.created_at_ns) == (SnapshotKind.ACTIVE, before.created_at_ns)
    assert (await snapshotter.update(wanted)).labels == {"c.d/e": "3"}
    with pytest.raises(InvalidArgumentError):
        await snapshotter.update(wanted, "kind")


async def test_usage_counts_a_snapshots_own_files(snapshotter: Snapshotter) -> None:
    await committed(snapshotter, BASE)
    usage = await snapshotter.usage(BASE)
    assert usage.inodes >= 1
    assert usage.size >= 0
    with pytest.raises(NotFoundError):
        await snapshotter.usage("nowhere")


async def test_what_is_wrong_is_told(snapshotter: Snapshotter, services: Services) -> None:
    await committed(snapshotter, BASE)
    with pytest.raises(AlreadyExistsError):
        await snapshotter.prepare(BASE)
    with pytest.raises(NotFoundError) as caught:
        await snapshotter.prepare(KEY, parent="nowhere")
    assert caught.value.subject == f"snapshot '{KEY}'"
    await snapshotter.prepare(KEY)
    with pytest.raises(AlreadyExistsError):
        await snapshotter.commit(BASE, KEY)
    assert (await snapshotter.stat(KEY)).kind is SnapshotKind.ACTIVE
    with pytest.raises((InvalidArgumentError, FailedPreconditionError)):
        await snapshotter.view("v", parent=KEY)
    with pytest.raises(NotFoundError):
        await snapshotter.mounts("nowhere")
    with pytest.raises(ContainerdError):
        await snapshotter.mounts(BASE)
    with pytest.raises(NotFoundError):
        await snapshotter.remove("nowhere")
    with pytest.raises(InvalidArgumentError):
        await services.snapshotter("nowhere").prepare(KEY)
    with pytest.raises(InvalidArgumentError):
        await services.snapshotter("nowhere").list()


async def test_another_parent_on_commit_is_never_ignored(
    snapshotter: Snapshotter, services: Services
) -> None:
    """containerd 2.2 knows it, for snapshotters that can; older ones would store a layer without its parent."""
    await committed(snapshotter, BASE)
    await snapshotter.prepare(KEY)
    plugins = await services.introspection.plugins(f"id=={snapshotter.name}")
    if any("rebase" in plugin.capabilities for plugin in plugins):
        await snapshotter.commit(CHILD, KEY, parent=BASE)
        assert (await snapshotter.stat(CHILD)).parent == BASE
    else:
        with pytest.raises(NotImplementedByServerError):
            await snapshotter.commit(CHILD, KEY, parent=BASE)
        assert (await snapshotter.stat(KEY)).kind is SnapshotKind.ACTIVE


async def test_what_a_snapshotter_cannot_do_is_told(snapshotter: Snapshotter) -> None:
    """No containerd up to 2.1 passes Cleanup on, not even to overlayfs, which has it."""
    with pytest.raises(NotImplementedByServerError) as caught:
        await snapshotter.cleanup()
    assert caught.value.subject == f"snapshotter '{snapshotter.name}'"
