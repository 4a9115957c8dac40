"""The index of a checkpoint: what is written is read again, and what others write too."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import InvalidArgumentError
from containerd_aio._checkpoint.index import CONFIG, MEMORY, RUNTIME_OPTIONS, Checkpoint
from containerd_aio._images.manifest import Index, parse_index
from containerd_aio._images.media_types import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from containerd_aio._images.platforms import host_platform
from containerd_aio.types import Descriptor


def part(media_type: str, text: str = "x") -> Descriptor:
    return Descriptor(media_type, f"sha256:{sha256((media_type + text).encode()).hexdigest()}", len(text))


def of_type(media_type: str) -> st.SearchStrategy[Descriptor | None]:
    return st.none() | st.just(part(media_type))


letters = st.characters(codec="utf-8", exclude_characters="\0")
texts = st.none() | st.text(letters, min_size=1, max_size=20)

checkpoints = st.builds(
    Checkpoint,
    memory=of_type(MEMORY),
    config=st.just(part(CONFIG)),
    runtime_options=of_type(RUNTIME_OPTIONS),
    image=of_type(OCI_MANIFEST),
    layer=of_type(OCI_LAYER_GZIP),
    image_name=texts,
    runtime=texts,
    snapshotter=texts,
    parent=texts,
)


@given(checkpoints)
def test_what_is_written_is_read_again(checkpoint: Checkpoint) -> None:
    index = parse_index(checkpoint.document())
    found = Checkpoint.of(index, about="it")
    assert [each.digest for each in found.parts()] == [each.digest for each in checkpoint.parts()]
    for name in ("image_name", "runtime", "snapshotter", "parent"):
        assert getattr(found, name) == getattr(checkpoint, name)


def test_each_part_names_this_machines_platform_and_the_image_its_own() -> None:
    checkpoint = Checkpoint(memory=part(MEMORY), config=part(CONFIG), image=part(OCI_MANIFEST))
    index = parse_index(checkpoint.document())
    assert [entry.platform for entry in index.manifests] == [host_platform(), host_platform(), None]


def test_the_annotations_are_the_go_clients() -> None:
    checkpoint = Checkpoint(
        config=part(CONFIG), image_name="i", runtime="r", snapshotter="s", parent="sha256:1"
    )
    document = json.loads(checkpoint.document())
    assert document["schemaVersion"] == 2
    assert document["mediaType"] == OCI_INDEX
    assert document["annotations"] == {
        "image.name": "i",
        "org.opencontainers.image.ref.name": "i",
        "io.containerd.checkpoint.runtime": "r",
        "io.containerd.checkpoint.snapshotter": "s",
        "containerd-aio/checkpoint.parent": "sha256:1",
    }


def test_the_index_of_gos_task_is_read() -> None:
    """It says nothing of runtime and snapshotter, and lists the image in the middle."""
    parts = (part(MEMORY), part(CONFIG), part(OCI_MANIFEST), part(OCI_LAYER_GZIP))
    found = Checkpoint.of(
        Index(OCI_INDEX, parts, {"image.name": "docker.io/library/busybox:latest"}), about="it"
    )
    assert (found.memory, found.config, found.image, found.layer) == parts
    assert found.image_name == "docker.io/library/busybox:latest"
    assert (found.runtime, found.snapshotter, found.parent) == (None, None, None)


def test_the_index_of_gos_container_without_its_task_is_read() -> None:
    """It has no config; that there is a runtime's name tells what it is."""
    notes = {"org.opencontainers.image.ref.name": "busybox", "io.containerd.checkpoint.runtime": "r"}
    found = Checkpoint.of(Index(OCI_INDEX, (part(OCI_MANIFEST),), notes), about="it")
    assert (found.image, found.image_name, found.runtime) == (part(OCI_MANIFEST), "busybox", "r")


def test_annotations_of_the_parts_are_not_passed_on() -> None:
    """containerd 2.1 restores from the directory that one of them names."""
    parts = tuple(
        replace(part(kind), annotations={"RestoreFromPath": "/etc"})
        for kind in (MEMORY, CONFIG, RUNTIME_OPTIONS, OCI_MANIFEST, OCI_LAYER_GZIP)
    )
    found = Checkpoint.of(Index(OCI_INDEX, parts), about="it").parts()
    assert len(found) == 5
    assert not any(each.annotations for each in found)


def test_unknown_parts_are_passed_over() -> None:
    options = part("application/vnd.containerd.container.checkpoint.options.v1+proto")
    assert (
        Checkpoint.of(Index(OCI_INDEX, (part(MEMORY), options)), about="it").parts()[0].media_type == MEMORY
    )


@pytest.mark.parametrize(
    ("manifests", "words"),
    [
        pytest.param((), "neither memory nor", id="nothing"),
        pytest.param((part(OCI_MANIFEST, "1"), part(OCI_MANIFEST, "2")), "neither memory nor", id="an image"),
        pytest.param((part(MEMORY, "1"), part(MEMORY, "2")), "two parts of type", id="two memories"),
        pytest.param(
            (part(CONFIG), part(OCI_MANIFEST), part(OCI_INDEX)), "two parts of type", id="two images"
        ),
    ],
)
def test_another_index_is_no_checkpoint(manifests: tuple[Descriptor, ...], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        Checkpoint.of(Index(OCI_INDEX, manifests), about="it")
