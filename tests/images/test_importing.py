"""Importing archives into an in-memory containerd: what comes of whole ones, and that nothing comes of others."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._images.importing import import_archive
from containerd_aio._images.media_types import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from containerd_aio._images.platforms import host_platform
from containerd_aio._images.resolve import find_manifest
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import ImageInfo
from tests.images.archives import (
    OciArchive,
    config_of,
    digest,
    docker_archive,
    docker_files,
    encode,
    layer,
    link,
    oci_archive,
    tar,
)
from tests.images.fakes import FakeDaemon, was_cut

MADE = "docker.io/library/made:latest"
LAYERS = [layer("etc/motd", b"hello\n"), layer("bin/tool", b"#!/bin/sh\n" * 100)]


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


async def import_into(daemon: FakeDaemon, source: Any, **options: Any) -> list[ImageInfo]:
    return await import_archive(daemon.services, source, **options)


def assert_nothing_is_left(daemon: FakeDaemon) -> None:
    daemon.collect()
    assert (daemon.blobs, daemon.ingests, daemon.records, daemon.held, daemon.snapshots) == (
        {},
        {},
        {},
        {},
        {},
    )


async def layer_types(daemon: FakeDaemon, image: ImageInfo) -> list[str]:
    _, manifest = await find_manifest(daemon.services.content, image.target)
    return [entry.media_type for entry in manifest.layers]


@pytest.mark.parametrize(
    ("archive", "media_type"),
    [
        pytest.param(oci_archive(LAYERS), OCI_MANIFEST, id="OCI"),
        pytest.param(oci_archive(LAYERS, compress=False), OCI_MANIFEST, id="OCI, plain layers"),
        pytest.param(docker_archive(LAYERS), DOCKER_MANIFEST, id="docker"),
        pytest.param(gzip.compress(oci_archive(LAYERS)), OCI_MANIFEST, id="OCI in gzip"),
        pytest.param(gzip.compress(docker_archive(LAYERS)), DOCKER_MANIFEST, id="docker in gzip"),
    ],
)
async def test_an_archive_becomes_an_image_that_survives_a_collection(
    daemon: FakeDaemon, archive: bytes, media_type: str
) -> None:
    (image,) = await import_into(daemon, archive)
    assert image.name == MADE
    assert image.target.media_type == media_type
    daemon.collect()
    assert set(daemon.blobs) >= {image.target.digest}
    _, manifest = await find_manifest(daemon.services.content, image.target)
    kept = {image.target.digest, manifest.config.digest, *(entry.digest for entry in manifest.layers)}
    assert set(daemon.blobs) == kept
    assert (daemon.ingests, daemon.held) == ({}, {})


async def test_a_second_import_changes_nothing(daemon: FakeDaemon) -> None:
    (first,) = await import_into(daemon, docker_archive(LAYERS))
    daemon.collect()
    before = dict(daemon.blobs)
    (second,) = await import_into(daemon, docker_archive(LAYERS))
    daemon.collect()
    assert second.target == first.target
    assert daemon.blobs == before


async def test_a_name_that_exists_is_pointed_to_the_new_image(daemon: FakeDaemon) -> None:
    await import_into(daemon, oci_archive([layer("old")]))
    (image,) = await import_into(daemon, oci_archive([layer("new")]), labels={"a": "b"})
    assert [*daemon.records] == [MADE]
    assert daemon.records[MADE].target == image.target
    assert image.labels == {"a": "b"}
    daemon.collect()
    assert len(daemon.blobs) == 3, "the old image's blobs are gone"


async def test_every_kind_of_source_gives_the_same_image(daemon: FakeDaemon, tmp_path: Path) -> None:
    archive = oci_archive(LAYERS)
    (tmp_path / "image.tar").write_bytes(archive)

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(archive), 1000):
            yield archive[start : start + 1000]

    sources = [archive, tmp_path / "image.tar", str(tmp_path / "image.tar"), io.BytesIO(archive), stream()]
    targets = [(await import_into(daemon, source))[0].target for source in sources]
    assert len({target.digest for target in targets}) == 1


async def test_several_images_share_what_they_have_in_common(daemon: FakeDaemon) -> None:
    archive = OciArchive()
    archive.name(archive.add_manifest(LAYERS[:1]), "example.org/one:1")
    archive.name(archive.add_manifest(LAYERS), "example.org/two:2")
    images = await import_into(daemon, archive.build())
    assert [image.name for image in images] == ["example.org/one:1", "example.org/two:2"]
    daemon.collect()
    assert len(daemon.blobs) == 2 + 2 + 2


async def test_one_name_is_given_to_an_only_image(daemon: FakeDaemon) -> None:
    (image,) = await import_into(daemon, docker_archive(tags=[]), name="mine:1")
    assert image.name == "docker.io/library/mine:1"


async def test_all_tags_of_a_docker_archive_become_names(daemon: FakeDaemon) -> None:
    images = await import_into(daemon, docker_archive(tags=["made", "example.org/made:2"]))
    assert [image.name for image in images] == [MADE, "example.org/made:2"]
    assert images[0].target.annotations["org.opencontainers.image.ref.name"] == "latest"
    assert images[0].target.platform == host_platform()


async def test_oci_goes_before_docker_where_an_archive_is_both(daemon: FakeDaemon) -> None:
    """What ``docker save`` writes from version 25 on."""
    archive = OciArchive()
    target = archive.add_manifest(LAYERS)
    archive.name(target, MADE)
    (image,) = await import_into(daemon, tar({**archive.files(), **docker_files(LAYERS)}))
    assert image.target.digest == target["digest"]


async def test_docker_layers_may_be_links_to_each_other(daemon: FakeDaemon) -> None:
    files = docker_files([LAYERS[0], LAYERS[0]])
    files["first/layer.tar"] = LAYERS[0]
    manifest = files["manifest.json"]
    first = next(name for name in files if name.endswith("layer.tar"))
    members: list[Any] = [
        (name, data) for name, data in files.items() if name not in (first, "manifest.json")
    ] + [link(first, "../first/layer.tar"), ("manifest.json", manifest)]
    (image,) = await import_into(daemon, tar(members))
    _, document = await find_manifest(daemon.services.content, image.target)
    assert [entry.digest for entry in document.layers] == [digest(LAYERS[0])] * 2


@pytest.mark.parametrize(
    ("packed", "media_type"),
    [
        pytest.param(LAYERS[0], DOCKER_LAYER, id="plain"),
        pytest.param(gzip.compress(LAYERS[0]), DOCKER_LAYER_GZIP, id="gzip"),
        pytest.param(b"\x28\xb5\x2f\xfd rest", OCI_LAYER_ZSTD, id="zstd"),
    ],
)
async def test_the_compression_of_docker_layers_is_told_by_their_first_bytes(
    daemon: FakeDaemon, packed: bytes, media_type: str
) -> None:
    config = encode(config_of([LAYERS[0]]))
    saved = [{"Config": "config.json", "RepoTags": ["made"], "Layers": ["0.tar"]}]
    files = {"config.json": config, "0.tar": packed, "manifest.json": encode(saved)}

    (image,) = await import_into(daemon, tar(files))
    assert await layer_types(daemon, image) == [media_type]


async def test_a_stream_may_come_in_crumbs(daemon: FakeDaemon) -> None:
    """Also the first bytes of a layer, which tell its compression, and the blocks of the tar."""
    archive = docker_archive([LAYERS[0]])

    async def crumbs() -> AsyncIterator[bytes]:
        for start in range(0, len(archive), 5):
            yield archive[start : start + 5]

    (image,) = await import_into(daemon, crumbs())
    assert await layer_types(daemon, image) == [DOCKER_LAYER]


def spoilt_docker(change: str) -> bytes:
    files = docker_files(LAYERS)
    config_name = next(name for name in files if name.endswith(".json") and name != "manifest.json")
    layer_names = [name for name in files if name.endswith("layer.tar")]
    match change:
        case "config":
            files[config_name] = files[config_name].replace(b'"linux"', b'"linuy"')
        case "layer":
            files[layer_names[0]] = LAYERS[0].replace(b"hello", b"jello")
        case "no layer":
            del files[layer_names[1]]
        case "fewer layers":
            files["manifest.json"] = encode(
                [{"Config": config_name, "RepoTags": ["made"], "Layers": layer_names[:1]}]
            )
        case "outside":
            files["manifest.json"] = encode([{"Config": "../../etc/passwd", "Layers": []}])
        case "no list":
            files["manifest.json"] = b"{}"
        case "bad tag":
            files["manifest.json"] = files["manifest.json"].replace(b"made:latest", b"MADE:latest")
    return tar(files)


def spoilt_oci(change: str) -> bytes:
    archive = OciArchive()
    archive.name(archive.add_manifest(LAYERS), MADE)
    match change:
        case "version":
            archive.layout = {"imageLayoutVersion": "2.0.0"}
        case "no manifests":
            archive.index = []
        case "no blob":
            archive.blobs.pop(digest(gzip.compress(LAYERS[0], mtime=0)))
        case "not a manifest":
            archive.index[0]["mediaType"] = "text/plain"
        case "size":
            archive.index[0]["size"] += 1
        case "both kinds":
            archive.name(archive.add_index([]) | {"mediaType": OCI_MANIFEST}, "both")
    return archive.build()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        pytest.param(spoilt_docker("config"), "is damaged: its digest is", id="docker: changed config"),
        pytest.param(spoilt_docker("layer"), "layer 0 is damaged", id="docker: changed layer"),
        pytest.param(spoilt_docker("no layer"), "the archive has no file", id="docker: missing layer"),
        pytest.param(
            spoilt_docker("fewer layers"), "lists 2 layers, but the archive has 1", id="docker: count"
        ),
        pytest.param(spoilt_docker("outside"), "leads outside of the archive", id="docker: name outside"),
        pytest.param(spoilt_docker("no list"), "must be a list", id="docker: manifest.json is an object"),
        pytest.param(spoilt_docker("bad tag"), "must be lower case", id="docker: bad tag"),
        pytest.param(spoilt_oci("version"), "is of version '2.0.0'", id="OCI: version"),
        pytest.param(spoilt_oci("no manifests"), "holds no image", id="OCI: nothing in the index"),
        pytest.param(spoilt_oci("no blob"), "is missing from the archive", id="OCI: missing blob"),
        pytest.param(
            spoilt_oci("not a manifest"), "neither an image index nor a manifest", id="OCI: no manifest"
        ),
        pytest.param(spoilt_oci("size"), "but what refers to it says", id="OCI: size"),
        pytest.param(spoilt_oci("both kinds"), "another kind of document", id="OCI: two kinds at once"),
        pytest.param(tar({"oci-layout": b"{}"}), "has 'oci-layout' but no 'index.json'", id="OCI: no index"),
        pytest.param(tar({"a": b"1"}), "this is no image archive", id="a tar of something else"),
        pytest.param(tar({"index.json": b"{}"}), "this is no image archive", id="an index alone"),
        pytest.param(tar({"oci-layout": b"{", "index.json": b"{}"}), "is not JSON", id="no JSON"),
        pytest.param(b"not a tar" * 100, "not an archive", id="no tar"),
        pytest.param(b"", "is empty", id="nothing"),
    ],
)
async def test_a_spoilt_archive_is_refused_and_leaves_nothing(
    daemon: FakeDaemon, archive: bytes, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await import_into(daemon, archive)
    assert_nothing_is_left(daemon)


async def test_an_empty_config_under_another_name_is_refused(daemon: FakeDaemon) -> None:
    saved = [{"Config": "config.json", "RepoTags": ["made"], "Layers": []}]
    with pytest.raises(InvalidArgumentError, match="has 0 bytes, which cannot be"):
        await import_into(daemon, tar({"config.json": b"", "manifest.json": encode(saved)}))


async def test_an_archive_beyond_the_bound_leaves_nothing(daemon: FakeDaemon) -> None:
    with pytest.raises(InvalidArgumentError, match="more than 5000 bytes"):
        await import_into(daemon, gzip.compress(oci_archive(LAYERS)), max_size=5000)
    assert_nothing_is_left(daemon)


WHOLE = {
    "oci": oci_archive(LAYERS),
    "docker": docker_archive(LAYERS),
    "gzip": gzip.compress(oci_archive(LAYERS), mtime=0),
}


async def stored(archive: bytes) -> dict[str, bytes]:
    """The blobs that an import of an archive leaves; none where it is refused."""
    daemon = FakeDaemon()
    try:
        await import_into(daemon, archive)
    except InvalidArgumentError:
        assert_nothing_is_left(daemon)
    daemon.collect()
    return daemon.blobs


@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
async def test_any_truncation_gives_the_same_image_or_is_refused(name: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(WHOLE[name])))
    assert await stored(WHOLE[name][:size]) in ({}, await stored(WHOLE[name]))


@given(name=st.sampled_from(sorted(WHOLE)), data=st.data(), flip=st.integers(1, 255))
async def test_any_flipped_byte_gives_the_same_image_or_is_refused(
    name: str, data: st.DataObject, flip: int
) -> None:
    damaged = bytearray(WHOLE[name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= flip
    assert await stored(bytes(damaged)) in ({}, await stored(WHOLE[name]))


@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by asyncio"])
@pytest.mark.parametrize("archive", [oci_archive(LAYERS), docker_archive(LAYERS)], ids=["OCI", "docker"])
async def test_a_cancellation_at_any_step_leaves_nothing(archive: bytes, natively: bool) -> None:
    for step in range(1, 1000):
        daemon = FakeDaemon()
        if not await was_cut(daemon, step, partial(import_into, daemon, archive), natively=natively):
            break
        assert_nothing_is_left(daemon)
    assert step > 20
    assert [*daemon.records] == [MADE]
