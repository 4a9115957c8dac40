"""Unpacking into an in-memory snapshotter: what is left, and what is not."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
import pytest

from containerd_aio._images.importing import import_archive
from containerd_aio._images.unpack import chain_ids, unpack
from containerd_aio._session import defaults_of
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, UnknownError
from containerd_aio.types import ImageInfo, Mount, SnapshotKind
from tests.images.archives import OciArchive, config_of, digest, layer, oci_archive
from tests.images.fakes import FakeDaemon, FakeSnapshotter, was_cut

LAYERS = [layer(f"etc/file{place}", bytes([place]) * 1000) for place in range(3)]
CHAIN = chain_ids([digest(data) for data in LAYERS])


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


async def imported(daemon: FakeDaemon, archive: bytes | None = None) -> ImageInfo:
    (image,) = await import_archive(daemon.services, archive or oci_archive(LAYERS))
    daemon.calls.clear()
    return image


async def unpacked(daemon: FakeDaemon, image: ImageInfo) -> str | None:
    return await unpack(daemon.services, image.target, snapshotter="overlayfs")


def test_a_chain_id_is_the_hash_of_the_chain_below_and_the_diff_id() -> None:
    first, second = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    assert chain_ids([]) == ()
    assert chain_ids([first]) == (first,)
    assert (
        chain_ids([first, second])[1] == f"sha256:{hashlib.sha256(f'{first} {second}'.encode()).hexdigest()}"
    )


async def test_each_layer_becomes_a_snapshot_on_the_one_below(daemon: FakeDaemon) -> None:
    image = await imported(daemon)
    assert await unpacked(daemon, image) == CHAIN[-1]
    assert [(info.name, info.parent, info.kind) for info in daemon.snapshots.values()] == [
        (CHAIN[0], None, SnapshotKind.COMMITTED),
        (CHAIN[1], CHAIN[0], SnapshotKind.COMMITTED),
        (CHAIN[2], CHAIN[1], SnapshotKind.COMMITTED),
    ]
    assert daemon.snapshots[CHAIN[0]].labels == {"containerd.io/snapshot.ref": CHAIN[0]}
    assert daemon.held == {}


async def test_layers_and_config_get_the_labels_that_the_collector_and_others_look_for(
    daemon: FakeDaemon,
) -> None:
    image = await imported(daemon)
    await unpacked(daemon, image)
    labels = {key: value for blob in daemon.blob_labels.values() for key, value in blob.items()}
    assert labels["containerd.io/gc.ref.snapshot.overlayfs"] == CHAIN[-1]
    uncompressed = [blob.get("containerd.io/uncompressed") for blob in daemon.blob_labels.values()]
    assert {*uncompressed} >= {digest(data) for data in LAYERS}


async def test_snapshots_survive_a_collection_as_long_as_the_image(daemon: FakeDaemon) -> None:
    image = await imported(daemon)
    await unpacked(daemon, image)
    daemon.collect()
    assert [*daemon.snapshots] == [*CHAIN]
    await daemon.images.delete(image.name, sync=True)
    assert (daemon.snapshots, daemon.blobs) == ({}, {})


async def test_unpacking_again_is_one_question_for_the_top_snapshot(daemon: FakeDaemon) -> None:
    image = await imported(daemon)
    await unpacked(daemon, image)
    daemon.calls.clear()
    assert await unpacked(daemon, image) == CHAIN[-1]
    assert "snapshots.prepare" not in daemon.calls
    assert daemon.calls.count("snapshots.stat") == 2, "once to find it, once with the lease on it"


async def test_layers_that_are_there_are_not_unpacked_again(daemon: FakeDaemon) -> None:
    await unpacked(daemon, await imported(daemon, oci_archive(LAYERS[:2], name="example.org/base:1")))
    image = await imported(daemon)
    await unpacked(daemon, image)
    assert daemon.calls.count("diff.apply") == 1


async def test_an_image_without_layers_needs_no_snapshot(daemon: FakeDaemon) -> None:
    assert await unpacked(daemon, await imported(daemon, oci_archive([]))) is None
    assert daemon.snapshots == {}


async def test_two_who_unpack_at_once_both_succeed(daemon: FakeDaemon) -> None:
    image = await imported(daemon)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(unpacked, daemon, image)
    assert [*daemon.snapshots] == [*CHAIN]
    assert all(info.kind is SnapshotKind.COMMITTED for info in daemon.snapshots.values())
    assert daemon.calls.count("diff.apply") > 3, "they did not take turns"


async def test_annotations_for_snapshotters_become_labels_of_the_snapshot(daemon: FakeDaemon) -> None:
    archive = OciArchive()
    target = archive.add_manifest(LAYERS[:1])
    manifest = archive.blobs.pop(target["digest"])
    told = b'"annotations": {"containerd.io/snapshot/hint": "x", "other": "y"}, "mediaType": '
    marked = manifest.replace(b'"layers": [{"mediaType": ', b'"layers": [{' + told)
    archive.name(archive.add(marked, target["mediaType"]), "example.org/hinted:1")
    await unpacked(daemon, await imported(daemon, archive.build()))
    assert daemon.snapshots[CHAIN[0]].labels == {
        "containerd.io/snapshot/hint": "x",
        "containerd.io/snapshot.ref": CHAIN[0],
    }


async def test_a_layer_that_is_not_what_the_config_says_is_refused(daemon: FakeDaemon) -> None:
    archive = OciArchive()
    archive.name(archive.add_manifest(LAYERS, config=config_of([LAYERS[0], LAYERS[0], LAYERS[2]])), "odd")
    image = await imported(daemon, archive.build())
    with pytest.raises(
        InvalidArgumentError, match=f"unpacks to {digest(LAYERS[1])}, but the image's config says"
    ):
        await unpacked(daemon, image)
    assert all(info.kind is SnapshotKind.COMMITTED for info in daemon.snapshots.values())
    daemon.collect()
    assert daemon.snapshots == {}


async def test_a_config_with_another_number_of_layers_is_refused(daemon: FakeDaemon) -> None:
    archive = OciArchive()
    archive.name(archive.add_manifest(LAYERS, config=config_of(LAYERS[:2])), "odd")
    with pytest.raises(InvalidArgumentError, match="lists 2 layers, but its manifest has 3"):
        await unpacked(daemon, await imported(daemon, archive.build()))


async def test_a_layer_that_cannot_be_applied_leaves_no_active_snapshot(daemon: FakeDaemon) -> None:
    archive = OciArchive()
    packed = gzip.compress(LAYERS[0], mtime=0)
    broken = packed[:40] + packed[41:] + b"\0"
    target = archive.add_manifest(LAYERS[:1])
    manifest = archive.blobs.pop(target["digest"]).replace(digest(packed).encode(), digest(broken).encode())
    archive.blobs[digest(broken)] = broken
    archive.name(archive.add(manifest, target["mediaType"]), "broken")
    image = await imported(daemon, archive.build())
    with pytest.raises(UnknownError):
        await unpacked(daemon, image)
    assert (daemon.snapshots, daemon.held) == ({}, {})


@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by asyncio"])
async def test_a_cancellation_at_any_step_leaves_no_active_snapshot_and_no_lease(natively: bool) -> None:
    for step in range(1, 1000):
        daemon = FakeDaemon()
        image = await imported(daemon)
        if not await was_cut(daemon, step, partial(unpacked, daemon, image), natively=natively):
            break
        kinds = {info.kind for info in daemon.snapshots.values()}
        assert kinds <= {SnapshotKind.COMMITTED}, f"after step {step}"
        assert daemon.held == {}
        # All done but not told: the config's label is set in the step before the last.
        if not any("containerd.io/gc.ref.snapshot.overlayfs" in blob for blob in daemon.blob_labels.values()):
            daemon.collect()
            assert daemon.snapshots == {}, f"after step {step}"
    assert step > 30
    assert [*daemon.snapshots] == [*CHAIN]


class Refusing(FakeSnapshotter):
    """A snapshotter that says of a layer that it exists, as remote ones do; ``has_it`` tells the truth of it."""

    has_it = True

    async def prepare(
        self, key: str, *, parent: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Mount]:
        if self.has_it:
            await super().prepare(key, parent=parent, labels=labels)
            await self.commit(key.partition(" ")[2], key, labels=labels)
        raise AlreadyExistsError("target snapshot already exists")


def use(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch, kind: type[FakeSnapshotter]) -> None:
    def snapshotter(name: str) -> FakeSnapshotter:
        return kind(daemon, name)

    monkeypatch.setattr(daemon, "snapshotter", snapshotter)


async def test_a_remote_snapshotters_layers_are_taken_as_they_are(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await imported(daemon)
    use(daemon, monkeypatch, Refusing)
    assert await unpacked(daemon, image) == CHAIN[-1]
    assert "diff.apply" not in daemon.calls
    daemon.collect()
    assert [*daemon.snapshots] == [*CHAIN]


async def test_a_snapshotter_that_contradicts_itself_is_given_up(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await imported(daemon)
    use(daemon, monkeypatch, Refusing)
    monkeypatch.setattr(Refusing, "has_it", False)
    with pytest.raises(
        AlreadyExistsError, match=f"says that layer .* exists, but has no snapshot {CHAIN[0]}"
    ):
        await unpacked(daemon, image)


async def test_a_snapshot_that_vanishes_under_the_commit_is_made_again(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vanishing(FakeSnapshotter):
        failures = 1

        async def commit(self, name: str, key: str, *, labels: Mapping[str, str] | None = None) -> None:
            if Vanishing.failures:
                Vanishing.failures -= 1
                raise AlreadyExistsError("another one was faster, and gone")
            await super().commit(name, key, labels=labels)

    image = await imported(daemon)
    use(daemon, monkeypatch, Vanishing)
    assert await unpacked(daemon, image) == CHAIN[-1]
    assert [*daemon.snapshots] == [*CHAIN]


async def test_a_snapshot_that_a_collection_takes_is_made_again(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found, but collected before the lease was on it: looking twice is not for nothing."""
    image = await imported(daemon)
    await unpacked(daemon, image)
    add_resource = daemon.leases.add_resource

    async def collected_first(*args: Any) -> None:
        daemon.snapshots.clear()
        monkeypatch.setattr(daemon.leases, "add_resource", add_resource)
        await add_resource(*args)

    monkeypatch.setattr(daemon.leases, "add_resource", collected_first)
    assert await unpacked(daemon, image) == CHAIN[-1]
    assert [*daemon.snapshots] == [*CHAIN]


@pytest.mark.parametrize(
    ("labels", "name"),
    [({}, "overlayfs"), ({"containerd.io/defaults/snapshotter": "native"}, "native")],
    ids=["containerd's own", "the namespace's"],
)
async def test_the_default_snapshotter_is_the_namespaces(
    daemon: FakeDaemon, labels: dict[str, str], name: str
) -> None:
    daemon.namespace_labels.update(labels)
    assert (await defaults_of(daemon.services, "any")).snapshotter == name


async def test_the_default_snapshotter_of_an_unknown_namespace_is_containerds(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(name: str) -> None:
        raise NotFoundError(f"namespace {name} not found")

    monkeypatch.setattr(daemon.namespaces, "get", unknown)
    assert (await defaults_of(daemon.services, "any")).snapshotter == "overlayfs"
