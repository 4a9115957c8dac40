"""Exporting images: an OCI image layout in a tar, which docker loads as well.

All blobs are looked for before the first byte is written, and kept by a lease; while one is copied it is hashed. The
same images make the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from containerd_aio._images.archive import DOCKER_MANIFEST, OCI_INDEX, OCI_LAYOUT
from containerd_aio._images.contents import Contents, collect
from containerd_aio._images.media_types import OCI_INDEX as INDEX_TYPE
from containerd_aio._images.names import IMAGE_NAME, REF_NAME
from containerd_aio._images.reference import Reference
from containerd_aio._images.target import ArchiveTarget, Write, open_target
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.writer import END, header_of, padding_of
from containerd_aio.errors import DataLossError, InvalidArgumentError
from containerd_aio.types import ImageInfo, LeaseResource

if TYPE_CHECKING:
    from containerd_aio.services import Services
    from containerd_aio.services.content import Content

_BLOBS: Final = "blobs/"
_LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'


async def export_archive(
    services: Services, images: Sequence[ImageInfo], target: ArchiveTarget, *, all_platforms: bool = False
) -> None:
    """Write images as a tar: an OCI image layout, with the ``manifest.json`` of ``docker save`` for what docker knows.

    Of an image for several platforms, this machine's is taken, or with ``all_platforms`` all that it lists. A path
    gets the whole archive or stays as it was.

    :raises NotFoundError: if a blob is not there, or nothing for this machine's platform
    :raises DataLossError: if a blob is damaged
    :raises InvalidArgumentError: if there is nothing to export, a document is damaged, or the path cannot be written
    """
    if not images:
        raise InvalidArgumentError("there is nothing to export: name an image")
    named = {image.name: image for image in images}
    targets = list({image.target.digest: image.target for image in named.values()}.values())
    # The file is put in its place when all else is done, the lease included: a cancellation comes before or after.
    async with open_target(target) as write, services.leases.hold() as lease:
        for each in targets:
            await services.leases.add_resource(lease.id, LeaseResource("content", each.digest))
        contents = await collect(services.content, targets, all_platforms=all_platforms)
        for name, data in _documents(list(named.values()), contents):
            await write(header_of(Member(name, Kind.FILE, size=len(data))) + data + padding_of(len(data)))
        for directory in _directories(contents.blobs):
            await write(header_of(Member(directory, Kind.DIRECTORY, mode=0o755)))
        for digest, size in sorted(contents.blobs.items()):
            await write(header_of(Member(_path(digest), Kind.FILE, size=size)))
            await _copy(services.content, digest, size, write)
        await write(END)


async def _copy(content: Content, digest: str, size: int, write: Write) -> None:
    written = 0
    async with content.read(digest, verify=True) as chunks:
        async for chunk in chunks:
            written += len(chunk)
            if written > size:
                break
            await write(chunk)
    if written != size:
        raise DataLossError(f"blob {digest} is damaged: it has not the {size} bytes that it should have")
    await write(padding_of(size))


def _documents(images: Sequence[ImageInfo], contents: Contents) -> Iterator[tuple[str, bytes]]:
    yield OCI_LAYOUT, _LAYOUT
    manifests = [_entry(image) for image in images]
    yield OCI_INDEX, _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})
    saved = list(_saved(images, contents))
    if saved:
        yield DOCKER_MANIFEST, _json(saved)


def _entry(image: ImageInfo) -> Mapping[str, object]:
    target = image.target
    reference = _reference(image.name)
    # What another tool calls the name: OCI has the tag there, where there is one.
    short = image.name if reference is None else reference.tag or image.name
    names = {IMAGE_NAME: image.name, REF_NAME: short}
    return {
        "mediaType": target.media_type,
        "digest": target.digest,
        "size": target.size,
        "annotations": {**target.annotations, **names},
    }


def _saved(images: Sequence[ImageInfo], contents: Contents) -> Iterator[Mapping[str, object]]:
    """What ``docker save`` says of each image: its configuration, its layers, and all of its names."""
    tags: dict[str, list[str]] = {}
    for image in images:
        if image.target.digest in contents.loadable:
            reference = _reference(image.name)
            names = tags.setdefault(image.target.digest, [])
            if reference is not None and reference.digest is None:
                names.append(reference.familiar)
    for digest, names in tags.items():
        manifest = contents.loadable[digest]
        yield {
            "Config": _path(manifest.config.digest),
            "RepoTags": names or None,
            "Layers": [_path(layer.digest) for layer in manifest.layers],
        }


def _reference(name: str) -> Reference | None:
    with suppress(InvalidArgumentError):
        return Reference.parse(name)
    return None


def _directories(digests: Mapping[str, int]) -> list[str]:
    algorithms = sorted({digest.partition(":")[0] for digest in digests})
    return [_BLOBS, *(f"{_BLOBS}{algorithm}/" for algorithm in algorithms)]


def _path(digest: str) -> str:
    return _BLOBS + digest.replace(":", "/")


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
