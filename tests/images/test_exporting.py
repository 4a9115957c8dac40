"""Exporting: what comes out goes in again, is the same each time, and is whole or not there."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Status

from containerd_aio import Client, ContainerdError, DataLossError, Image, InvalidArgumentError, NotFoundError
from containerd_aio._images.platforms import host_platform
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd
from containerd_aio.types import Descriptor, ImageInfo
from tests.images.archives import OciArchive, config_of, digest, layer, tar
from tests.interrupt import WAYS

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
MADE = "docker.io/library/made:latest"
FOREIGN = {"architecture": "mips", "os": "linux"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with FakeContainerd() as fake, Client(fake.address, fifo_dir=tmp_path) as client:
        yield client


async def exported(client: Client, *images: Image | str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    await client.export_images(buffer, *images, **options)
    return buffer.getvalue()


def files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        members = {member.name: opened.extractfile(member) for member in opened if member.isfile()}
    return {name: data.read() for name, data in members.items() if data is not None}


async def multi(client: Client, *, missing: bool) -> Image:
    """An image for this machine and for another one, whose blobs may be missing."""
    archive = OciArchive()
    ours = archive.add_manifest()
    host = host_platform()
    where = {"architecture": host.architecture, "os": host.os, "variant": host.variant}
    before = set(archive.blobs)
    theirs = archive.add_manifest([layer("theirs")], config={**config_of([layer("theirs")]), **FOREIGN})
    index = archive.add_index([{**ours, "platform": where}, {**theirs, "platform": FOREIGN}])
    if missing:
        for blob in [name for name in archive.blobs if name not in before and name != index["digest"]]:
            del archive.blobs[blob]
    archive.name(index, MADE)
    [image] = await client.import_images(archive.build())
    return image


async def test_what_comes_out_goes_in_again(client: Client) -> None:
    archive = await exported(client, FAKE_IMAGE)
    async with FakeContainerd(image=None) as other, other.client() as elsewhere:
        [image] = await elsewhere.import_images(archive)
        assert image.name == FAKE_IMAGE
        assert image.target.digest == (await client.image(FAKE_IMAGE)).target.digest
        assert await exported(elsewhere, image) == archive


async def test_the_same_images_make_the_same_bytes(client: Client) -> None:
    assert await exported(client, FAKE_IMAGE) == await exported(client, "fake", FAKE_IMAGE)


async def test_docker_can_load_what_it_knows(client: Client) -> None:
    """By ``manifest.json`` alone, as docker before 25 does."""
    await client.images.create(ImageInfo("example.org/app:1", (await client.image(FAKE_IMAGE)).target))
    found = files(await exported(client, FAKE_IMAGE, "example.org/app:1"))
    [saved] = json.loads(found["manifest.json"])
    assert saved["RepoTags"] == ["fake:latest", "example.org/app:1"]
    del found["oci-layout"], found["index.json"]
    async with FakeContainerd(image=None) as other, other.client() as elsewhere:
        images = await elsewhere.import_images(tar(found))
        assert sorted(image.name for image in images) == [FAKE_IMAGE, "example.org/app:1"]
        assert await images[0].config() == await (await client.image(FAKE_IMAGE)).config()


async def test_names_that_are_no_references_are_kept(client: Client) -> None:
    target = (await client.image(FAKE_IMAGE)).target
    for name in ("containerd.io/checkpoint/web:11-22-2026-00:37:48", "Plain"):
        await client.images.create(ImageInfo(name, target))
        archive = await exported(client, await client.image(name))
        assert json.loads(files(archive)["manifest.json"])[0]["RepoTags"] is None
        async with FakeContainerd(image=None) as other, other.client() as elsewhere:
            [image] = await elsewhere.import_images(archive)
            assert image.name == name


@pytest.mark.parametrize("missing", [True, False])
async def test_this_machines_platform_is_taken(client: Client, missing: bool) -> None:
    image = await multi(client, missing=missing)
    found = files(await exported(client, image))
    assert len([name for name in found if name.startswith("blobs/")]) == 4
    assert "manifest.json" in found


async def test_all_platforms_are_taken_or_missed(client: Client) -> None:
    image = await multi(client, missing=False)
    found = files(await exported(client, image, all_platforms=True))
    assert len([name for name in found if name.startswith("blobs/")]) == 7
    async with FakeContainerd() as other, other.client() as elsewhere:
        image = await multi(elsewhere, missing=True)
        with pytest.raises(NotFoundError, match="is a part of the image, but not there"):
            await exported(elsewhere, image, all_platforms=True)


async def test_nothing_for_this_machine_is_told(client: Client) -> None:
    archive = OciArchive()
    theirs = archive.add_manifest(config={**config_of([layer()]), **FOREIGN})
    index = archive.add_index([{**theirs, "platform": FOREIGN}])
    for name, data in archive.blobs.items():
        await client.content.write_blob(name, data)
    target = Descriptor(index["mediaType"], index["digest"], index["size"])
    await client.images.create(ImageInfo(MADE, target))
    with pytest.raises(NotFoundError, match="all_platforms=True"):
        await exported(client, MADE)
    assert "manifest.json" not in files(await exported(client, MADE, all_platforms=True))


async def test_a_blob_of_another_size_is_damaged(client: Client) -> None:
    data = gzip.compress(b"{}")
    await client.content.write_blob("bad", data)
    await client.images.create(ImageInfo("bad", Descriptor("text/plain", digest(data), len(data) + 1)))
    with pytest.raises(DataLossError, match="but what refers to it says"):
        await exported(client, "bad")


async def test_what_is_no_image_is_refused(client: Client) -> None:
    await client.content.write_blob("text", b"text")
    await client.images.create(ImageInfo("text", Descriptor("text/plain", digest(b"text"), 4)))
    with pytest.raises(InvalidArgumentError, match="neither an image index nor a manifest"):
        await exported(client, "text")
    with pytest.raises(InvalidArgumentError, match="nothing to export"):
        await exported(client)
    with pytest.raises(NotFoundError):
        await exported(client, "nothing")


async def test_a_checkpoint_is_exported_whole_and_not_for_docker(client: Client) -> None:
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        async with await container.new_task() as task:
            await task.start()
            checkpoint = await task.checkpoint("kept")
    found = files(await exported(client, checkpoint))
    assert "manifest.json" not in found
    async with FakeContainerd(image=None) as other, other.client() as elsewhere:
        [image] = await elsewhere.import_images(await exported(client, checkpoint))
        assert (image.name, image.target.digest) == ("kept", checkpoint.target.digest)
        lease = await elsewhere.leases.create()
        await elsewhere.leases.delete(lease.id, sync=True)  # what has no label goes with it
        async with await elsewhere.restore("again", image) as container:
            async with await container.new_task(checkpoint=image) as task:
                await task.start()


@pytest.mark.parametrize("cancelled", WAYS)
async def test_cancelled_anywhere_the_file_is_as_it_was(
    client: Client, tmp_path: Path, cancelled: Cancel
) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    at = 0
    while await cancelled(client.export_images(path, FAKE_IMAGE), at):
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.tar"]
        assert await client.leases.list() == []
        at += 1
    assert at > 10
    assert path.read_bytes() == await exported(client, FAKE_IMAGE)


async def test_a_failure_leaves_no_lease_and_no_file(tmp_path: Path) -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        with fake.refuse("Content/Read", Status.INTERNAL, "out of order"):
            with pytest.raises(ContainerdError):
                await client.export_images(tmp_path / "a.tar", FAKE_IMAGE)
        assert await client.leases.list() == []
    assert list(tmp_path.iterdir()) == []
