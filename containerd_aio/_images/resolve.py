"""From an image's target to the manifest and the configuration that this machine runs.

A target is a manifest, or an index of manifests for several platforms, or an index of those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from containerd_aio._images.blobs import read_document
from containerd_aio._images.manifest import (
    MAX_DEPTH,
    Index,
    Manifest,
    candidates,
    parse_config,
    parse_index,
    parse_manifest,
)
from containerd_aio._images.media_types import CONFIGS, INDEXES, MANIFESTS
from containerd_aio._images.platforms import host_platform, rank
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor, ImageConfig, Platform

if TYPE_CHECKING:
    from containerd_aio.services.content import Content


async def read_children(content: Content, descriptor: Descriptor) -> Index | Manifest:
    """Return the index or the manifest that a descriptor leads to.

    :raises InvalidArgumentError: if it is neither, or damaged
    :raises NotFoundError: if it is not in the content store
    """
    if descriptor.media_type in INDEXES:
        about = f"index {descriptor.digest}"
        data = await read_document(content, descriptor, about=about)
        return parse_index(data, media_type=descriptor.media_type, about=about)
    if descriptor.media_type in MANIFESTS:
        about = f"manifest {descriptor.digest}"
        data = await read_document(content, descriptor, about=about)
        return parse_manifest(data, media_type=descriptor.media_type, about=about)
    raise InvalidArgumentError(
        f"{descriptor.digest} is of type {descriptor.media_type[:200]!r}: neither an image index nor a manifest"
    )


async def find_manifest(
    content: Content, target: Descriptor, *, platform: Platform | None = None
) -> tuple[Descriptor, Manifest]:
    """Return the manifest for a platform (this machine's by default), and its descriptor.

    A target that is a manifest is taken as it is, whatever its platform: nothing else was meant by it.

    :raises InvalidArgumentError: if a document on the way is damaged, or no image's
    :raises NotFoundError: if the image has nothing for the platform, or a document is not in the content store
    """
    wanted = platform or host_platform()
    found = await _search(content, target, wanted, depth=1)
    if found is None:
        raise NotFoundError(f"image {target.digest} has nothing for {wanted}")
    return found


async def _search(
    content: Content, descriptor: Descriptor, wanted: Platform, *, depth: int
) -> tuple[Descriptor, Manifest] | None:
    document = await read_children(content, descriptor)
    if isinstance(document, Manifest):
        return descriptor, document
    if depth == MAX_DEPTH:
        raise InvalidArgumentError(f"image index {descriptor.digest} is nested too deeply")
    for entry in candidates(document, wanted):
        if entry.media_type not in INDEXES | MANIFESTS:
            continue
        found = await _search(content, entry, wanted, depth=depth + 1)
        if found is not None and (entry.platform is not None or await _suits(content, found[1], wanted)):
            return found
    return None


async def _suits(content: Content, manifest: Manifest, wanted: Platform) -> bool:
    """Tell by the configuration whether a manifest whose index names no platform is for the wanted one."""
    if manifest.config.media_type not in CONFIGS:
        return False
    return rank((await read_config(content, manifest)).platform, wanted) is not None


async def read_config(content: Content, manifest: Manifest) -> ImageConfig:
    """Return the configuration of a manifest's image.

    :raises InvalidArgumentError: if it is damaged, or the manifest is none of a container image
    :raises NotFoundError: if it is not in the content store
    """
    config = manifest.config
    if config.media_type not in CONFIGS:
        raise InvalidArgumentError(
            f"{config.digest} is of type {config.media_type[:200]!r}: this is no container image"
        )
    about = f"image config {config.digest}"
    return parse_config(await read_document(content, config, about=about), about=about)
