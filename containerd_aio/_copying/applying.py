"""A layer that is made while it is sent, and that the daemon puts over a snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from containerd_aio._images.blobs import fresh_ref
from containerd_aio._transport.completion import completed, shielded
from containerd_aio.errors import NotFoundError
from containerd_aio.services import Services
from containerd_aio.types import Descriptor, Mount

_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


async def apply_layer(services: Services, layer: AsyncIterator[bytes], mounts: Sequence[Mount]) -> None:
    """Have the daemon unpack a layer over ``mounts``. Of the layer's own bytes nothing is left.

    If cancelled while the daemon unpacks, that takes effect when it has finished (15 s at most).
    """
    counted = _Counted(layer)
    async with services.leases.hold():
        digest = await services.content.write_blob(fresh_ref(), counted)
        try:
            descriptor = Descriptor(_LAYER, digest, counted.size)
            await completed(partial(services.diff.apply, descriptor, mounts))
        finally:
            await shielded(partial(_removed, services, digest))


async def _removed(services: Services, digest: str) -> None:
    with suppress(NotFoundError):
        await services.content.delete(digest)


class _Counted:
    """An iterator of bytes that tells how many they were."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self.size += len(piece)
        return piece
