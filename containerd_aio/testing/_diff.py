"""The daemon's Diff service, as far as images and checkpoints need it. No file is read or written: what changed is
nothing."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from contextlib import suppress

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd.services.diff import v1 as api
from containerd_aio._api.containerd.types import Descriptor
from containerd_aio.testing._checkpoints import store_blob
from containerd_aio.testing._statuses import not_found
from containerd_aio.testing._world import World

_TAR = "application/vnd.oci.image.layer.v1.tar"
_LAYER = f"{_TAR}+gzip"
_GZIP = ("+gzip", ".gzip")


class DiffService(api.DiffBase):
    """The Diff service: Apply of layers that are tars, plain or in gzip; and Diff, which makes an empty one."""

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

    async def diff(self, request: api.DiffRequest, /) -> api.DiffResponse:
        realm = self._world.here()
        lease = self._world.lease(realm)
        if request.media_type not in ("", _LAYER):
            raise GRPCError(
                Status.UNIMPLEMENTED,
                f"unsupported diff media type: {request.media_type}: not implemented",
            )
        tar = bytes(10240)
        digest = f"sha256:{hashlib.sha256(tar).hexdigest()}"
        layer = gzip.compress(tar, mtime=0)
        with suppress(GRPCError):  # it exists: here that is success
            store_blob(
                realm, lease, layer, _LAYER, **{**request.labels, "containerd.io/uncompressed": digest}
            )
        name = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        return api.DiffResponse(diff=Descriptor(media_type=_LAYER, digest=name, size=len(layer)))
