"""A content store in memory that keeps containerd's rules for writing, and can be told to fail.

What it knows of containerd: one stream at a time has a ref's lock; offset 0 truncates; any other offset has to be
where the data ends; COMMIT compares size and digest; what exists is told on STAT, or on COMMIT.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import betterproto
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._api.google.protobuf import Empty

Message: TypeAlias = betterproto.Message
Hook: TypeAlias = Callable[[Message], Awaitable[None]]

STAT, WRITE, COMMIT = (api.WriteAction(number) for number in range(3))


def digest_of(data: bytes | bytearray, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


async def nothing(request: Message) -> None:
    """The hook of a store that answers at once."""


class ContentStore(api.ContentBase):
    """``before`` runs when a request has come, ``after`` when its work is done but not answered, and after each
    piece of a read. ``transfers`` are the reads under way."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.blobs: dict[str, bytes] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.ingests: dict[str, bytearray] = {}
        self.locked: set[str] = set()
        self.elsewhere: dict[str, bytes] = {}
        self.before: Hook = nothing
        self.after: Hook = nothing
        self.skew = 0
        self.transfers = 0
        self.chunk_size = 1 << 20

    def writes(self, action: api.WriteAction | None = None) -> list[api.WriteContentRequest]:
        """The messages of all writes, or those of one action."""
        return [
            request
            for request in self.requests
            if isinstance(request, api.WriteContentRequest) and (action is None or request.action == action)
        ]

    def add(self, data: bytes, **labels: str) -> str:
        """Have a blob."""
        digest = digest_of(data)
        self.blobs[digest] = data
        self.labels[digest] = dict(labels)
        return digest

    async def _came(self, request: Message) -> None:
        self.requests.append(request)
        await self.before(request)

    async def write(
        self, request: AsyncIterator[api.WriteContentRequest], /
    ) -> AsyncIterator[api.WriteContentResponse]:
        question = await anext(request)
        await self._came(question)
        ref, expected, total = question.ref, question.expected, question.total
        assert question.action == STAT
        assert ref, "first message must have a reference"
        if ref in self.locked:
            raise GRPCError(Status.UNAVAILABLE, f"ref {ref} locked: unavailable")
        if expected in self.blobs:
            raise GRPCError(Status.ALREADY_EXISTS, f"content {expected}: already exists")
        self.locked.add(ref)
        try:
            if expected in self.elsewhere:
                self.ingests[ref] = bytearray(self.elsewhere[expected])
            data = self.ingests.setdefault(ref, bytearray())
            await self.after(question)
            yield self._answer(question, data)
            async for message in request:
                await self._came(message)
                if message.action != STAT:
                    self._write(message, data)
                if message.action == COMMIT:
                    self._commit(message, ref, data, expected or message.expected, total or message.total)
                await self.after(message)
                yield self._answer(message, data)
                if message.action == COMMIT:
                    yield self._answer(message, data)  # the daemon says it twice
                    return
        finally:
            self.locked.discard(ref)

    def _answer(self, request: api.WriteContentRequest, data: bytearray) -> api.WriteContentResponse:
        return api.WriteContentResponse(
            action=request.action, offset=len(data) + self.skew, digest=digest_of(data)
        )

    def _write(self, message: api.WriteContentRequest, data: bytearray) -> None:
        if message.offset and message.offset != len(data):
            raise GRPCError(
                Status.OUT_OF_RANGE,
                f"write @{message.offset} must occur at current offset {len(data)}",
            )
        if message.offset == 0:
            data.clear()
        data += message.data

    def _commit(
        self, message: api.WriteContentRequest, ref: str, data: bytearray, expected: str, total: int
    ) -> None:
        digest = digest_of(data)
        if message.expected and message.expected in self.blobs:
            del self.ingests[ref]
            raise GRPCError(Status.ALREADY_EXISTS, "blob with expected digest exists")
        if total and total != len(data):
            raise GRPCError(Status.FAILED_PRECONDITION, "failed size validation: failed precondition")
        if expected and expected != digest:
            raise GRPCError(Status.FAILED_PRECONDITION, "unexpected commit digest: failed precondition")
        self.ingests.pop(ref, None)
        if digest in self.blobs:
            raise GRPCError(Status.ALREADY_EXISTS, f"content {digest}: already exists")
        self.blobs[digest] = bytes(data)
        self.labels[digest] = dict(message.labels)

    async def abort(self, request: api.AbortRequest, /) -> Empty:
        await self._came(request)
        if request.ref not in self.ingests:
            raise GRPCError(Status.NOT_FOUND, f"reference {request.ref}: not found")
        del self.ingests[request.ref]
        return Empty()

    async def read(self, request: api.ReadContentRequest, /) -> AsyncIterator[api.ReadContentResponse]:
        await self._came(request)
        data = self._blob(request.digest)
        if request.offset > len(data):
            raise GRPCError(Status.OUT_OF_RANGE, f"read past object length {len(data)} bytes")
        end = request.offset + request.size if request.size else len(data)
        wanted = data[request.offset : end]
        self.transfers += 1
        try:
            for start in range(0, len(wanted), self.chunk_size):
                # Offsets count from the start of the range, as the daemon's do.
                answer = api.ReadContentResponse(offset=start, data=wanted[start : start + self.chunk_size])
                yield answer
                await self.after(answer)
        finally:
            self.transfers -= 1

    async def info(self, request: api.InfoRequest, /) -> api.InfoResponse:
        await self._came(request)
        return api.InfoResponse(info=self._info(request.digest))

    async def update(self, request: api.UpdateRequest, /) -> api.UpdateResponse:
        await self._came(request)
        digest = request.info.digest
        self._blob(digest)
        paths = request.update_mask.paths or ["labels"]
        labels = {} if "labels" in paths else dict(self.labels[digest])
        labels.update(request.info.labels)
        self.labels[digest] = {key: value for key, value in labels.items() if value}
        return api.UpdateResponse(info=self._info(digest))

    async def delete(self, request: api.DeleteContentRequest, /) -> Empty:
        await self._came(request)
        self._blob(request.digest)
        del self.blobs[request.digest]
        return Empty()

    async def list(self, request: api.ListContentRequest, /) -> AsyncIterator[api.ListContentResponse]:
        await self._came(request)
        for digest in self.blobs:
            yield api.ListContentResponse(info=[self._info(digest)])

    async def status(self, request: api.StatusRequest, /) -> api.StatusResponse:
        await self._came(request)
        if request.ref not in self.ingests:
            raise GRPCError(Status.NOT_FOUND, f"reference {request.ref}: not found")
        return api.StatusResponse(status=self._status(request.ref))

    async def list_statuses(self, request: api.ListStatusesRequest, /) -> api.ListStatusesResponse:
        await self._came(request)
        return api.ListStatusesResponse(statuses=[self._status(ref) for ref in self.ingests])

    def _blob(self, digest: str) -> bytes:
        if digest not in self.blobs:
            raise GRPCError(Status.NOT_FOUND, f"content digest {digest}: not found")
        return self.blobs[digest]

    def _info(self, digest: str) -> api.Info:
        return api.Info(digest=digest, size=len(self._blob(digest)), labels=self.labels[digest])

    def _status(self, ref: str) -> api.Status:
        return api.Status(ref=ref, offset=len(self.ingests[ref]), total=9, expected="")
