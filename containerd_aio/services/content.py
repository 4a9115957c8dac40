"""containerd's Content service: the blobs of one namespace, by digest, and the ingests that become blobs.

What is committed never changes, so a digest names the same bytes for ever; what nothing refers to is removed by
the next collection, so writing belongs into ``Leases.hold()``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import timestamp_ns
from containerd_aio.errors import AlreadyExistsError, DataLossError
from containerd_aio.services.content_blob import (
    BlobChunks,
    ContentReader,
    about_blob,
    open_blob,
    read_whole,
)
from containerd_aio.services.content_ingest import abort, open_writer
from containerd_aio.services.content_source import Source, source_of
from containerd_aio.services.content_writer import ContentWriter, about_ingest
from containerd_aio.types import ContentInfo, IngestStatus
from containerd_aio.types.digest import check_digest

MAX_READ: Final = 20 << 20
"""Bytes that ``read_all()`` takes unless told otherwise: what containerd allows an image's JSON files."""

_SERVICE: Final = "containerd.services.content.v1.Content/"


class Content:
    """The content store of one namespace."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def info(self, digest: str) -> ContentInfo:
        """Return the size, labels and times of a blob.

        :raises InvalidArgumentError: if it is no digest
        :raises NotFoundError: if there is no such blob in this namespace
        """
        answer = await self._caller.unary(
            _SERVICE + "Info",
            api.InfoRequest(digest=check_digest(digest)),
            api.InfoResponse,
            quick=True,
            about=about_blob(digest),
        )
        return _content_from(answer.info)

    async def update(self, info: ContentInfo, *fields: str) -> ContentInfo:
        """Change the named fields (``labels``, ``labels.<key>``) to those of ``info``; return what is stored.

        An empty value removes a label. Without a field all labels are replaced: they are all that can change.

        :raises InvalidArgumentError: if it is no digest, or a field cannot be changed
        :raises NotFoundError: if there is no such blob
        """
        request = api.UpdateRequest(info=api.Info(digest=check_digest(info.digest), labels=dict(info.labels)))
        if fields:
            request.update_mask = FieldMask(paths=[*fields])
        answer = await self._caller.unary(
            _SERVICE + "Update", request, api.UpdateResponse, quick=True, about=about_blob(info.digest)
        )
        return _content_from(answer.info)

    async def set_labels(self, digest: str, labels: Mapping[str, str]) -> ContentInfo:
        """Set these labels of a blob, leave its others, and return what is stored; ``""`` removes one.

        :raises InvalidArgumentError: if it is no digest, or key and value have more than 4096 bytes
        :raises NotFoundError: if there is no such blob
        """
        if not labels:
            return await self.info(digest)  # an update without a field would remove every label
        wanted = ContentInfo(digest=digest, size=0, labels=labels)
        return await self.update(wanted, *(f"labels.{key}" for key in labels))

    async def delete(self, digest: str) -> None:
        """Remove a blob from this namespace, whatever refers to it.

        :raises InvalidArgumentError: if it is no digest
        :raises NotFoundError: if there is no such blob
        """
        request = api.DeleteContentRequest(digest=check_digest(digest))
        await self._caller.unary(_SERVICE + "Delete", request, Empty, about=about_blob(digest))

    def read(
        self, digest: str, *, offset: int = 0, size: int = 0, verify: bool = False
    ) -> AbstractAsyncContextManager[BlobChunks]:
        """Read a blob in pieces: ``async with content.read(digest) as chunks: async for chunk in chunks``.

        ``offset`` and ``size`` (bytes; 0: to the end) choose a range. With ``verify``, the end of the pieces
        raises ``DataLossError`` unless the bytes have the digest; that is for whole blobs. Pieces are up to
        1 MiB; containerd sends 4 MiB at most ahead of the reader. Leaving the block early ends the transfer.

        :raises InvalidArgumentError: if it is no digest or no range, or a range is to be verified
        :raises NotFoundError: with the first piece, if there is no such blob
        :raises OutOfRangeError: with the first piece, if ``offset`` is behind the end
        """
        return open_blob(self._caller, digest, offset=offset, size=size, verify=verify)

    async def read_all(self, digest: str, *, max_size: int = MAX_READ) -> bytes:
        """Return a blob, verified.

        :raises InvalidArgumentError: if it is no digest
        :raises NotFoundError: if there is no such blob
        :raises ResourceExhaustedError: if it has more than ``max_size`` bytes
        :raises DataLossError: if its bytes have another digest
        """
        return await read_whole(self._caller, digest, max_size=max_size)

    async def reader(self, digest: str) -> ContentReader:
        """Return a reader of ranges, with the blob's size. What it reads is not verified.

        :raises InvalidArgumentError: if it is no digest
        :raises NotFoundError: if there is no such blob
        """
        return ContentReader(self._caller, digest, (await self.info(digest)).size)

    def writer(
        self,
        ref: str,
        *,
        total: int = 0,
        expected: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[ContentWriter]:
        """Begin or resume an ingest: ``async with content.writer(ref) as writer``.

        ``ref`` names the ingest; any text. ``writer.offset`` tells how many bytes are there already: go on
        behind them, or ``restart()``. Where another namespace has the blob ``expected``, that is all of them.
        ``total`` (bytes; 0: unknown) and ``expected`` are what the commit must come to; a ``total`` that
        differs from an earlier attempt's spoils the ingest for good. ``labels`` are set with the commit.

        A ref that another writer has locked is waited for, with growing pauses of up to 2 s, for ten minutes at
        most. Leaving the block without a commit keeps what was written; if it is left by an exception or a
        cancellation, the last four messages (1 MiB) may be missing. containerd drops an ingest a day after it
        was begun, or with the lease that it was begun under.

        :raises AlreadyExistsError: on entering, if the blob ``expected`` exists: a lease holds it now
        :raises UnavailableError: on entering, if the ref stayed locked
        :raises InvalidArgumentError: if the ref is empty or ``expected`` is no digest
        """
        return open_writer(self._caller, ref, total=total, expected=expected, labels=labels)

    async def write_blob(
        self,
        ref: str,
        data: bytes | bytearray | memoryview | AsyncIterable[bytes],
        *,
        size: int = 0,
        expected: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Store a blob and return its digest. A blob that exists is success, and gets the labels too.

        All or nothing: if it fails or is cancelled, the ingest is dropped (15 s at most); only where the
        connection is lost may it stay, as ``writer()`` says. What an earlier attempt on the same ref left is
        used if the bytes are the same. The bytes are hashed here and compared with ``expected``; an iterable
        is not read where the blob exists already. A locked ref is waited for as with ``writer()``.

        :raises DataLossError: if the bytes do not have the ``size`` or the digest ``expected``
        :raises UnavailableError: if the ref stayed locked
        :raises InvalidArgumentError: if the ref is empty or ``expected`` is no digest
        """
        source = await source_of(data, size=size, expected=expected)
        async with AsyncExitStack() as stack:
            try:
                writer = await stack.enter_async_context(
                    open_writer(self._caller, ref, expected=source.expected, labels=labels, keep=False)
                )
            except AlreadyExistsError:
                return await self._existing(source, labels)
            await source.write_to(writer)
            try:
                stored = await writer.commit(size=source.size)
            except AlreadyExistsError:
                return await self._existing(source, labels)
        if stored != source.digest:
            raise DataLossError(
                f"containerd stored blob {source.digest} as {stored}",
                method=_SERVICE + "Write",
                subject=about_blob(source.digest),
            )
        return stored

    async def _existing(self, source: Source, labels: Mapping[str, str] | None) -> str:
        await self.set_labels(source.digest, labels or {})
        return source.digest

    async def status(self, ref: str) -> IngestStatus:
        """Return how far an ingest is.

        :raises NotFoundError: if there is no such ingest
        """
        answer = await self._caller.unary(
            _SERVICE + "Status",
            api.StatusRequest(ref=ref),
            api.StatusResponse,
            quick=True,
            about=about_ingest(ref),
        )
        return _ingest_from(answer.status)

    async def statuses(self, *filters: str) -> list[IngestStatus]:
        """Return the ingests that match any of the filters (field ``ref``); all without one.

        :raises ContainerdError: if a filter cannot be parsed
        """
        answer = await self._caller.unary(
            _SERVICE + "ListStatuses",
            api.ListStatusesRequest(filters=[*filters]),
            api.ListStatusesResponse,
            quick=True,
        )
        return [_ingest_from(status) for status in answer.statuses]

    async def abort(self, ref: str) -> None:
        """Drop an ingest and its bytes, also under another writer's hands.

        :raises NotFoundError: if there is no such ingest
        """
        await abort(self._caller, ref)

    async def list(self, *filters: str) -> list[ContentInfo]:
        """Return the blobs that match any of the filters (``digest``, ``size``, ``labels.<key>``), or all.

        :raises ContainerdError: if a filter cannot be parsed
        """
        found: list[ContentInfo] = []
        async with self._caller.server_stream(
            _SERVICE + "List", api.ListContentRequest(filters=[*filters]), api.ListContentResponse
        ) as incoming:
            async for block in incoming:
                found.extend(_content_from(info) for info in block.info)
        return found


def _content_from(message: api.Info) -> ContentInfo:
    return ContentInfo(
        digest=message.digest,
        size=message.size,
        labels=dict(message.labels),
        created_at_ns=timestamp_ns(message.created_at),
        updated_at_ns=timestamp_ns(message.updated_at),
    )


def _ingest_from(message: api.Status) -> IngestStatus:
    return IngestStatus(
        ref=message.ref,
        offset=message.offset,
        total=message.total,
        expected=message.expected or None,
        started_at_ns=timestamp_ns(message.started_at),
        updated_at_ns=timestamp_ns(message.updated_at),
    )
