"""Checkpoints as containerd 1.6 writes them: a tar as CRIU's, and the container's spec.

The tar holds nothing but the arguments of the process, so what goes on from it begins anew. As with the real one, the
spec is written last, and where its blob is there already the call fails: another checkpoint of the container is.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import tarfile
from collections.abc import Sequence

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd.runc.v1 import CheckpointOptions
from containerd_aio._api.containerd.services.containers.v1 import Container
from containerd_aio._api.containerd.types import Descriptor
from containerd_aio._api.google.protobuf import Any
from containerd_aio._transport.codec import decode, encode
from containerd_aio.testing._content import stored_blob
from containerd_aio.testing._statuses import already_exists, unknown
from containerd_aio.testing._world import HeldLease, Realm

_MEMORY = "application/vnd.containerd.container.criu.checkpoint.criu.tar"
_CONFIG = "application/vnd.containerd.container.checkpoint.config.v1+proto"


def options_of(value: Any) -> CheckpointOptions:
    """Return how a task shall be checkpointed; the shim compares the whole name of the type.

    :raises GRPCError: UNKNOWN for the options of something else
    """
    if not value.type_url:
        return CheckpointOptions()
    if value.type_url != CheckpointOptions.__proto_name__:
        raise unknown(f"invalid task checkpoint option for {value.type_url}")
    return decode(CheckpointOptions, value.value)


def write_checkpoint(
    realm: Realm, lease: HeldLease | None, container: Container, args: Sequence[str]
) -> list[Descriptor]:
    """Write the two blobs and return them.

    :raises GRPCError: ALREADY_EXISTS if the spec is there; the other blob is written by then
    """
    memory = store_blob(realm, lease, _criu_tar(args), _MEMORY)
    return [memory, store_blob(realm, lease, encode(container.spec), _CONFIG)]


def check_memory(realm: Realm, memory: Descriptor) -> None:
    """Refuse to restore what is no memory, or not there."""
    if memory.media_type != _MEMORY:
        raise GRPCError(Status.UNKNOWN, f'unsupported checkpoint type "{memory.media_type}"')
    if memory.digest not in realm.blobs:
        raise GRPCError(Status.UNKNOWN, f"content digest {memory.digest}: not found")


def store_blob(
    realm: Realm, lease: HeldLease | None, data: bytes, media_type: str, **labels: str
) -> Descriptor:
    """Store a blob that the daemon itself makes, and return its descriptor.

    :raises GRPCError: ALREADY_EXISTS
    """
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if lease is not None:
        lease.resources.add(("content", digest))
    if digest in realm.blobs:
        raise already_exists(f"content {digest}")
    realm.exists = True
    realm.blobs[digest] = stored_blob(digest, data, labels)
    return Descriptor(media_type=media_type, digest=digest, size=len(data))


def _criu_tar(args: Sequence[str]) -> bytes:
    files = {
        "core-1.img": json.dumps(list(args)).encode(),
        "inventory.img": secrets.token_bytes(16),  # no two are the same: there are times in them
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
