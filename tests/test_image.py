"""Images as live objects, over an in-memory containerd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from containerd_aio._images.importing import import_archive
from containerd_aio._images.unpack import chain_ids
from containerd_aio.errors import NotFoundError
from containerd_aio.image import Image
from tests.images.archives import OciArchive, config_of, digest, layer, oci_archive
from tests.images.fakes import FakeDaemon

if TYPE_CHECKING:
    from containerd_aio._session import Session
    from containerd_aio.services import Services

LAYERS = [layer("a"), layer("b")]
CHAIN = chain_ids([digest(data) for data in LAYERS])
NAME = "docker.io/library/made:latest"


@dataclass(frozen=True)
class FakeSession:
    services: Services
    namespace: str = "test"


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


async def image_of(daemon: FakeDaemon, archive: bytes) -> Image:
    (info,) = await import_archive(daemon.services, archive)
    daemon.calls.clear()
    return Image(cast("Session", FakeSession(daemon.services)), info)


@pytest.fixture
async def image(daemon: FakeDaemon) -> Image:
    archive = OciArchive()
    config = config_of(LAYERS, Cmd=["run"], StopSignal="SIGINT")
    archive.name(archive.add_manifest(LAYERS, config=config), NAME)
    return await image_of(daemon, archive.build())


async def test_it_knows_its_name_and_target_without_asking(daemon: FakeDaemon, image: Image) -> None:
    assert image.name == NAME
    assert image.target == daemon.records[NAME].target
    assert image.labels == {}
    assert repr(image) == f"<Image {NAME!r} {image.target.digest}>"
    assert daemon.calls == []


async def test_info_is_what_the_name_stands_for_now(daemon: FakeDaemon, image: Image) -> None:
    before = image.target
    await import_archive(daemon.services, oci_archive([layer("new")]), labels={"a": "b"})
    info = await image.info()
    assert info.target != before
    assert info.labels == {"a": "b"}
    assert image.target == before


async def test_the_config_is_read_once(daemon: FakeDaemon, image: Image) -> None:
    assert (await image.config()).cmd == ("run",)
    asked = len(daemon.calls)
    assert await image.config() is await image.config()
    await image.chain_id()
    await image.size()
    assert len(daemon.calls) == asked


async def test_the_stop_signal_is_the_configs(daemon: FakeDaemon, image: Image) -> None:
    assert await image.stop_signal() == "SIGINT"
    assert await (await image_of(daemon, oci_archive())).stop_signal() is None


async def test_the_size_counts_manifest_config_and_layers(daemon: FakeDaemon, image: Image) -> None:
    assert await image.size() == sum(map(len, daemon.blobs.values()))


async def test_unpacking_makes_the_snapshot_of_its_chain_id(daemon: FakeDaemon, image: Image) -> None:
    assert not await image.is_unpacked()
    assert await image.unpack() == await image.chain_id() == CHAIN[-1]
    assert await image.is_unpacked()
    assert CHAIN[-1] in daemon.snapshots


@pytest.mark.parametrize("given", [None, "btrfs"])
async def test_the_snapshotter_is_the_one_given_or_the_namespaces(
    daemon: FakeDaemon, image: Image, given: str | None
) -> None:
    daemon.namespace_labels["containerd.io/defaults/snapshotter"] = "native"
    await image.unpack(given)
    keys = {key for labels in daemon.blob_labels.values() for key in labels}
    assert f"containerd.io/gc.ref.snapshot.{given or 'native'}" in keys


async def test_an_image_without_layers_has_no_chain_id_and_is_always_unpacked(daemon: FakeDaemon) -> None:
    image = await image_of(daemon, oci_archive([]))
    assert await image.chain_id() is None
    assert await image.unpack() is None
    assert await image.is_unpacked()


async def test_delete_takes_the_name_and_with_sync_the_rest(daemon: FakeDaemon, image: Image) -> None:
    await image.unpack()
    await image.delete(sync=True)
    assert (daemon.records, daemon.blobs, daemon.snapshots) == ({}, {}, {})
    with pytest.raises(NotFoundError):
        await image.info()
    with pytest.raises(NotFoundError):
        await image.delete()
