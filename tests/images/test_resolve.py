"""From a target to a manifest and a configuration, through indexes in the content store."""

from __future__ import annotations

from typing import Any

import pytest

from containerd_aio._images.blobs import write_document
from containerd_aio._images.fields import Fields
from containerd_aio._images.manifest import MAX_DOCUMENT, parse_descriptor
from containerd_aio._images.media_types import OCI_CONFIG, OCI_MANIFEST
from containerd_aio._images.platforms import host_platform
from containerd_aio._images.resolve import find_manifest, read_config
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor, Platform
from tests.images.archives import Json, OciArchive, config_of, digest, encode, layer
from tests.images.fakes import FakeDaemon

HOST = host_platform()
HERE: Json = {"os": HOST.os, "architecture": HOST.architecture, "variant": HOST.variant}
ELSEWHERE: Json = {"os": "linux", "architecture": "s390x"}


@pytest.fixture
def archive() -> OciArchive:
    return OciArchive()


def daemon_with(archive: OciArchive) -> FakeDaemon:
    return FakeDaemon(blobs=dict(archive.blobs), blob_labels={name: {} for name in archive.blobs})


def described(target: Json) -> Descriptor:
    return parse_descriptor(Fields(target, "test"))


def image(archive: OciArchive, name: str, platform: Json = HERE) -> Json:
    layers = [layer(name)]
    return archive.add_manifest(layers, config={**config_of(layers), **platform})


async def found(archive: OciArchive, target: Json, **options: Any) -> str:
    content = daemon_with(archive).services.content
    return (await find_manifest(content, described(target), **options))[0].digest


async def test_a_manifest_is_its_own_answer_whatever_its_platform(archive: OciArchive) -> None:
    target = image(archive, "a", ELSEWHERE)
    assert await found(archive, target) == target["digest"]


async def test_the_entry_for_this_machine_is_taken_out_of_an_index(archive: OciArchive) -> None:
    ours, other = image(archive, "ours"), image(archive, "other", ELSEWHERE)
    target = archive.add_index([{**other, "platform": ELSEWHERE}, {**ours, "platform": HERE}])
    assert await found(archive, target) == ours["digest"]
    assert await found(archive, target, platform=Platform("linux", "s390x")) == other["digest"]


async def test_an_index_may_lead_to_another_one(archive: OciArchive) -> None:
    ours = image(archive, "ours")
    inner = archive.add_index([{**ours, "platform": HERE}])
    assert await found(archive, archive.add_index([inner])) == ours["digest"]


async def test_an_entry_without_a_platform_is_judged_by_its_config(archive: OciArchive) -> None:
    ours, other = image(archive, "ours"), image(archive, "other", ELSEWHERE)
    assert await found(archive, archive.add_index([other, ours])) == ours["digest"]


async def test_what_is_no_image_is_passed_over(archive: OciArchive) -> None:
    """Attestations, and artifacts whose config is no image's, stand beside images in an index."""
    ours = image(archive, "ours")
    artifact = archive.add(
        encode({"schemaVersion": 2, "config": archive.add(b"{}", "application/vnd.example")}), OCI_MANIFEST
    )
    other = archive.add(b"{}", "application/vnd.example.thing")
    assert await found(archive, archive.add_index([artifact, other, ours])) == ours["digest"]


async def test_an_image_for_other_platforms_only_has_nothing(archive: OciArchive) -> None:
    target = archive.add_index([{**image(archive, "other"), "platform": ELSEWHERE}])
    with pytest.raises(NotFoundError, match=f"has nothing for {HOST}"):
        await found(archive, target)


async def test_indexes_nested_too_deeply_are_refused(archive: OciArchive) -> None:
    target = image(archive, "ours")
    for _ in range(3):
        target = archive.add_index([target])
    assert await found(archive, target)
    with pytest.raises(InvalidArgumentError, match="nested too deeply"):
        await found(archive, archive.add_index([target]))


async def test_what_is_neither_index_nor_manifest_is_refused(archive: OciArchive) -> None:
    with pytest.raises(InvalidArgumentError, match="neither an image index nor a manifest"):
        await found(archive, archive.add(b"{}", "text/plain"))


async def test_a_missing_document_is_not_found(archive: OciArchive) -> None:
    target = image(archive, "ours")
    del archive.blobs[target["digest"]]
    with pytest.raises(NotFoundError):
        await found(archive, target)


async def test_a_document_that_says_to_be_huge_is_not_read(archive: OciArchive) -> None:
    with pytest.raises(InvalidArgumentError, match="at most 8388608 are taken"):
        await found(archive, {**image(archive, "ours"), "size": MAX_DOCUMENT + 1})


async def test_the_config_of_a_manifest_is_read(archive: OciArchive) -> None:
    layers = [layer()]
    target = archive.add_manifest(layers, config=config_of(layers, Cmd=["sh"]))
    content = daemon_with(archive).services.content
    _, manifest = await find_manifest(content, described(target))
    config = await read_config(content, manifest)
    assert config.cmd == ("sh",)
    assert config.diff_ids == (digest(layers[0]),)


async def test_a_manifest_whose_config_is_no_images_has_none(archive: OciArchive) -> None:
    document = {"schemaVersion": 2, "config": archive.add(b"{}", "application/vnd.example")}
    target = archive.add(encode(document), OCI_MANIFEST)
    content = daemon_with(archive).services.content
    _, manifest = await find_manifest(content, described(target))
    with pytest.raises(InvalidArgumentError, match="this is no container image"):
        await read_config(content, manifest)


async def test_a_document_is_written_under_its_digest() -> None:
    daemon = FakeDaemon()
    written = await write_document(daemon.services.content, b"{}", OCI_CONFIG)
    assert written == Descriptor(OCI_CONFIG, digest(b"{}"), 2)
    assert daemon.blobs == {digest(b"{}"): b"{}"}
