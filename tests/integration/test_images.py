"""Images on a real containerd: imported, unpacked, kept by the collector, and never left half done."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from containerd_aio._images.importing import import_archive
from containerd_aio._images.unpack import unpack
from containerd_aio._session import defaults_of
from containerd_aio.cli.busybox import IMAGE_NAME, busybox_archive
from containerd_aio.errors import ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.types import ImageInfo, SnapshotKind
from tests.images.archives import OciArchive, config_of, docker_archive, docker_files, layer, oci_archive, tar
from tests.integration.leaks import ctr

if TYPE_CHECKING:
    from containerd_aio._session import Session
    from containerd_aio._transport.connection import Connection

pytestmark = pytest.mark.integration

LAYERS = [
    layer("etc/motd", b"hello\n"),
    layer("bin/tool", b"#!/bin/sh\n" * 1000),
    layer("etc/motd", b"bye\n"),
]
MADE = "docker.io/library/made:latest"


@cache
def busybox() -> bytes:
    return busybox_archive()


@cache
def busybox_by_docker() -> bytes:
    """The busybox image as ``docker save`` writes it."""
    with tarfile.open(fileobj=io.BytesIO(busybox())) as archive:
        blobs = {name: file.read() for name in archive.getnames() if (file := archive.extractfile(name))}
    manifest = json.loads(next(data for data in blobs.values() if b'"layers"' in data))
    layers = [
        gzip.decompress(blobs[f"blobs/{entry['digest'].replace(':', '/')}"]) for entry in manifest["layers"]
    ]
    return docker_archive(layers, tags=["busybox"])


async def collect(services: Services) -> None:
    """Have the daemon collect garbage, and wait for it."""
    lease = await services.leases.create()
    await services.leases.delete(lease.id, sync=True)


@dataclass(frozen=True)
class Contents:
    """What a namespace holds."""

    images: dict[str, str]
    blobs: set[str]
    snapshots: set[str]
    ingests: int
    leases: int

    @classmethod
    async def of(cls, services: Services, snapshotter: str) -> Contents:
        snapshots = await services.snapshotter(snapshotter).list()
        assert all(info.kind is SnapshotKind.COMMITTED for info in snapshots)
        return cls(
            images={image.name: image.target.digest for image in await services.images.list()},
            blobs={blob.digest for blob in await services.content.list()},
            snapshots={info.name for info in snapshots},
            ingests=len(await services.content.statuses()),
            leases=len(await services.leases.list()),
        )


NOTHING = Contents(images={}, blobs=set(), snapshots=set(), ingests=0, leases=0)


async def contents(services: Services, daemon: PrivateDaemon) -> Contents:
    await collect(services)
    return await Contents.of(services, daemon.snapshotter)


async def in_pieces(data: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def image_of(services: Services, namespace: str, info: ImageInfo) -> Image:
    @dataclass(frozen=True)
    class ServicesOnly:
        services: Services
        namespace: str

    return Image(cast("Session", ServicesOnly(services, namespace)), info)


SOURCES = [
    pytest.param(busybox, id="OCI"),
    pytest.param(busybox_by_docker, id="docker"),
    pytest.param(lambda: gzip.compress(busybox(), 1), id="OCI in gzip"),
    pytest.param(lambda: gzip.compress(busybox_by_docker(), 1), id="docker in gzip"),
    pytest.param(lambda: in_pieces(busybox()), id="OCI as a stream"),
]


@pytest.mark.parametrize("source", SOURCES)
async def test_an_imported_and_unpacked_image_survives_a_collection(
    services: Services, daemon: PrivateDaemon, source: Any
) -> None:
    (image,) = await import_archive(services, source())
    assert image.name == IMAGE_NAME
    top = await unpack(services, image.target, snapshotter=daemon.snapshotter)
    kept = await contents(services, daemon)
    assert kept.images == {IMAGE_NAME: image.target.digest}
    assert len(kept.blobs) == 3
    assert kept.snapshots == {top}
    assert (kept.ingests, kept.leases) == (0, 0)


async def test_ctr_finds_the_image_complete_and_unpacked(
    services: Services, daemon: PrivateDaemon, namespace: str
) -> None:
    (image,) = await import_archive(services, busybox())
    await unpack(services, image.target, snapshotter=daemon.snapshotter)
    lines = await anyio.to_thread.run_sync(
        ctr, daemon.address, namespace, "images", "check", "--snapshotter", daemon.snapshotter
    )
    (line,) = [line for line in lines if IMAGE_NAME in line]
    assert "complete (2/2)" in line
    assert line.split()[-1] == "true", "ctr's column UNPACKED"


@pytest.mark.parametrize("archive", [busybox, busybox_by_docker], ids=["OCI", "docker"])
async def test_ctr_imports_the_same_archive_to_the_same_digest(
    services: Services, daemon: PrivateDaemon, namespace: str, tmp_path: Path, archive: Any
) -> None:
    (image,) = await import_archive(services, archive())
    (tmp_path / "image.tar").write_bytes(archive())
    await anyio.to_thread.run_sync(
        ctr, daemon.address, namespace, "images", "import", "--no-unpack", str(tmp_path / "image.tar")
    )
    assert (await services.images.get(IMAGE_NAME)).target.digest == image.target.digest


async def test_what_ctr_exports_is_imported(
    services: Services, daemon: PrivateDaemon, namespace: str, tmp_path: Path
) -> None:
    (image,) = await import_archive(services, oci_archive(LAYERS))
    path = str(tmp_path / "out.tar")
    await anyio.to_thread.run_sync(ctr, daemon.address, namespace, "images", "export", path, MADE)
    await services.images.delete(MADE, sync=True)
    (again,) = await import_archive(services, path)
    assert (again.name, again.target.digest) == (MADE, image.target.digest)


async def test_a_second_import_and_unpack_change_nothing(services: Services, daemon: PrivateDaemon) -> None:
    for source in (docker_archive(LAYERS), gzip.compress(docker_archive(LAYERS))):
        (image,) = await import_archive(services, source)
        await unpack(services, image.target, snapshotter=daemon.snapshotter)
        kept = await contents(services, daemon)
        assert (len(kept.blobs), len(kept.snapshots)) == (5, 3)


async def test_a_name_is_pointed_to_the_new_image_and_the_old_one_goes(
    services: Services, daemon: PrivateDaemon
) -> None:
    (old,) = await import_archive(services, oci_archive(LAYERS[:1]), labels={"kept": "yes"})
    await unpack(services, old.target, snapshotter=daemon.snapshotter)
    (new,) = await import_archive(services, oci_archive(LAYERS[1:2]), labels={"new": "too"})
    assert new.labels == {"kept": "yes", "new": "too"}
    kept = await contents(services, daemon)
    assert kept.images == {MADE: new.target.digest}
    assert (len(kept.blobs), kept.snapshots) == (3, set())


async def test_images_without_and_with_many_layers_are_unpacked(
    services: Services, daemon: PrivateDaemon
) -> None:
    (empty,) = await import_archive(services, oci_archive([], name="docker.io/library/empty:1"))
    assert await unpack(services, empty.target, snapshotter=daemon.snapshotter) is None
    many = [layer(f"etc/file{place}") for place in range(30)]
    (image,) = await import_archive(services, oci_archive(many))
    await unpack(services, image.target, snapshotter=daemon.snapshotter)
    assert len((await contents(services, daemon)).snapshots) == 30


def damaged_archives() -> dict[str, bytes]:
    whole = oci_archive(LAYERS)
    wrong = OciArchive()
    wrong.name(wrong.add_manifest(LAYERS), MADE)
    first = next(iter(wrong.blobs))
    wrong.blobs[first] = b"something else"
    lacking = OciArchive()
    lacking.name(lacking.add_manifest(LAYERS), MADE)
    lacking.blobs.pop(next(iter(lacking.blobs)))
    files = docker_files(LAYERS)
    changed = {name: data.replace(b"hello", b"jello") for name, data in files.items()}
    return {
        "truncated": whole[: len(whole) // 2],
        "truncated gzip": gzip.compress(whole)[:-20],
        "wrong digest": wrong.build(),
        "missing blob": lacking.build(),
        "changed docker layer": tar(changed),
        "name outside": tar([("oci-layout", b"{}"), ("../../etc/passwd", b"x")]),
        "no archive": b"hello" * 1000,
    }


@pytest.mark.parametrize("kind", damaged_archives())
async def test_a_damaged_archive_leaves_nothing(services: Services, daemon: PrivateDaemon, kind: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await import_archive(services, in_pieces(damaged_archives()[kind], 1000))
    assert await contents(services, daemon) == NOTHING


async def test_a_stream_that_breaks_leaves_nothing(services: Services, daemon: PrivateDaemon) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield busybox()[:500_000]
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await import_archive(services, breaking())
    assert await contents(services, daemon) == NOTHING


async def test_an_import_cancelled_at_any_time_leaves_nothing(
    services: Services, daemon: PrivateDaemon
) -> None:
    """The time grows until an import gets through; each shorter one is cut somewhere else."""
    cut, seconds = 0, 0.001
    while True:
        with anyio.move_on_after(seconds) as scope:
            await import_archive(services, in_pieces(docker_archive(LAYERS), 500))
        if not scope.cancelled_caught:
            break
        cut += 1
        assert await contents(services, daemon) == NOTHING, f"after {seconds} s"
        seconds *= 1.2
    assert cut > 3
    assert (await contents(services, daemon)).images.keys() == {MADE}


async def test_an_import_whose_stream_stalls_can_be_cancelled(
    services: Services, daemon: PrivateDaemon
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield busybox()[:500_000]
        await anyio.sleep_forever()

    with anyio.move_on_after(0.3) as scope:
        await import_archive(services, stalling())
    assert scope.cancelled_caught
    assert await contents(services, daemon) == NOTHING


async def test_an_unpack_cancelled_at_any_time_leaves_no_active_snapshot(
    services: Services, daemon: PrivateDaemon
) -> None:
    (image,) = await import_archive(services, oci_archive(LAYERS))
    packed = await contents(services, daemon)
    cut, seconds = 0, 0.001
    while True:
        with anyio.move_on_after(seconds) as scope:
            await unpack(services, image.target, snapshotter=daemon.snapshotter)
        if not scope.cancelled_caught:
            break
        cut += 1
        after = await contents(services, daemon)
        if after.snapshots:  # the config's label was set, and its answer came too late
            assert len(after.snapshots) == 3
            break
        assert after == packed, f"after {seconds} s"
        seconds *= 1.2
    assert cut > 3
    await unpack(services, image.target, snapshotter=daemon.snapshotter)
    assert len((await contents(services, daemon)).snapshots) == 3


async def test_many_who_import_and_unpack_one_image_at_once_all_succeed(
    services: Services, daemon: PrivateDaemon, connection: Connection
) -> None:
    tops = []

    async def one() -> None:
        own = Services.of(connection.caller(services.caller.namespace))
        (image,) = await import_archive(own, docker_archive(LAYERS))
        tops.append(await unpack(own, image.target, snapshotter=daemon.snapshotter))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(one)
    assert len(tops) == 6
    assert len(set(tops)) == 1
    kept = await contents(services, daemon)
    assert (len(kept.blobs), len(kept.snapshots), kept.ingests, kept.leases) == (5, 3, 0, 0)


async def test_a_layer_that_is_not_what_the_config_says_leaves_nothing(
    services: Services, daemon: PrivateDaemon
) -> None:
    archive = OciArchive()
    archive.name(archive.add_manifest(LAYERS, config=config_of([LAYERS[0], LAYERS[0], LAYERS[2]])), MADE)
    (image,) = await import_archive(services, archive.build())
    with pytest.raises(InvalidArgumentError, match="but the image's config says"):
        await unpack(services, image.target, snapshotter=daemon.snapshotter)
    assert (await contents(services, daemon)).snapshots == set()


async def test_an_unknown_snapshotter_is_told(services: Services, daemon: PrivateDaemon) -> None:
    (image,) = await import_archive(services, oci_archive(LAYERS))
    with pytest.raises(ContainerdError, match="nonesuch"):
        await unpack(services, image.target, snapshotter="nonesuch")
    assert (await contents(services, daemon)).leases == 0


async def test_the_namespaces_label_names_the_default_snapshotter(
    services: Services, daemon: PrivateDaemon, namespace: str
) -> None:
    assert (await defaults_of(services, namespace)).snapshotter == daemon.snapshotter
    assert (await defaults_of(services, "never-seen")).snapshotter == "overlayfs"


async def test_an_image_object_does_it_all(services: Services, daemon: PrivateDaemon, namespace: str) -> None:
    archive = busybox_archive(config={"StopSignal": "SIGINT", "User": "app"})
    (info,) = await import_archive(services, archive)
    image = image_of(services, namespace, info)
    assert await image.info() == info
    config = await image.config()
    assert (config.cmd, config.user, await image.stop_signal()) == (("sh",), "app", "SIGINT")
    assert await image.size() > 500_000
    assert not await image.is_unpacked()
    assert await image.unpack() == await image.chain_id()
    assert await image.is_unpacked()
    await image.delete(sync=True)
    with pytest.raises(NotFoundError):
        await image.info()
    assert await Contents.of(services, daemon.snapshotter) == NOTHING
