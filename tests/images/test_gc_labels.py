"""The labels that keep an image together, and the check that it is whole."""

from __future__ import annotations

import pytest

from containerd_aio._images.gc_labels import label_tree
from containerd_aio._images.media_types import OCI_MANIFEST
from containerd_aio.errors import InvalidArgumentError
from tests.images.archives import Json, OciArchive, encode, layer
from tests.images.fakes import FakeDaemon
from tests.images.test_resolve import ELSEWHERE, HERE, daemon_with, described, image


@pytest.fixture
def archive() -> OciArchive:
    return OciArchive()


async def labelled(archive: OciArchive, target: Json) -> FakeDaemon:
    daemon = daemon_with(archive)
    await label_tree(daemon.services.content, described(target), sizes={})
    return daemon


async def test_a_manifest_keeps_its_config_and_layers(archive: OciArchive) -> None:
    target = archive.add_manifest([layer("a"), layer("b")])
    daemon = await labelled(archive, target)
    labels = daemon.blob_labels[target["digest"]]
    assert [*labels] == [f"containerd.io/gc.ref.content.{part}" for part in ("config", "l.0", "l.1")]
    assert {*labels.values(), target["digest"]} == set(archive.blobs)


async def test_an_index_keeps_its_manifests(archive: OciArchive) -> None:
    manifests = [
        {**image(archive, "ours"), "platform": HERE},
        {**image(archive, "other", ELSEWHERE), "platform": ELSEWHERE},
    ]
    target = archive.add_index(manifests)
    daemon = await labelled(archive, target)
    assert daemon.blob_labels[target["digest"]] == {
        f"containerd.io/gc.ref.content.m.{place}": entry["digest"] for place, entry in enumerate(manifests)
    }
    for manifest in manifests:
        assert len(daemon.blob_labels[manifest["digest"]]) == 2


async def test_an_index_may_list_the_same_manifest_twice_and_things_that_are_no_images(
    archive: OciArchive,
) -> None:
    ours = {**image(archive, "ours"), "platform": HERE}
    thing = archive.add(b"a signature", "application/vnd.example.signature")
    target = archive.add_index([ours, thing, ours])
    daemon = await labelled(archive, target)
    kept = [ours["digest"], thing["digest"], ours["digest"]]
    assert [*daemon.blob_labels[target["digest"]].values()] == kept
    assert daemon.calls.count("content.update") == 2


async def test_a_target_that_is_no_image_is_refused(archive: OciArchive) -> None:
    with pytest.raises(InvalidArgumentError, match="neither an image index nor a manifest"):
        await labelled(archive, archive.add(b"a signature", "application/vnd.example.signature"))


async def test_blobs_that_are_known_are_not_asked_for(archive: OciArchive) -> None:
    target = archive.add_manifest()
    daemon = daemon_with(archive)
    sizes = {name: len(data) for name, data in archive.blobs.items()}
    await label_tree(daemon.services.content, described(target), sizes=sizes)
    assert daemon.calls == ["content.read", "content.update"]


@pytest.mark.parametrize("missing", ["config", "layer", "manifest"])
async def test_a_missing_blob_is_refused_by_digest(archive: OciArchive, missing: str) -> None:
    target = archive.add_manifest()
    layer_digest, config_digest, manifest_digest = archive.blobs
    gone = {"config": config_digest, "layer": layer_digest, "manifest": manifest_digest}[missing]
    del archive.blobs[gone]
    with pytest.raises(InvalidArgumentError, match=f"{gone} .* is missing from the archive"):
        await labelled(archive, target)


async def test_a_blob_of_another_size_is_refused(archive: OciArchive) -> None:
    target = archive.add_manifest()
    with pytest.raises(InvalidArgumentError, match="but what refers to it says 7"):
        await labelled(archive, {**target, "size": 7})


async def test_what_belongs_to_other_platforms_may_be_missing(archive: OciArchive) -> None:
    """``ctr images export`` writes one platform with the index of all."""
    ours, other = image(archive, "ours"), image(archive, "other", ELSEWHERE)
    partly = image(archive, "partly", ELSEWHERE)
    target = archive.add_index(
        [{**other, "platform": ELSEWHERE}, {**partly, "platform": ELSEWHERE}, {**ours, "platform": HERE}]
    )
    del archive.blobs[other["digest"]]
    for blob in [*archive.blobs]:
        if b'"s390x"' in archive.blobs[blob] and blob != target["digest"]:
            del archive.blobs[blob]  # the config of the one that is partly there
    daemon = await labelled(archive, target)
    assert ours["digest"] in daemon.blob_labels[target["digest"]].values()
    assert daemon.blob_labels[ours["digest"]]


async def test_what_is_for_this_machine_must_be_whole_also_below_an_index(archive: OciArchive) -> None:
    ours = image(archive, "ours")
    target = archive.add_index([{**ours, "platform": HERE}])
    del archive.blobs[ours["digest"]]
    with pytest.raises(InvalidArgumentError, match="is missing from the archive"):
        await labelled(archive, target)


async def test_an_index_of_which_nothing_is_there_is_refused(archive: OciArchive) -> None:
    other = image(archive, "other", ELSEWHERE)
    target = archive.add_index([{**other, "platform": ELSEWHERE}])
    del archive.blobs[other["digest"]]
    with pytest.raises(InvalidArgumentError, match="nothing is there"):
        await labelled(archive, target)


async def test_foreign_layers_may_be_missing(archive: OciArchive) -> None:
    foreign = {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": "sha256:" + "0" * 64,
        "size": 9,
    }
    document = {"schemaVersion": 2, "config": archive.add(b"{}", "application/json"), "layers": [foreign]}
    target = archive.add(encode(document), OCI_MANIFEST)
    daemon = await labelled(archive, target)
    assert foreign["digest"] in daemon.blob_labels[target["digest"]].values()


async def test_indexes_nested_too_deeply_are_refused(archive: OciArchive) -> None:
    target = image(archive, "ours")
    for _ in range(3):
        target = archive.add_index([target])
    await labelled(archive, target)
    with pytest.raises(InvalidArgumentError, match="nested too deeply"):
        await labelled(archive, archive.add_index([target]))
