"""Unpacking an image: its layers become committed snapshots, one on top of the other.

A snapshot's name is its chain id, which stands for a layer and all below it; so whoever unpacks an image with
the same layers finds them there. Two who unpack at once both do the work of a layer that neither found, and
the second to commit takes the first one's: nothing is locked, and neither waits for the other.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from containerd_aio._images.manifest import Manifest
from containerd_aio._images.resolve import find_manifest, read_config
from containerd_aio._transport.completion import completed, shielded
from containerd_aio.errors import AlreadyExistsError, ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor, LeaseResource, Mount

if TYPE_CHECKING:
    from containerd_aio.services import Services
    from containerd_aio.services.snapshots import Snapshotter


_SNAPSHOT_REF: Final = "containerd.io/snapshot.ref"
_UNCOMPRESSED: Final = "containerd.io/uncompressed"
_GC_SNAPSHOT: Final = "containerd.io/gc.ref.snapshot."
_INHERITED: Final = "containerd.io/snapshot/"

_ATTEMPTS: Final = 3


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the chain id of each layer (OCI image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(f"sha256:{sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return tuple(chain)


async def unpack(services: Services, target: Descriptor, *, snapshotter: str) -> str | None:
    """Make the snapshots of an image's layers and return the top one's name: the image's chain id.

    ``None`` is for an image without layers. Layers that are unpacked already are not touched. If this fails or
    is cancelled, no active snapshot is left, and the layers that were finished go with the next collection, or
    stay with the image if they were all.

    :raises InvalidArgumentError: if a layer is not what the image's configuration says, or a document is damaged;
        also if the daemon has no such snapshotter
    :raises NotFoundError: if the image has nothing for this machine's platform, or a blob is not there
    """
    async with services.leases.hold() as lease:
        _, manifest = await find_manifest(services.content, target)
        config = await read_config(services.content, manifest)
        layers = _pair_layers(manifest, config.diff_ids)
        if not layers:
            return None
        work = _Unpacking(services, services.snapshotter(snapshotter), lease.id)
        for layer in layers[await work.count_finished(layers) :]:
            await work.unpack_layer(layer)
        top = layers[-1].chain_id
        await services.content.set_labels(manifest.config.digest, {f"{_GC_SNAPSHOT}{snapshotter}": top})
        return top


@dataclass(frozen=True, slots=True)
class _Layer:
    descriptor: Descriptor
    diff_id: str
    chain_id: str
    parent: str | None


def _pair_layers(manifest: Manifest, diff_ids: Sequence[str]) -> list[_Layer]:
    if len(manifest.layers) != len(diff_ids):
        raise InvalidArgumentError(
            f"image config {manifest.config.digest} lists {len(diff_ids)} layers,"
            f" but its manifest has {len(manifest.layers)}"
        )
    chain = chain_ids(diff_ids)
    parents = (None, *chain)
    return [_Layer(*layer) for layer in zip(manifest.layers, diff_ids, chain, parents, strict=False)]


class _Unpacking:
    """The unpacking of one image into one snapshotter, under a lease."""

    def __init__(self, services: Services, snapshots: Snapshotter, lease_id: str) -> None:
        self._services = services
        self._snapshots = snapshots
        self._lease_id = lease_id

    async def count_finished(self, layers: Sequence[_Layer]) -> int:
        """Return how many layers, from the base, need no work. Looking from the top, one question is enough for
        an image that is unpacked: a snapshot keeps its parents."""
        for count in range(len(layers), 0, -1):
            if await self._keep(layers[count - 1].chain_id):
                return count
        return 0

    async def unpack_layer(self, layer: _Layer) -> None:
        for _ in range(_ATTEMPTS):
            key = f"extract-{time.time_ns()}-{secrets.token_urlsafe(3)} {layer.chain_id}"
            try:
                if await self._extract(key, layer):
                    return
            except BaseException:
                await self._discard(key)
                raise
        raise AlreadyExistsError(
            f"snapshotter {self._snapshots.name!r} says that layer {layer.descriptor.digest} exists, but has no"
            f" snapshot {layer.chain_id}"
        )

    async def _extract(self, key: str, layer: _Layer) -> bool:
        """Make the layer's snapshot; ``False`` if the key, or the layer, was there without a snapshot."""
        labels = _snapshot_labels(layer)
        try:
            # Not cut off in the middle: a snapshot could appear just after the cleanup found none.
            mounts = await completed(
                partial(self._snapshots.prepare, key, parent=layer.parent, labels=labels)
            )
        except AlreadyExistsError:
            # Remote snapshotters answer so for a layer that they have already (containerd.io/snapshot.ref).
            return await self._keep(layer.chain_id)
        await self._apply(layer, mounts)
        try:
            await self._snapshots.commit(layer.chain_id, key, labels=labels)
        except AlreadyExistsError:
            await self._discard(key)
            if not await self._keep(layer.chain_id):
                return False
        await self._services.content.set_labels(layer.descriptor.digest, {_UNCOMPRESSED: layer.diff_id})
        return True

    async def _apply(self, layer: _Layer, mounts: Sequence[Mount]) -> None:
        applied = await self._services.diff.apply(layer.descriptor, mounts)
        if applied.digest != layer.diff_id:
            raise InvalidArgumentError(
                f"layer {layer.descriptor.digest} unpacks to {applied.digest},"
                f" but the image's config says {layer.diff_id}"
            )

    async def _keep(self, chain_id: str) -> bool:
        """Return whether a committed snapshot is there; if so, the lease holds it from now on."""
        if not await self._exists(chain_id):
            return False
        kept = LeaseResource(f"snapshots/{self._snapshots.name}", chain_id)
        await self._services.leases.add_resource(self._lease_id, kept)
        return await self._exists(chain_id)  # a collection may have come in between

    async def _exists(self, chain_id: str) -> bool:
        try:
            await self._snapshots.stat(chain_id)
        except NotFoundError:
            return False
        return True

    async def _discard(self, key: str) -> None:
        """Remove an active snapshot, whatever happens. What cannot be removed now goes with the lease."""

        async def remove() -> None:
            with suppress(ContainerdError):
                await self._snapshots.remove(key)

        await shielded(remove)


def _snapshot_labels(layer: _Layer) -> dict[str, str]:
    """Return the labels of a layer's snapshot: what containerd's client gives it, and what the layer's descriptor
    says for snapshotters."""
    inherited = {
        key: value for key, value in layer.descriptor.annotations.items() if key.startswith(_INHERITED)
    }
    return {**inherited, _SNAPSHOT_REF: layer.chain_id}
