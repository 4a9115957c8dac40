"""Importing an archive: its blobs, the labels that keep them, and the names of its images.

Everything up to the names happens under a lease, so that no collection takes a blob between its arrival and the
record that refers to it. Where the import fails, deleting that lease is what removes the blobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from containerd_aio._images.archive import DOCKER_MANIFEST, OCI_INDEX, OCI_LAYOUT, Archive, store_archive
from containerd_aio._images.docker import docker_targets
from containerd_aio._images.fields import parse_json
from containerd_aio._images.gc_labels import label_tree
from containerd_aio._images.manifest import parse_index
from containerd_aio._images.names import name_images
from containerd_aio._images.records import all_or_none
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor, ImageInfo

if TYPE_CHECKING:
    from containerd_aio._tar.source import ArchiveSource
    from containerd_aio.services import Services
    from containerd_aio.services.content import Content

MAX_ARCHIVE: Final = 64 * 1024**3
"""The most bytes that an archive may hold, after decompression, unless the caller asks for more."""

_MAX_LAYOUT: Final = 64 * 1024


async def import_archive(
    services: Services,
    source: ArchiveSource,
    *,
    name: str | None = None,
    labels: Mapping[str, str] | None = None,
    max_size: int = MAX_ARCHIVE,
) -> list[ImageInfo]:
    """Import an OCI image layout or a ``docker save`` archive and return its images, as stored.

    The archive is a tar, plain or in gzip: a path, bytes, a binary file object or a stream of bytes. A stream is
    read to the tar's end, one in gzip to its own. Names come from the archive; ``name`` goes before them where
    it holds one image. A name that exists is pointed to the new image. ``labels`` go on the image records.
    Nothing is unpacked.

    If this fails or is cancelled, no ingest, lease or name is left, and the blobs go with the next collection.

    :raises InvalidArgumentError: if the source is no such archive, is damaged, truncated, larger than ``max_size``
        bytes when decompressed, or lacks something that its images need on this machine; if a member's name leads
        outside; or if its images have no name, or no acceptable one
    """
    async with all_or_none(services.images) as records, services.leases.hold():
        archive = await store_archive(services.content, source, max_size=max_size)
        targets = name_images(await _targets(services.content, archive), name=name)
        sizes = archive.sizes()
        for target in {target.digest: target for target in targets.values()}.values():
            await label_tree(services.content, target, sizes=sizes)
        return await records.store(targets, labels=labels)


async def _targets(content: Content, archive: Archive) -> list[Descriptor]:
    """Return the images of the archive, annotated with their names. docker writes both kinds of index; OCI's
    says more."""
    if OCI_LAYOUT in archive.documents and OCI_INDEX in archive.documents:
        _check_layout(archive.documents[OCI_LAYOUT])
        index = parse_index(archive.documents[OCI_INDEX], about=f"{OCI_INDEX} in the archive")
        return list(index.manifests)
    if DOCKER_MANIFEST in archive.documents:
        return await docker_targets(content, archive, archive.documents[DOCKER_MANIFEST])
    if OCI_LAYOUT in archive.documents:
        raise InvalidArgumentError(f"the archive is not complete: it has {OCI_LAYOUT!r} but no {OCI_INDEX!r}")
    raise InvalidArgumentError(
        f"this is no image archive: it has neither {OCI_LAYOUT!r} and {OCI_INDEX!r} nor {DOCKER_MANIFEST!r}"
    )


def _check_layout(document: bytes) -> None:
    about = f"{OCI_LAYOUT} in the archive"
    version = parse_json(document, about=about, max_size=_MAX_LAYOUT).as_object().text("imageLayoutVersion")
    if version != "1.0.0":
        raise InvalidArgumentError(f"{about} is of version {version[:50]!r}; only 1.0.0 is known")
