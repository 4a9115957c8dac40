"""What makes the collector keep an image: each document carries labels that name what it refers to.

The labels are those of containerd's own client, so that both find each other's images whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from containerd_aio._images.manifest import MAX_DEPTH, Index, Manifest
from containerd_aio._images.media_types import INDEXES, MANIFESTS, is_foreign_layer
from containerd_aio._images.platforms import host_platform, rank
from containerd_aio._images.resolve import read_children
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor

if TYPE_CHECKING:
    from containerd_aio.services.content import Content

_REF: Final = "containerd.io/gc.ref.content."


async def label_tree(content: Content, target: Descriptor, *, sizes: Mapping[str, int]) -> None:
    """Label all that a target leads to, and check that nothing is missing. The caller holds a lease.

    ``sizes`` are those of blobs that are known to be there, by digest. What an index has for other platforms may
    be missing: archives often hold one platform of an image, with the index of all. But one has to be there.

    :raises InvalidArgumentError: if a blob is missing or of another size, or a document is damaged
    """
    await _Walk(content, sizes).visit(target, needed=True, depth=1)


class _Walk:
    def __init__(self, content: Content, sizes: Mapping[str, int]) -> None:
        self._content = content
        self._sizes = sizes
        self._host = host_platform()
        self._seen: set[tuple[str, bool]] = set()

    async def visit(self, descriptor: Descriptor, *, needed: bool, depth: int) -> bool:
        """Return whether the blob is there; if ``needed``, it is, and so is all below it."""
        if not await self._present(descriptor, needed=needed):
            return False
        # An index may list other things too, which are kept as they are; the target itself must be an image.
        leaf = depth > 1 and descriptor.media_type not in INDEXES | MANIFESTS
        if leaf or (descriptor.digest, needed) in self._seen:
            return True
        self._seen.add((descriptor.digest, needed))
        if depth > MAX_DEPTH:
            raise InvalidArgumentError(f"image index {descriptor.digest} is nested too deeply")
        document = await read_children(self._content, descriptor)
        # Labels first: from then on the lease keeps the children too, and looking for them cannot come too late.
        await self._content.set_labels(descriptor.digest, child_labels(document))
        if isinstance(document, Index):
            await self._visit_index(descriptor, document, needed=needed, depth=depth)
        else:
            await self._visit_manifest(document, needed=needed)
        return True

    async def _visit_index(self, descriptor: Descriptor, index: Index, *, needed: bool, depth: int) -> None:
        found = False
        for entry in index.manifests:
            ours = entry.platform is None or rank(entry.platform, self._host) is not None
            found |= await self.visit(entry, needed=needed and ours, depth=depth + 1)
        if needed and not found:
            raise InvalidArgumentError(f"nothing is there of what image index {descriptor.digest} lists")

    async def _visit_manifest(self, manifest: Manifest, *, needed: bool) -> None:
        for child in (manifest.config, *manifest.layers):
            await self._present(child, needed=needed and not is_foreign_layer(child.media_type))

    async def _present(self, descriptor: Descriptor, *, needed: bool) -> bool:
        size = self._sizes.get(descriptor.digest)
        if size is None:
            try:
                size = (await self._content.info(descriptor.digest)).size
            except NotFoundError:
                if not needed:
                    return False
                raise InvalidArgumentError(
                    f"{descriptor.digest} ({descriptor.media_type[:200]}) is missing from the archive"
                ) from None
        if size != descriptor.size:
            raise InvalidArgumentError(
                f"{descriptor.digest} has {size} bytes, but what refers to it says {descriptor.size}"
            )
        return True


def child_labels(document: Index | Manifest) -> dict[str, str]:
    """Return the labels that the blob of a document needs."""
    if isinstance(document, Index):
        return {f"{_REF}m.{place}": entry.digest for place, entry in enumerate(document.manifests)}
    layers = {f"{_REF}l.{place}": layer.digest for place, layer in enumerate(document.layers)}
    return {f"{_REF}config": document.config.digest, **layers}
