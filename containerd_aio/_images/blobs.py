"""The documents of images as blobs: written under their digest, read with a bound."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from containerd_aio._images.manifest import MAX_DOCUMENT
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor

if TYPE_CHECKING:
    from containerd_aio.services.content import Content


async def write_document(content: Content, data: bytes, media_type: str) -> Descriptor:
    """Write a document of an image as a blob and return its descriptor."""
    digest = f"sha256:{sha256(data).hexdigest()}"
    await content.write_blob(fresh_ref(), data, size=len(data), expected=digest)
    return Descriptor(media_type, digest, len(data))


async def read_document(content: Content, descriptor: Descriptor, *, about: str) -> bytes:
    """Return an index, a manifest or a configuration; ``about`` names it in errors.

    :raises InvalidArgumentError: if it is too large for one
    :raises NotFoundError: if it is not in the content store
    """
    if descriptor.size > MAX_DOCUMENT:
        raise InvalidArgumentError(f"{about} has {descriptor.size} bytes; at most {MAX_DOCUMENT} are taken")
    return await content.read_all(descriptor.digest, max_size=MAX_DOCUMENT)


def fresh_ref() -> str:
    """Return a name for an ingest that nothing else has."""
    return f"containerd-aio-{secrets.token_hex(8)}"
