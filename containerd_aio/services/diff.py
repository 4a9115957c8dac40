"""containerd's Diff service: layers out of the difference of two mounts, and layers applied to a mount.

Mounts are what a snapshotter hands out; the daemon mounts them itself. Layers are blobs of the content store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from containerd_aio._api.containerd.services.diff import v1 as api
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import (
    descriptor_from,
    to_any,
    to_descriptor,
    to_mount,
    to_timestamp,
)
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, Descriptor, Mount
from containerd_aio.types.digest import check_digest

_SERVICE: Final = "containerd.services.diff.v1.Diff/"


class Diff:
    """Layers of one namespace, made and applied by the daemon."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def apply(
        self,
        descriptor: Descriptor,
        mounts: Sequence[Mount],
        *,
        payloads: Mapping[str, AnyValue] | None = None,
        sync_fs: bool = False,
    ) -> Descriptor:
        """Unpack a layer over mounts and return the descriptor of what was unpacked.

        Its digest is the layer's diff id: that of the tar after decompression. ``payloads`` goes to the stream
        processors of the daemon's configuration, by their ids (``io.containerd.ocicrypt.v1.Payload`` for
        encrypted layers). ``sync_fs`` has the filesystem synced before the answer; containerd before 1.7.14
        does not know it and does not sync. If cancelled, part of the layer may lie in the mounts.

        :raises InvalidArgumentError: if the digest is none, or a payload has no type
        :raises NotFoundError: if the layer is not in the content store
        :raises ContainerdError: if no differ of this daemon takes the media type (``UnknownError`` from most)
        """
        check_digest(descriptor.digest)
        for processor, payload in (payloads or {}).items():
            if not payload.type_url:
                raise InvalidArgumentError(f"the payload for the stream processor {processor!r} has no type")
        request = api.ApplyRequest(
            diff=to_descriptor(descriptor),
            mounts=[to_mount(mount) for mount in mounts],
            payloads={processor: to_any(payload) for processor, payload in (payloads or {}).items()},
            sync_fs=sync_fs,
        )
        answer = await self._caller.unary(
            _SERVICE + "Apply", request, api.ApplyResponse, about=f"layer '{descriptor.digest}'"
        )
        return descriptor_from(answer.applied)

    async def diff(
        self,
        left: Sequence[Mount],
        right: Sequence[Mount],
        *,
        media_type: str = "",
        ref: str = "",
        labels: Mapping[str, str] | None = None,
        source_date_epoch_ns: int | None = None,
    ) -> Descriptor:
        """Write what has to change in ``left`` to become ``right`` as a layer, and return its descriptor.

        The layer is a blob with ``labels``; hold a lease, or the next collection removes it. ``media_type`` is
        by default the OCI layer as a gzipped tar; ``ref`` names the ingest, a random one by default. With
        ``source_date_epoch_ns`` no file is newer than that (from containerd 1.7 on; 1.6 ignores it). If
        cancelled, an ingest of that ref may stay for a day.

        :raises NotImplementedByServerError: if no differ of this daemon makes that media type
        """
        request = api.DiffRequest(
            left=[to_mount(mount) for mount in left],
            right=[to_mount(mount) for mount in right],
            media_type=media_type,
            ref=ref,
            labels=dict(labels or {}),
        )
        if source_date_epoch_ns is not None:
            request.source_date_epoch = to_timestamp(source_date_epoch_ns)
        answer = await self._caller.unary(
            _SERVICE + "Diff", request, api.DiffResponse, about=f"diff '{ref}'" if ref else ""
        )
        return descriptor_from(answer.diff)
