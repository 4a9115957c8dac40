"""The daemon's Content service: blobs, and writes that become blobs.

The rules of a write stream: its first message names a ref and takes its lock; offset 0 begins anew, any other has
to be where the data ends; COMMIT compares size and digest, and ends the stream; what exists already is told by
the first message that says the digest. A stream that ends otherwise leaves the ingest.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._filters import Field, filters_of, matches, record_field
from containerd_aio.testing._messages import now, split_path, with_label, without_empty
from containerd_aio.testing._statuses import (
    already_exists,
    checked_labels,
    invalid,
    is_digest,
    not_found,
    precondition,
)
from containerd_aio.testing._world import Blob, HeldLease, Ingest, Realm, World

STAT, WRITE, COMMIT = (api.WriteAction.try_value(number) for number in range(3))
_PIECE = 1 << 20
_BLOCK = 100


class ContentService(api.ContentBase):
    """The Content service."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def info(self, request: api.InfoRequest, /) -> api.InfoResponse:
        realm = self._world.here()
        if not is_digest(request.digest):
            raise GRPCError(Status.INVALID_ARGUMENT, f'"{request.digest}" failed validation')
        return api.InfoResponse(info=_found(realm, request.digest).info)

    async def update(self, request: api.UpdateRequest, /) -> api.UpdateResponse:
        realm, given = self._world.here(), request.info
        if not is_digest(given.digest):
            raise GRPCError(Status.INVALID_ARGUMENT, f'"{given.digest}" failed validation')
        blob = _found(realm, given.digest)
        updated = blob.info.__copy__()
        for path in request.update_mask.paths or ["labels"]:
            match split_path(path, ("labels",)):
                case "labels", "":
                    updated.labels = without_empty(given.labels)
                case "labels", key:
                    updated.labels = with_label(updated.labels, key, given.labels)
                case _:
                    raise invalid(f'cannot update "{path}" field on content info "{given.digest}"')
        checked_labels(updated.labels, "content.Labels")
        updated.updated_at = now()
        blob.info = updated
        return api.UpdateResponse(info=updated)

    async def list(self, request: api.ListContentRequest, /) -> AsyncIterator[api.ListContentResponse]:
        realm, filters = self._world.here(), filters_of(request.filters)
        found = [blob.info for _, blob in sorted(realm.blobs.items()) if matches(filters, _field(blob.info))]
        for start in range(0, len(found), _BLOCK):
            yield api.ListContentResponse(info=found[start : start + _BLOCK])

    async def delete(self, request: api.DeleteContentRequest, /) -> Empty:
        realm = self._world.here()
        if not is_digest(request.digest):
            raise GRPCError(Status.INVALID_ARGUMENT, "invalid checksum digest format")
        _found(realm, request.digest)
        del realm.blobs[request.digest]
        self._world.publish(realm, "/content/delete", events.ContentDelete(digest=request.digest))
        return Empty()

    async def read(self, request: api.ReadContentRequest, /) -> AsyncIterator[api.ReadContentResponse]:
        realm = self._world.here()
        if not is_digest(request.digest):
            raise GRPCError(Status.INVALID_ARGUMENT, f"{request.digest}: invalid checksum digest format")
        data = _found(realm, request.digest).data
        start = max(request.offset, 0)
        if start > len(data):
            raise GRPCError(Status.OUT_OF_RANGE, f"read past object length {len(data)} bytes")
        end = min(start + request.size, len(data)) if request.size > 0 else len(data)
        for offset in range(start, end, _PIECE):
            yield api.ReadContentResponse(offset=offset, data=data[offset : min(offset + _PIECE, end)])

    async def status(self, request: api.StatusRequest, /) -> api.StatusResponse:
        ingest = self._world.here().ingests.get(request.ref)
        if ingest is None:
            raise not_found(f'could not get status for ref "{request.ref}": reference {request.ref}')
        return api.StatusResponse(status=ingest.status)

    async def list_statuses(self, request: api.ListStatusesRequest, /) -> api.ListStatusesResponse:
        realm, filters = self._world.here(), filters_of(request.filters)
        statuses = [
            ingest.status
            for ref, ingest in sorted(realm.ingests.items())
            if matches(filters, record_field({"ref": ref}))
        ]
        return api.ListStatusesResponse(statuses=statuses)

    async def abort(self, request: api.AbortRequest, /) -> Empty:
        if self._world.here().ingests.pop(request.ref, None) is None:
            raise not_found(f"reference {request.ref}")
        return Empty()

    async def write(
        self, requests: AsyncIterator[api.WriteContentRequest], /
    ) -> AsyncIterator[api.WriteContentResponse]:
        realm = self._world.here()
        lease = self._world.lease(realm)
        first = await anext(requests, None)
        if first is None or not first.ref:
            raise GRPCError(Status.INVALID_ARGUMENT, "first message must have a reference")
        with _Writing(realm, lease, first) as writing:
            request: api.WriteContentRequest | None = first
            while request is not None:
                yield writing.answer(request)
                if request.action == COMMIT:
                    return
                request = await anext(requests, None)


