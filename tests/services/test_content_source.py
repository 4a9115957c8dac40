"""Blobs written as a whole, from memory or from an iterable: all or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import anyio
import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._transport import completion
from containerd_aio.errors import (
    DataLossError,
    FailedPreconditionError,
    UnavailableError,
)
from containerd_aio.services import content_ingest
from containerd_aio.services.content import Content
from containerd_aio.services.content_writer import CHUNK_SIZE
from tests.interrupt import WAYS
from tests.services.cancelling import Cancel, until
from tests.services.content_store import COMMIT, STAT, WRITE, ContentStore, Message, digest_of
from tests.services.serving import Served, serving

BLOB = bytes(range(256)) * 3000
DIGEST = digest_of(BLOB)
ABSENT = "sha256:" + "0" * 64

Source: TypeAlias = Callable[[bytes], bytes | AsyncIterator[bytes]]


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    """The data in pieces that fit nothing."""
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


def at_once(data: bytes) -> bytes:
    """The data as they are."""
    return data


either_source = pytest.mark.parametrize(
    "source", [pytest.param(at_once, id="bytes"), pytest.param(pieces, id="iterable")]
)


@pytest.fixture
def store() -> ContentStore:
    return ContentStore()


@pytest.fixture
async def served(store: ContentStore) -> AsyncIterator[Served]:
    async with serving(store, rpc_timeout=30) as served:
        yield served


@pytest.fixture
def content(served: Served) -> Content:
    return Content(served.caller)


@either_source
async def test_write_blob_stores_bytes_and_labels(
    content: Content, store: ContentStore, source: Source
) -> None:
    assert await content.write_blob("ref", source(BLOB), labels={"key": "value"}) == DIGEST
    assert store.blobs == {DIGEST: BLOB}
    assert store.labels == {DIGEST: {"key": "value"}}
    assert store.ingests == {}


@either_source
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_write_blob_checks_the_digest_that_is_expected(
    content: Content, store: ContentStore, source: Source, algorithm: str
) -> None:
    wrong = digest_of(b"other", algorithm)
    with pytest.raises(DataLossError, match=f"{wrong} is damaged or incomplete"):
        await content.write_blob("ref", source(BLOB), expected=wrong)
    assert store.blobs == store.ingests == {}
    assert not store.writes(COMMIT)


@either_source
async def test_write_blob_tells_the_daemon_what_to_expect(
    content: Content, store: ContentStore, source: Source
) -> None:
    assert await content.write_blob("ref", source(BLOB), expected=DIGEST, size=len(BLOB)) == DIGEST
    assert store.writes(STAT)[0].expected == DIGEST
    assert store.writes(COMMIT)[0].total == len(BLOB)


@either_source
@pytest.mark.parametrize("size", [1, len(BLOB) - 1, len(BLOB) + 1])
async def test_write_blob_checks_the_size(
    content: Content, store: ContentStore, source: Source, size: int
) -> None:
    with pytest.raises(DataLossError, match=f"should have {size} bytes"):
        await content.write_blob("ref", source(BLOB), size=size)
    assert store.blobs == store.ingests == {}


async def test_an_endless_iterable_is_not_read_beyond_its_size(content: Content, store: ContentStore) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1000)

    with anyio.fail_after(60), pytest.raises(DataLossError, match="more came"):
        await content.write_blob("ref", endless(), size=10_000)
    assert store.ingests == {}


@either_source
async def test_an_empty_blob_can_be_written(content: Content, store: ContentStore, source: Source) -> None:
    assert await content.write_blob("ref", source(b"")) == digest_of(b"")
    assert store.blobs == {digest_of(b""): b""}


async def test_the_total_is_kept_for_the_commit_lest_a_stale_one_spoils_the_write(
    content: Content, store: ContentStore
) -> None:
    """A STAT with another total than the ingest began with makes containerd append to bytes it forgot."""
    await content.write_blob("ref", BLOB)
    assert [request.total for request in store.writes(STAT)] == [0]


async def test_bytes_that_exist_are_not_sent_and_get_the_labels(
    content: Content, store: ContentStore
) -> None:
    store.add(BLOB, old="1")
    assert await content.write_blob("ref", BLOB, labels={"new": "2"}) == DIGEST
    assert store.labels == {DIGEST: {"old": "1", "new": "2"}}
    assert not store.writes(WRITE)


async def test_an_iterable_is_not_read_where_the_blob_exists(content: Content, store: ContentStore) -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("read")
        yield b""

    store.add(BLOB)
    assert await content.write_blob("ref", unread(), expected=DIGEST, labels={"new": "2"}) == DIGEST
    assert store.labels == {DIGEST: {"new": "2"}}


async def test_an_iterable_whose_blob_turns_out_to_exist_is_success(
    content: Content, store: ContentStore
) -> None:
    store.add(BLOB, old="1")
    assert await content.write_blob("ref", pieces(BLOB), labels={"new": "2"}) == DIGEST
    assert store.labels == {DIGEST: {"old": "1", "new": "2"}}
    assert store.ingests == {}


@either_source
async def test_a_blob_that_comes_to_exist_meanwhile_is_success(
    content: Content, store: ContentStore, source: Source
) -> None:
    async def another_writer(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == COMMIT:
            store.add(BLOB)

    store.before = another_writer
    assert await content.write_blob("ref", source(BLOB), expected=DIGEST, labels={"a": "1"}) == DIGEST
    assert store.labels == {DIGEST: {"a": "1"}}
    # Not told again with the commit, the digest lets the daemon add the blob to the lease.
    assert store.writes(COMMIT)[0].expected == ""


@pytest.mark.parametrize("data", [pytest.param(BLOB, id="bytes"), pytest.param(None, id="iterable")])
async def test_a_blob_of_another_namespace_is_taken_over_without_sending_it(
    content: Content, store: ContentStore, data: bytes | None
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("read")
        yield b""

    store.elsewhere[DIGEST] = BLOB
    assert await content.write_blob("ref", data or unread(), expected=DIGEST) == DIGEST
    assert store.blobs == {DIGEST: BLOB}
    assert not store.writes(WRITE)


async def test_bytes_resume_an_earlier_attempt_that_had_the_same_bytes(
    content: Content, store: ContentStore
) -> None:
    store.ingests["ref"] = bytearray(BLOB[:CHUNK_SIZE])
    await content.write_blob("ref", BLOB)
    assert store.writes(WRITE)[0].offset == CHUNK_SIZE
    assert store.blobs == {DIGEST: BLOB}


@either_source
@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(b"other bytes", id="other bytes"),
        pytest.param(BLOB[:-1] + b"x", id="of the same length"),
        pytest.param(BLOB + b"x", id="longer"),
    ],
)
async def test_an_earlier_attempt_with_other_bytes_is_dropped(
    content: Content, store: ContentStore, source: Source, stale: bytes
) -> None:
    store.ingests["ref"] = bytearray(stale)
    assert await content.write_blob("ref", source(BLOB)) == DIGEST
    assert store.writes(WRITE)[0].offset == 0
    assert store.blobs == {DIGEST: BLOB}


async def test_an_earlier_attempt_is_dropped_also_where_nothing_is_to_be_written(
    content: Content, store: ContentStore
) -> None:
    store.ingests["ref"] = bytearray(b"stale")
    assert await content.write_blob("ref", b"") == digest_of(b"")


@pytest.mark.parametrize("digest", ["", "blake3:" + "0" * 64])
async def test_a_digest_that_only_the_daemon_knows_means_to_begin_again(digest: str) -> None:
    class Newer(ContentStore):
        def _answer(self, request: api.WriteContentRequest, data: bytearray) -> api.WriteContentResponse:
            answer = super()._answer(request, data)
            return api.WriteContentResponse(
                action=answer.action,
                offset=answer.offset,
                digest=digest if request.action == STAT else DIGEST,
            )

    store = Newer()
    store.ingests["ref"] = bytearray(BLOB[:1000])
    async with serving(store) as served:
        assert await Content(served.caller).write_blob("ref", BLOB) == DIGEST
    assert store.writes(WRITE)[0].offset == 0


async def test_a_daemon_that_stored_something_else_is_not_believed() -> None:
    class Broken(ContentStore):
        def _answer(self, request: api.WriteContentRequest, data: bytearray) -> api.WriteContentResponse:
            answer = super()._answer(request, data)
            return api.WriteContentResponse(action=answer.action, offset=answer.offset, digest=ABSENT)

    async with serving(Broken()) as served:
        with pytest.raises(DataLossError, match=f"stored blob {DIGEST} as {ABSENT}"):
            await Content(served.caller).write_blob("ref", pieces(BLOB))


@either_source
@pytest.mark.parametrize("action", [WRITE, COMMIT], ids=["WRITE", "COMMIT"])
async def test_a_write_blob_that_fails_leaves_no_ingest(
    content: Content, store: ContentStore, source: Source, action: api.WriteAction
) -> None:
    async def fail(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == action:
            raise GRPCError(Status.FAILED_PRECONDITION, "no space left on device")

    store.before = fail
    with pytest.raises(FailedPreconditionError, match="no space left"):
        await content.write_blob("ref", source(BLOB))
    assert store.ingests == {}


async def test_an_iterable_that_fails_leaves_no_ingest_and_its_own_exception(
    content: Content, store: ContentStore
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield BLOB
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await content.write_blob("ref", failing())
    assert store.ingests == {}


async def test_a_cleanup_that_fails_does_not_hide_what_went_wrong(
    content: Content, store: ContentStore
) -> None:
    async def fail(request: Message) -> None:
        if isinstance(request, api.AbortRequest):
            raise GRPCError(Status.INTERNAL, "disk on fire")
        if isinstance(request, api.WriteContentRequest) and request.action == WRITE:
            raise GRPCError(Status.FAILED_PRECONDITION, "no space left on device")

    store.before = fail
    with pytest.raises(FailedPreconditionError, match="no space left"):
        await content.write_blob("ref", BLOB)


async def test_a_ref_that_another_writer_has_is_not_dropped(
    content: Content, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.ingests["ref"] = bytearray(b"another writer's")
    store.locked.add("ref")
    with anyio.move_on_after(0.05):
        await content.write_blob("ref", BLOB)
    monkeypatch.setattr(content_ingest, "LOCK_PATIENCE", 0.05)
    with pytest.raises(UnavailableError):
        await content.write_blob("ref", BLOB)
    assert store.ingests == {"ref": bytearray(b"another writer's")}


@either_source
@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_write_blob_cancelled_anywhere_leaves_no_ingest(
    content: Content, store: ContentStore, source: Source, cancelled: Cancel
) -> None:
    at = 0
    while await cancelled(content.write_blob("ref", source(BLOB)), at):
        await until(lambda: not store.locked)
        assert store.ingests == {}
        store.blobs.clear()
        at += 1
    assert store.blobs == {DIGEST: BLOB}
    assert at > 2


async def test_cancelling_a_stuck_daemon_takes_no_longer_than_the_cleanup_may(
    content: Content, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", 0.05)

    async def stick(request: Message) -> None:
        await anyio.sleep_forever()

    store.before = stick
    with anyio.fail_after(60), anyio.move_on_after(0.01) as scope:
        await content.write_blob("ref", BLOB)
    assert scope.cancelled_caught


async def test_an_ingest_that_containerd_is_just_making_is_dropped_too(
    content: Content, store: ContentStore
) -> None:
    """Cancelled before the first answer, nobody knows yet whether there is an ingest, or whose."""
    asked, answering = anyio.Event(), anyio.Event()

    async def hold(request: Message) -> None:
        asked.set()
        await answering.wait()

    store.after = hold
    async with anyio.create_task_group() as group:
        group.start_soon(content.write_blob, "ref", BLOB)
        with anyio.fail_after(60):
            await asked.wait()
        assert "ref" in store.ingests
        group.cancel_scope.cancel()
        answering.set()
    assert store.ingests == {}
