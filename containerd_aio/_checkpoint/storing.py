"""Storing a checkpoint: its small parts, and the index that keeps all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from containerd_aio._checkpoint.index import Checkpoint
from containerd_aio._images.blobs import fresh_ref, write_document
from containerd_aio._images.gc_labels import child_labels
from containerd_aio._images.manifest import Index
from containerd_aio._images.media_types import OCI_INDEX
from containerd_aio._transport.typeurl import to_bytes
from containerd_aio.types import AnyValue, Descriptor
from containerd_aio.types.digest import Digester

if TYPE_CHECKING:
    from containerd_aio.services.content import Content


async def write_value(content: Content, value: AnyValue, media_type: str) -> Descriptor:
    """Write a value with its type as a part of a checkpoint. The caller holds a lease."""
    return await write_document(content, to_bytes(value), media_type)


async def write_index(content: Content, checkpoint: Checkpoint) -> Descriptor:
    """Write the index, with the labels that make the collector keep the parts. The caller holds a lease."""
    data = checkpoint.document()
    digester = Digester()
    digester.update(data)
    labels = child_labels(Index(OCI_INDEX, tuple(checkpoint.parts())))
    await content.write_blob(fresh_ref(), data, size=len(data), expected=digester.digest, labels=labels)
    return Descriptor(OCI_INDEX, digester.digest, len(data))