class _Writing:
    """One write stream, which has the lock of its ref."""

    def __init__(self, realm: Realm, lease: HeldLease | None, first: api.WriteContentRequest) -> None:
        self._realm = realm
        self._lease = lease
        self._ref = first.ref
        self._total = first.total
        self._expected = first.expected
        if first.expected in realm.blobs:
            self._hold(first.expected)
            raise already_exists(f"content {first.expected}")
        started = now()
        fresh = api.Status(
            ref=first.ref, started_at=started, updated_at=started, total=first.total, expected=first.expected
        )
        self._ingest = realm.ingests.get(first.ref) or Ingest(fresh)
        if self._ingest.locked:
            text = f"ref {first.ref} locked (since a stream of another call): unavailable"
            raise GRPCError(Status.UNAVAILABLE, text)
        realm.exists = True
        realm.ingests[first.ref] = self._ingest

    def __enter__(self) -> _Writing:
        self._ingest.locked = True
        return self

    def __exit__(self, *_: object) -> None:
        self._ingest.locked = False

    def answer(self, request: api.WriteContentRequest) -> api.WriteContentResponse:
        """Do what a message asks for."""
        ingest = self._ingest
        self._total = request.total or self._total
        self._expected = request.expected or self._expected
        if request.action == WRITE or (request.action == COMMIT and request.data):
            self._append(request.offset, request.data)
        digest = f"sha256:{hashlib.sha256(ingest.data).hexdigest()}"
        if request.action == COMMIT:
            self._commit(digest, request.labels)
        return api.WriteContentResponse(
            action=request.action,
            started_at=ingest.status.started_at,
            updated_at=ingest.status.updated_at,
            offset=len(ingest.data),
            total=self._total,
            digest=digest,
        )

    def _append(self, offset: int, data: bytes) -> None:
        ingest = self._ingest
        if offset and offset != len(ingest.data):
            raise GRPCError(
                Status.OUT_OF_RANGE, f"write @{offset} must occur at current offset {len(ingest.data)}"
            )
        if not offset:
            ingest.data.clear()
        ingest.data += data
        ingest.status.offset = len(ingest.data)
        ingest.status.updated_at = now()

    def _commit(self, digest: str, labels: dict[str, str]) -> None:
        data = bytes(self._ingest.data)
        if self._total and self._total != len(data):
            raise precondition(f'"{self._ref}" failed size validation: {len(data)} != {self._total}')
        if self._expected and self._expected != digest:
            raise precondition(f"unexpected commit digest {digest}, expected {self._expected}")
        checked_labels(labels, "content.Labels")
        self._realm.ingests.pop(self._ref, None)
        self._hold(digest)
        if digest in self._realm.blobs:
            raise GRPCError(Status.ALREADY_EXISTS, f"blob with expected digest {digest} exists")
        self._realm.blobs[digest] = stored_blob(digest, data, labels)

    def _hold(self, digest: str) -> None:
        if self._lease is not None:
            self._lease.resources.add(("content", digest))


def stored_blob(digest: str, data: bytes, labels: dict[str, str]) -> Blob:
    """Return a blob that is stored now."""
    info = api.Info(
        digest=digest, size=len(data), created_at=now(), updated_at=now(), labels=without_empty(labels)
    )
    return Blob(info, data)


def _found(realm: Realm, digest: str) -> Blob:
    if digest not in realm.blobs:
        raise not_found(f"content digest {digest}")
    return realm.blobs[digest]


def _field(info: api.Info) -> Field:
    return record_field({"digest": info.digest}, labels=info.labels)
