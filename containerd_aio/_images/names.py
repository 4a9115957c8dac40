"""Which names the images of an archive or an index get.

An OCI index names its entries by annotations: containerd's own holds a full name, the OCI's one often a mere tag
("latest"), which is no name without a repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from containerd_aio._images.reference import Reference, normalize_name
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor

IMAGE_NAME: Final = "io.containerd.image.name"
REF_NAME: Final = "org.opencontainers.image.ref.name"

_MAX_NAME: Final = 512


def name_annotations(name: Reference) -> dict[str, str]:
    """Return the annotations by which an index gives this name to one of its entries."""
    return {IMAGE_NAME: str(name), REF_NAME: name.tag or str(name)}


def name_images(targets: Sequence[Descriptor], *, name: str | None = None) -> dict[str, Descriptor]:
    """Return the targets by their names: those of their annotations, or ``name`` for an only one.

    Of several targets, those without a name are left out.

    :raises InvalidArgumentError: if nothing has a name and none is given, one is given for several images, two
        images have the same name, or a name is not acceptable
    """
    if not targets:
        raise InvalidArgumentError("the archive holds no image")
    found = [(named, target) for target in targets if (named := _annotated_name(target)) is not None]
    if name is not None:
        if len({target.digest for target in targets}) > 1:
            names = ", ".join(sorted(named for named, _ in found)) or "none has a name"
            raise InvalidArgumentError(
                f"the archive holds {len(targets)} images ({names}): name= fits one only"
            )
        return {normalize_name(name): targets[0]}
    images: dict[str, Descriptor] = {}
    for named, target in found:
        if images.setdefault(named, target).digest != target.digest:
            raise InvalidArgumentError(f"the archive gives the name {named!r} to two images")
    if not images:
        raise InvalidArgumentError("the archive does not name its image: give name=")
    return images


def _annotated_name(target: Descriptor) -> str | None:
    full = target.annotations.get(IMAGE_NAME)
    if full:
        return _check_name(full)
    short = target.annotations.get(REF_NAME, "")
    # "latest" is a tag; "busybox:1.36" and "example.org/app" are references.
    return normalize_name(short) if set(short) & set("/:@") else None


def _check_name(name: str) -> str:
    """Return containerd's own name of an image as it stands, if it is sane.

    It need not be a reference: the names of checkpoints have a date with colons in their tags.
    """
    if len(name) > _MAX_NAME or not name.isascii() or not name.isprintable() or " " in name:
        raise InvalidArgumentError(
            f"the archive gives an image the name {name[:100]!r}, which is not acceptable"
        )
    return name
