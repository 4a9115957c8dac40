"""The daemon's Diff service, as far as unpacking an image needs it: a layer's diff id. No file is written."""

from __future__ import annotations

import hashlib
import zlib

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd.services.diff import v1 as api
from containerd_aio._api.containerd.types import Descriptor
from containerd_aio.testing._statuses import not_found
from containerd_aio.testing._world import World

_TAR = "application/vnd.oci.image.layer.v1.tar"
_GZIP = ("+gzip", ".gzip")


class DiffService(api.DiffBase):
    """The Diff service: Apply of layers that are tars, plain or in gzip. Diff is UNIMPLEMENTED."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, request: api.ApplyRequest, /) -> api.ApplyResponse:
        realm, layer = self._world.here(), request.diff
        blob = realm.blobs.get(layer.digest)
        if blob is None:
            raise not_found(f"failed to get reader from content store: content digest {layer.digest}")
        data = blob.data
        if layer.media_type.endswith(_GZIP):
            try:
                data = zlib.decompress(data, wbits=31)
            except zlib.error as error:
                raise GRPCError(Status.UNKNOWN, f"failed to extract layer: {error}: unknown") from error
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return api.ApplyResponse(applied=Descriptor(media_type=_TAR, digest=digest, size=len(data)))
