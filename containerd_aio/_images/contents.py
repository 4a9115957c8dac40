"""What an image consists of, as far as this containerd has it and it is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from containerd_aio._images.manifest import MAX_DEPTH, Index, Manifest
from containerd_aio._images.media_types import CONFIGS, INDEXES, MANIFESTS, is_foreign_layer
from containerd_aio._images.platforms import host_platform, rank
from containerd_aio._images.resolve import find_manifest, read_children
from containerd_aio.errors import DataLossError, InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor

if TYPE_CHECKING:
    from containerd_aio.services.content import Content


@dataclass(slots=True)
class Contents:
    """The blobs of images, by digest; and those images that docker could load, by the digest of their targets."""

    blobs: dict[str, int] = field(default_factory=dict[str, int])
    loadable: dict[str, Manifest] = field(default_factory=dict[str, Manifest])


async def collect(content: Content, targets: list[Descriptor], *, all_platforms: bool) -> Contents:
    """Return what these images consist of: for this machine's platform, or for ``all_platforms``.

    :raises NotFoundError: if a blob is not there, or there is nothing for this machine's platform
    :raises DataLossError: if a blob is of another size than what refers to it says
    :raises InvalidArgumentError: if a document is damaged, or a target is no image
    """
    walk = _Walk(content, all_platforms=all_platforms)
    for target in targets:
        await walk.visit(target, depth=1)
        if not walk.has_strange_parts(target.digest):
            await walk.note_loadable(target)
    return walk.found


class _Walk:
    def __init__(self, content: Content, *, all_platforms: bool) -> None:
        self.found = Contents()
        self._content = content
        self._all_platforms = all_platforms
        self._host = host_platform()
        self._strange: set[str] = set()

    def has_strange_parts(self, digest: str) -> bool:
        """Tell whether an index lists what is no image: a checkpoint's does."""
        return digest in self._strange

    async def note_loadable(self, target: Descriptor) -> None:
        """Note the manifest that docker would take of this image."""
        try:
            _, manifest = await find_manifest(self._content, target)
        except NotFoundError:
            return  # an image of other platforms only
        layers_there = all(layer.digest in self.found.blobs for layer in manifest.layers)
        if manifest.config.media_type in CONFIGS and layers_there:
            self.found.loadable[target.digest] = manifest

    async def visit(self, descriptor: Descriptor, *, depth: int) -> None:
        """Take a blob, and all that it leads to."""
        if descriptor.digest in self.found.blobs:
            return
        await self._take(descriptor)
        if depth > MAX_DEPTH:
            raise InvalidArgumentError(f"image index {descriptor.digest} is nested too deeply")
        if depth > 1 and descriptor.media_type not in INDEXES | MANIFESTS:
            return
        document = await read_children(self._content, descriptor)
        if isinstance(document, Index):
            await self._visit_index(descriptor, document, depth=depth)
            return
        await self._take(document.config)
        for layer in document.layers:
            await self._take(layer, needed=not is_foreign_layer(layer.media_type))

    async def _visit_index(self, descriptor: Descriptor, index: Index, *, depth: int) -> None:
        wanted = [entry for entry in index.manifests if self._is_wanted(entry)]
        if not wanted:
            raise NotFoundError(
                f"image index {descriptor.digest} has nothing for {self._host}: all_platforms=True takes the others"
            )
        if any(entry.media_type not in INDEXES | MANIFESTS for entry in wanted):
            self._strange.add(descriptor.digest)
        for entry in wanted:
            await self.visit(entry, depth=depth + 1)

    def _is_wanted(self, entry: Descriptor) -> bool:
        return self._all_platforms or entry.platform is None or rank(entry.platform, self._host) is not None

    async def _take(self, descriptor: Descriptor, *, needed: bool = True) -> None:
        try:
            size = (await self._content.info(descriptor.digest)).size
        except NotFoundError as error:
            if not needed:
                return
            raise error.reworded(
                f"{descriptor.digest} ({descriptor.media_type[:200]}) is a part of the image, but not there"
            ) from error
        if size != descriptor.size:
            raise DataLossError(
                f"{descriptor.digest} has {size} bytes, but what refers to it says {descriptor.size}"
            )
        self.found.blobs[descriptor.digest] = size
