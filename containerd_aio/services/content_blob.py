"""Reading a blob: a ``Content.Read`` stream, and ranges by one such stream each.

containerd hashes nothing when it reads, and a read that meets the end of a damaged file just ends. So ranges are
counted here, and whole blobs can be verified while they pass.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._transport.call import Caller, Incoming
from containerd_aio.errors import DataLossError, InvalidArgumentError, ResourceExhaustedError
from containerd_aio.types.digest import Digester, check_digest

_READ: Final = "containerd.services.content.v1.Content/Read"


class BlobChunks(AsyncIterator[bytes]):
    """The bytes of a blob as they come, in pieces of up to 1 MiB."""

    def __init__(self, incoming: Incoming[api.ReadContentResponse], digest: str, *, verify: bool) -> None:
        self._incoming = incoming
        self._digest = digest
        self._digester = Digester.like(digest) if verify else None

    async def __anext__(self) -> bytes:
        """Return the next piece.

        :raises DataLossError: at the end, if the blob is verified and its bytes have another digest
        """
        try:
            data = (await anext(self._incoming)).data
        except StopAsyncIteration:
            if self._digester is not None:
                self._digester.check(self._digest)
            raise
        if self._digester is not None:
            self._digester.update(data)
        return data


class ContentReader:
    """A blob to read ranges of. It holds nothing open: each read is a call of its own."""

    def __init__(self, caller: Caller, digest: str, size: int) -> None:
        self._caller = caller
        self._digest = digest
        self._size = size

    @property
    def digest(self) -> str:
        """The blob's digest."""
        return self._digest

    @property
    def size(self) -> int:
        """The blob's size in bytes."""
        return self._size

    async def read_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from ``offset`` on; fewer where the blob ends, none behind its end.

        :raises InvalidArgumentError: if offset or size is negative
        :raises NotFoundError: if the blob is gone
        :raises DataLossError: if containerd sent another number of bytes: the blob is damaged
        """
        _check_range(offset, size)
        wanted = min(size, self._size - offset)
        if wanted <= 0:
            return b""
        async with open_blob(self._caller, self._digest, offset=offset, size=wanted) as chunks:
            data = b"".join([chunk async for chunk in chunks])
        if len(data) != wanted:
            raise DataLossError(
                f"blob {self._digest} is damaged: {wanted} bytes asked for at {offset}, {len(data)} came",
                method=_READ,
                subject=about_blob(self._digest),
            )
        return data


@asynccontextmanager
async def open_blob(
    caller: Caller, digest: str, *, offset: int = 0, size: int = 0, verify: bool = False
) -> AsyncGenerator[BlobChunks, None]:
    """Read a blob, or a range of it (``size`` 0: to the end)."""
    _check_range(offset, size)
    if verify and (offset or size):
        raise InvalidArgumentError("only a whole blob can be verified, not a range of it")
    request = api.ReadContentRequest(digest=check_digest(digest), offset=offset, size=size)
    async with caller.server_stream(
        _READ, request, api.ReadContentResponse, about=about_blob(digest)
    ) as incoming:
        yield BlobChunks(incoming, digest, verify=verify)


async def read_whole(caller: Caller, digest: str, *, max_size: int) -> bytes:
    """Return a verified blob of at most ``max_size`` bytes."""
    parts: list[bytes] = []
    size = 0
    async with open_blob(caller, digest, verify=True) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_size:
                raise ResourceExhaustedError(
                    f"blob {digest} is larger than the {max_size} bytes that may be read",
                    method=_READ,
                    subject=about_blob(digest),
                )
            parts.append(chunk)
    return b"".join(parts)


def about_blob(digest: str) -> str:
    """Return the subject of errors on a blob."""
    return f"blob '{digest}'"


def _check_range(offset: int, size: int) -> None:
    if offset < 0 or size < 0:
        raise InvalidArgumentError(f"{size} bytes at offset {offset} are no range")
