"""Ingests: begun, resumed, locked, left and dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from grpclib import GRPCError, Status

from containerd_aio.errors import (
    AlreadyExistsError,
    ContainerdError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    UnknownError,
)
from containerd_aio.services import content_ingest
from containerd_aio.services.content import Content
from tests.services.cancelling import until
from tests.services.content_store import STAT, WRITE, ContentStore, Message, digest_of
from tests.services.serving import serving

BLOB = bytes(range(256)) * 3000  # two whole chunks and most of a third


@pytest.fixture
def store() -> ContentStore:
    return ContentStore()


@pytest.fixture
async def content(store: ContentStore) -> AsyncIterator[Content]:
    async with serving(store) as served:
        yield Content(served.caller)


async def test_what_is_left_uncommitted_is_all_there(content: Content, store: ContentStore) -> None:
    """Leaving the block waits for the answers: nothing that was written is lost."""
    async with content.writer("ref") as writer:
        await writer.write(BLOB)
    assert store.ingests == {"ref": bytearray(BLOB)}
    assert store.blobs == {}
    assert store.locked == set()


async def test_a_writer_that_wrote_nothing_leaves_what_is_there(
    content: Content, store: ContentStore
) -> None:
    store.ingests["ref"] = bytearray(BLOB)
    async with content.writer("ref"):
        pass
    async with content.writer("ref") as writer:
        writer.restart()
    assert store.ingests == {"ref": bytearray(BLOB)}
    assert store.locked == set()


async def test_a_writer_resumes_behind_what_is_there(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(BLOB[:1000])
    async with content.writer("ref", expected=digest_of(BLOB)) as writer:
        assert writer.offset == 1000
        assert writer.digest == digest_of(BLOB[:1000])
        await writer.write(BLOB[writer.offset :])
        await writer.commit()
    assert store.blobs == {digest_of(BLOB): BLOB}
    assert store.writes(WRITE)[0].offset == 1000


async def test_a_blob_that_exists_is_told_on_opening(content: Content, store: ContentStore) -> None:
    store.add(BLOB)
    with pytest.raises(AlreadyExistsError):
        async with content.writer("ref", expected=digest_of(BLOB)):
            pytest.fail("there is nothing to write")


@pytest.mark.parametrize(("ref", "total"), [("", 0), ("ref", -1)])
async def test_an_ingest_needs_a_ref_and_no_negative_size(
    content: Content, store: ContentStore, ref: str, total: int
) -> None:
    with pytest.raises(InvalidArgumentError):
        async with content.writer(ref, total=total):
            pytest.fail("opened")
    assert store.requests == []


async def test_a_locked_ref_is_waited_for(content: Content, store: ContentStore) -> None:
    store.locked.add("ref")

    async def unlock(request: Message) -> None:
        if len(store.requests) == 4:
            store.locked.clear()

    store.before = unlock
    async with content.writer("ref") as writer:
        await writer.commit()
    assert len(store.writes(STAT)) == 4


async def test_waiting_for_a_lock_ends(
    content: Content, store: ContentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_ingest, "LOCK_PATIENCE", 0.05)
    store.locked.add("ref")
    with pytest.raises(UnavailableError, match=r"ingest 'ref'.*locked"):
        async with content.writer("ref"):
            pytest.fail("opened")
    assert store.writes(STAT)


async def test_waiting_for_a_lock_can_be_cancelled(content: Content, store: ContentStore) -> None:
    store.locked.add("ref")
    with anyio.move_on_after(0.05) as scope:
        async with content.writer("ref"):
            pytest.fail("opened")
    assert scope.cancelled_caught
    assert store.ingests == {}


async def test_the_waits_for_a_lock_grow(content: Content, store: ContentStore) -> None:
    """A STAT on a locked ref is dear to containerd: some five of them in the first half second."""
    store.locked.add("ref")
    asked: list[float] = []

    async def note(request: Message) -> None:
        asked.append(anyio.current_time())
        if len(asked) == 5:
            scope.cancel()

    store.before = note
    with anyio.CancelScope() as scope:
        async with content.writer("ref"):
            pytest.fail("opened")
    assert asked[-1] - asked[0] > 0.1
    assert len(store.writes(STAT)) == 5


async def test_an_exception_in_the_block_keeps_the_ingest_and_frees_the_lock(
    content: Content, store: ContentStore
) -> None:
    async def fail() -> None:
        async with content.writer("ref") as writer:
            await writer.write(b"hello")
            await writer.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await until(lambda: not store.locked)
    assert store.ingests == {"ref": bytearray(b"hello")}


async def test_abort_drops_an_ingest(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(b"x")
    await content.abort("ref")
    assert store.ingests == {}
    with pytest.raises(NotFoundError) as caught:
        await content.abort("ref")
    assert caught.value.subject == "ingest 'ref'"
    assert isinstance(caught.value, ContainerdError)


async def test_an_abort_that_meets_a_writer_just_ending_is_made_again(
    content: Content, store: ContentStore
) -> None:
    """containerd empties the ingest's directory while the writer's end puts a last file there."""

    async def refuse(request: Message) -> None:
        if len(store.requests) <= 2:
            raise GRPCError(Status.UNKNOWN, "unlinkat /x/ingest/y: directory not empty")

    store.before = refuse
    store.ingests["ref"] = bytearray(b"x")
    await content.abort("ref")
    assert store.ingests == {}
    assert len(store.requests) == 3


async def test_an_abort_that_keeps_failing_is_an_error(content: Content, store: ContentStore) -> None:
    async def refuse(request: Message) -> None:
        raise GRPCError(Status.UNKNOWN, "disk on fire")

    store.before = refuse
    with pytest.raises(UnknownError, match="disk on fire"):
        await content.abort("ref")
