"""Names of imported images: from annotations, or given."""

from __future__ import annotations

import pytest

from containerd_aio._images.names import name_annotations, name_images
from containerd_aio._images.reference import Reference
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor


def target(digit: str = "a", *, full: str | None = None, ref: str | None = None) -> Descriptor:
    annotations = {"io.containerd.image.name": full, "org.opencontainers.image.ref.name": ref}
    return Descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        "sha256:" + digit * 64,
        1,
        annotations={key: value for key, value in annotations.items() if value is not None},
    )


@pytest.mark.parametrize(
    ("annotated", "name"),
    [
        pytest.param(
            target(full="docker.io/library/busybox:1", ref="1"), "docker.io/library/busybox:1", id="both"
        ),
        pytest.param(target(full="test"), "test", id="containerd's own is taken as it stands"),
        pytest.param(
            target(full="containerd.io/checkpoint/web:01-02-2025-10:11:12"),
            "containerd.io/checkpoint/web:01-02-2025-10:11:12",
            id="a checkpoint's",
        ),
        pytest.param(target(ref="example.org/app:1"), "example.org/app:1", id="a reference in OCI's"),
        pytest.param(target(ref="busybox:1"), "docker.io/library/busybox:1", id="a short one in OCI's"),
    ],
)
def test_a_name_comes_from_the_annotations(annotated: Descriptor, name: str) -> None:
    assert name_images([annotated]) == {name: annotated}


def test_a_name_that_is_given_goes_before_the_annotations() -> None:
    only = target(full="docker.io/library/busybox:1")
    assert name_images([only], name="mine") == {"docker.io/library/mine:latest": only}


def test_several_images_keep_their_names_and_those_without_one_are_left_out() -> None:
    first, second, nameless = target("a", full="first"), target("b", full="second"), target("c", ref="latest")
    assert name_images([first, nameless, second]) == {"first": first, "second": second}


def test_one_image_may_have_several_names() -> None:
    assert set(name_images([target(full="first"), target(full="second")])) == {"first", "second"}


@pytest.mark.parametrize("tag", ["latest", "", None])
def test_a_mere_tag_is_no_name_and_the_way_out_is_told(tag: str | None) -> None:
    with pytest.raises(InvalidArgumentError, match="does not name its image: give name="):
        name_images([target(ref=tag)])
    assert name_images([target(ref=tag)], name="busybox") == {
        "docker.io/library/busybox:latest": target(ref=tag)
    }


def test_one_name_for_several_images_is_refused_with_their_names() -> None:
    with pytest.raises(InvalidArgumentError, match=r"holds 2 images \(first, second\): name= fits one only"):
        name_images([target("a", full="first"), target("b", full="second")], name="mine")
    with pytest.raises(InvalidArgumentError, match="none has a name"):
        name_images([target("a"), target("b")], name="mine")


def test_an_archive_without_images_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="holds no image"):
        name_images([])


def test_two_images_with_one_name_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="the name 'same' to two images"):
        name_images([target("a", full="same"), target("b", full="same")])


@pytest.mark.parametrize("name", ["a b", "a\n", "é", "x" * 513])
def test_names_that_could_not_be_typed_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not acceptable"):
        name_images([target(full=name)])


def test_a_given_name_must_be_a_reference() -> None:
    with pytest.raises(InvalidArgumentError, match="not an image reference"):
        name_images([target()], name="UPPER")


@pytest.mark.parametrize("text", ["busybox:1", "busybox@sha256:" + "ab" * 32])
def test_the_annotations_for_a_name_give_the_name_back(text: str) -> None:
    reference = Reference.parse(text)
    named = Descriptor("m", "sha256:" + "a" * 64, 1, annotations=name_annotations(reference))
    assert [*name_images([named])] == [str(reference)]
