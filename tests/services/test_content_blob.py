"""Reading blobs: whole, verified, in ranges, and not to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from grpclib import GRPCError, Status
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio.errors import (
    DataLossError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    ResourceExhaustedError,
    UnknownError,
)
from containerd_aio.services.content import Content
from tests.interrupt import WAYS
from tests.services.cancelling import Cancel, until
from tests.services.content_store import ContentStore, Message, digest_of
from tests.services.serving import serving

BLOB = bytes(range(256)) * 20
DIGEST = digest_of(BLOB)
SHA512 = digest_of(BLOB, "sha512")


@pytest.fixture
def store() -> ContentStore:
    store = ContentStore()
    store.add(BLOB)
    store.chunk_size = 1000
    return store


@pytest.fixture
async def content(store: ContentStore) -> AsyncIterator[Content]:
    async with serving(store) as served:
        yield Content(served.caller)


async def whole(
    content: Content, digest: str, *, offset: int = 0, size: int = 0, verify: bool = False
) -> bytes:
    """What a stream of pieces gives."""
    async with content.read(digest, offset=offset, size=size, verify=verify) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_a_blob_comes_in_pieces(content: Content, store: ContentStore) -> None:
    async with content.read(DIGEST) as chunks:
        assert [len(chunk) async for chunk in chunks] == [1000] * 5 + [120]
    assert store.requests == [api.ReadContentRequest(digest=DIGEST)]


async def test_a_range_is_asked_for_as_such(content: Content, store: ContentStore) -> None:
    assert await whole(content, DIGEST, offset=300, size=2000) == BLOB[300:2300]
    assert store.requests == [api.ReadContentRequest(digest=DIGEST, offset=300, size=2000)]
    assert await whole(content, DIGEST, offset=300) == BLOB[300:]


async def test_read_all_returns_a_verified_blob(content: Content, store: ContentStore) -> None:
    assert await content.read_all(DIGEST) == BLOB
    store.blobs[SHA512] = BLOB
    assert await content.read_all(SHA512) == BLOB


async def test_an_empty_blob_is_no_range_and_no_damage(content: Content, store: ContentStore) -> None:
    empty = store.add(b"")
    assert await content.read_all(empty) == b""
    assert await (await content.reader(empty)).read_at(0, 10) == b""


@pytest.mark.parametrize("digest", [DIGEST, SHA512])
@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(BLOB[:-1], id="cut off"),
        pytest.param(b"", id="empty"),
        pytest.param(BLOB + b"x", id="longer"),
        pytest.param(b"x" + BLOB[1:], id="changed"),
    ],
)
async def test_a_damaged_blob_is_told_by_its_digest(
    content: Content, store: ContentStore, digest: str, damaged: bytes
) -> None:
    store.blobs[digest] = damaged
    with pytest.raises(DataLossError, match=digest) as caught:
        await content.read_all(digest)
    assert caught.value.subject == f"blob '{digest}'"
    with pytest.raises(DataLossError, match=digest):
        await whole(content, digest, verify=True)
    assert await whole(content, digest) == damaged


async def test_a_blob_larger_than_allowed_is_not_read_to_its_end(
    content: Content, store: ContentStore
) -> None:
    """One piece too many is seen; the rest of an endless blob is not waited for."""

    async def hold(request: Message) -> None:
        if isinstance(request, api.ReadContentResponse) and request.offset == 4000:
            await anyio.sleep_forever()

    store.after = hold
    with anyio.fail_after(60), pytest.raises(ResourceExhaustedError, match="larger than the 4999 bytes"):
        await content.read_all(DIGEST, max_size=4999)


async def test_a_blob_of_the_allowed_size_is_read(content: Content) -> None:
    assert await content.read_all(DIGEST, max_size=len(BLOB)) == BLOB


@pytest.mark.parametrize(("offset", "size"), [(-1, 0), (0, -1)])
async def test_a_negative_range_is_refused_before_any_call(
    content: Content, store: ContentStore, offset: int, size: int
) -> None:
    with pytest.raises(InvalidArgumentError):
        await whole(content, DIGEST, offset=offset, size=size)
    assert store.requests == []
    reader = await content.reader(DIGEST)
    with pytest.raises(InvalidArgumentError):
        await reader.read_at(offset, size)


async def test_only_whole_blobs_can_be_verified(content: Content, store: ContentStore) -> None:
    with pytest.raises(InvalidArgumentError, match="whole"):
        await whole(content, DIGEST, size=10, verify=True)
    assert store.requests == []


async def test_what_is_no_digest_is_refused_before_any_call(content: Content, store: ContentStore) -> None:
    for call in (content.read_all("latest"), whole(content, "latest"), content.reader("latest")):
        with pytest.raises(InvalidArgumentError, match="'latest' is not a digest"):
            await call
    assert store.requests == []


async def test_a_blob_that_is_not_there_is_named(content: Content) -> None:
    absent = digest_of(b"absent")
    for call in (content.read_all(absent), whole(content, absent), content.reader(absent)):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert caught.value.subject == f"blob '{absent}'"


async def test_an_offset_behind_the_end_is_an_error(content: Content) -> None:
    with pytest.raises(OutOfRangeError):
        await whole(content, DIGEST, offset=len(BLOB) + 1)


async def test_a_read_that_fails_half_way_is_an_error_not_an_end(
    content: Content, store: ContentStore
) -> None:
    async def fail(request: Message) -> None:
        raise GRPCError(Status.UNKNOWN, "input/output error")

    store.after = fail
    for call in (content.read_all(DIGEST), whole(content, DIGEST)):
        with pytest.raises(UnknownError, match="input/output error"):
            await call


async def test_a_reader_knows_the_size_and_reads_anywhere(content: Content, store: ContentStore) -> None:
    reader = await content.reader(DIGEST)
    assert (reader.digest, reader.size) == (DIGEST, len(BLOB))
    assert await reader.read_at(0, 1) == BLOB[:1]
    assert await reader.read_at(1500, 2000) == BLOB[1500:3500]
    assert await reader.read_at(len(BLOB) - 1, 5) == BLOB[-1:]


async def test_a_reader_asks_nothing_where_there_is_nothing(content: Content, store: ContentStore) -> None:
    """A size of 0 would ask for all that follows."""
    reader = await content.reader(DIGEST)
    store.requests.clear()
    assert await reader.read_at(5, 0) == b""
    assert await reader.read_at(len(BLOB), 10) == b""
    assert await reader.read_at(len(BLOB) + 5, 10) == b""
    assert store.requests == []


@given(offset=st.integers(0, 6000), size=st.integers(0, 6000))
async def test_a_range_is_what_a_slice_is(offset: int, size: int) -> None:
    store = ContentStore()
    store.add(BLOB)
    async with serving(store) as served:
        reader = await Content(served.caller).reader(DIGEST)
        assert await reader.read_at(offset, size) == BLOB[offset : offset + size]


async def test_a_range_that_comes_short_is_damage(content: Content, store: ContentStore) -> None:
    reader = await content.reader(DIGEST)
    store.blobs[DIGEST] = BLOB[:1500]
    with pytest.raises(DataLossError, match=r"2000 bytes asked for at 1000, 500 came") as caught:
        await reader.read_at(1000, 2000)
    assert caught.value.subject == f"blob '{DIGEST}'"


async def test_leaving_early_ends_the_transfer(content: Content, store: ContentStore) -> None:
    async def hold(request: Message) -> None:
        await anyio.sleep_forever()

    store.after = hold
    async with content.read(DIGEST) as chunks:
        assert len(await anext(chunks)) == 1000
        assert store.transfers == 1
    await until(lambda: store.transfers == 0)


@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_read_cancelled_anywhere_ends_the_transfer(
    content: Content, store: ContentStore, cancelled: Cancel
) -> None:
    at = 0
    while await cancelled(content.read_all(DIGEST), at):
        await until(lambda: store.transfers == 0)
        at += 1
    assert at > 2
