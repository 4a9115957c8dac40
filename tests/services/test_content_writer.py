"""Writing to an ingest: offsets, chunks in flight, the commit, and what a cut-off write leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from grpclib import GRPCError, Status
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    OutOfRangeError,
)
from containerd_aio.services.content import Content
from containerd_aio.services.content_writer import CHUNK_SIZE, IN_FLIGHT
from tests.interrupt import WAYS
from tests.services.cancelling import Cancel, until
from tests.services.content_store import COMMIT, STAT, WRITE, ContentStore, Message, digest_of
from tests.services.serving import serving

BLOB = bytes(range(256)) * 3000  # two whole chunks and most of a third
ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def store() -> ContentStore:
    return ContentStore()


@pytest.fixture
async def content(store: ContentStore) -> AsyncIterator[Content]:
    async with serving(store) as served:
        yield Content(served.caller)


async def written(content: Content, data: bytes, *, size: int = 0, expected: str | None = None) -> str:
    """Write a blob the plain way."""
    async with content.writer("ref") as writer:
        await writer.write(data)
        return await writer.commit(size=size, expected=expected)


async def test_a_write_asks_sends_chunks_and_commits(content: Content, store: ContentStore) -> None:
    async with content.writer("ref", total=len(BLOB), expected=digest_of(BLOB), labels={"a": "1"}) as writer:
        assert (writer.ref, writer.offset, writer.digest) == ("ref", 0, digest_of(b""))
        await writer.write(BLOB)
        assert writer.offset == len(BLOB)
        assert await writer.commit(labels={"b": "2"}) == digest_of(BLOB)
    assert store.blobs == {digest_of(BLOB): BLOB}
    assert store.labels == {digest_of(BLOB): {"a": "1", "b": "2"}}
    assert store.requests == [
        api.WriteContentRequest(action=STAT, ref="ref", total=len(BLOB), expected=digest_of(BLOB)),
        api.WriteContentRequest(action=WRITE, offset=0, data=BLOB[:CHUNK_SIZE]),
        api.WriteContentRequest(action=WRITE, offset=CHUNK_SIZE, data=BLOB[CHUNK_SIZE : 2 * CHUNK_SIZE]),
        api.WriteContentRequest(action=WRITE, offset=2 * CHUNK_SIZE, data=BLOB[2 * CHUNK_SIZE :]),
        api.WriteContentRequest(action=COMMIT, offset=len(BLOB), labels={"a": "1", "b": "2"}),
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_any_kind_of_bytes_can_be_written(
    content: Content, store: ContentStore, kind: type[bytes] | type[bytearray] | type[memoryview]
) -> None:
    async with content.writer("ref") as writer:
        await writer.write(kind(BLOB))
        await writer.commit()
    assert list(store.blobs.values()) == [BLOB]


async def test_a_buffer_may_be_used_again_once_write_has_returned(
    content: Content, store: ContentStore
) -> None:
    buffer = bytearray(b"first ")
    async with content.writer("ref") as writer:
        await writer.write(buffer)
        buffer[:] = b"second"
        await writer.write(buffer)
        await writer.commit()
    assert list(store.blobs.values()) == [b"first second"]


async def test_small_pieces_are_sent_together(content: Content, store: ContentStore) -> None:
    async with content.writer("ref") as writer:
        for start in range(0, len(BLOB), 1000):
            await writer.write(BLOB[start : start + 1000])
        await writer.commit()
    assert list(store.blobs.values()) == [BLOB]
    assert [len(request.data) for request in store.writes(WRITE)] == [CHUNK_SIZE, CHUNK_SIZE, 243712]


@given(sizes=st.lists(st.integers(0, 3 * CHUNK_SIZE), max_size=5))
async def test_pieces_of_any_size_add_up(sizes: list[int]) -> None:
    store = ContentStore()
    async with serving(store) as served, Content(served.caller).writer("ref") as writer:
        whole = b""
        for number, size in enumerate(sizes):
            piece = bytes([number]) * size
            whole += piece
            await writer.write(piece)
            assert writer.offset == len(whole)
        assert await writer.commit(size=len(whole)) == digest_of(whole)
    assert all(0 < len(request.data) <= CHUNK_SIZE for request in store.writes(WRITE))


async def test_an_empty_blob_can_be_written(content: Content, store: ContentStore) -> None:
    async with content.writer("ref") as writer:
        await writer.write(b"")
        assert await writer.commit(expected=digest_of(b"")) == digest_of(b"")
    assert store.blobs == {digest_of(b""): b""}
    assert not store.writes(WRITE)


async def test_a_few_chunks_are_sent_ahead_of_their_answers_and_no_more(
    content: Content, store: ContentStore
) -> None:
    """The store answers nothing; the writer stops after IN_FLIGHT chunks, and goes on with the answers."""
    answering = anyio.Event()

    async def hold(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == WRITE:
            await answering.wait()

    store.before = hold
    finished = anyio.Event()

    async def write() -> None:
        async with content.writer("ref") as writer:
            await writer.write(bytes(CHUNK_SIZE) * IN_FLIGHT)
            sent.set()
            await writer.write(bytes(CHUNK_SIZE))
            finished.set()

    sent = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(write)
        with anyio.fail_after(60):
            await sent.wait()
        await anyio.wait_all_tasks_blocked()
        assert not finished.is_set()
        answering.set()
        with anyio.fail_after(60):
            await finished.wait()
    assert len(store.ingests["ref"]) == CHUNK_SIZE * (IN_FLIGHT + 1)


async def test_a_commit_tells_the_offset_lest_it_truncates(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(BLOB)
    async with content.writer("ref") as writer:
        await writer.commit()
    assert store.writes(COMMIT)[0].offset == len(BLOB)
    assert store.blobs == {digest_of(BLOB): BLOB}


async def test_restart_drops_what_is_there(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(b"of another blob")
    async with content.writer("ref") as writer:
        writer.restart()
        assert writer.offset == 0
        await writer.write(b"new")
        assert await writer.commit() == digest_of(b"new")


async def test_restart_and_commit_make_an_empty_blob(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(b"of another blob")
    async with content.writer("ref") as writer:
        writer.restart()
        assert await writer.commit() == digest_of(b"")


async def test_restart_comes_before_the_first_write(content: Content) -> None:
    async with content.writer("ref") as writer:
        await writer.write(b"x")
        with pytest.raises(FailedPreconditionError, match="was written to"):
            writer.restart()


async def test_flush_waits_for_the_digest_of_all(content: Content, store: ContentStore) -> None:
    async with content.writer("ref") as writer:
        await writer.write(BLOB)
        await writer.flush()
        assert writer.digest == digest_of(BLOB)
        assert store.ingests["ref"] == BLOB


async def test_the_digest_is_sent_once_so_that_a_lease_gets_the_blob(
    content: Content, store: ContentStore
) -> None:
    """A daemon that is told it again on COMMIT, and has the blob by then, forgets the lease."""
    expected = digest_of(b"x")
    async with content.writer("ref", expected=expected) as writer:
        await writer.write(b"x")
        await writer.commit(expected=expected)
    assert [request.expected for request in store.writes()] == [expected, "", ""]


async def test_a_digest_known_only_at_the_end_goes_with_the_commit(
    content: Content, store: ContentStore
) -> None:
    async with content.writer("ref") as writer:
        await writer.write(b"x")
        await writer.commit(size=1, expected=digest_of(b"x"))
    assert store.writes(COMMIT)[0].expected == digest_of(b"x")
    assert store.writes(COMMIT)[0].total == 1


@pytest.mark.parametrize(
    ("size", "expected"), [pytest.param(2, None, id="size"), pytest.param(0, ABSENT, id="digest")]
)
async def test_a_commit_that_does_not_fit_leaves_the_ingest(
    content: Content, store: ContentStore, size: int, expected: str | None
) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        await written(content, b"x", size=size, expected=expected)
    assert caught.value.subject == "ingest 'ref'"
    assert store.ingests == {"ref": bytearray(b"x")}


async def test_a_blob_that_came_to_exist_is_told_on_commit(content: Content, store: ContentStore) -> None:
    async with content.writer("ref") as writer:
        await writer.write(BLOB)
        store.add(BLOB)
        with pytest.raises(AlreadyExistsError):
            await writer.commit()


async def test_after_the_commit_nothing_more_can_be_written(content: Content) -> None:
    async with content.writer("ref") as writer:
        await writer.commit()
        for call in (writer.write(b"x"), writer.commit(), writer.flush()):
            with pytest.raises(FailedPreconditionError, match="is committed"):
                await call


async def test_one_task_at_a_time_may_write(content: Content, store: ContentStore) -> None:
    answering = anyio.Event()

    async def hold(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == COMMIT:
            await answering.wait()

    store.before = hold
    async with content.writer("ref") as writer, anyio.create_task_group() as group:
        group.start_soon(writer.commit)
        await until(lambda: bool(store.writes(COMMIT)))
        with pytest.raises(FailedPreconditionError, match="has a call under way"):
            await writer.write(b"x")
        answering.set()


async def test_a_writer_that_was_cut_off_is_of_no_more_use_and_a_new_one_resumes(
    content: Content, store: ContentStore
) -> None:
    scope = anyio.CancelScope()

    async def hold(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == WRITE:
            scope.cancel()
            await anyio.sleep_forever()

    async with content.writer("ref") as writer:
        await writer.write(b"there")
        await writer.flush()
        store.before = hold
        await writer.write(b" lost")
        with scope:
            await writer.flush()
        assert scope.cancelled_caught
        with pytest.raises(FailedPreconditionError, match="was cut off"):
            await writer.write(b"x")
    async with content.writer("ref") as again:
        assert again.offset == len(b"there")


async def test_what_is_no_digest_is_refused_before_any_call(content: Content, store: ContentStore) -> None:
    with pytest.raises(InvalidArgumentError):
        async with content.writer("ref", expected="latest"):
            pytest.fail("opened")
    assert store.requests == []
    async with content.writer("ref") as writer:
        with pytest.raises(InvalidArgumentError):
            await writer.commit(expected="sha256:")
        assert await writer.commit() == digest_of(b"")  # the writer is still good


@pytest.mark.parametrize("action", [STAT, WRITE, COMMIT], ids=["STAT", "WRITE", "COMMIT"])
async def test_an_error_of_the_daemon_comes_out_as_it_is(
    content: Content, store: ContentStore, action: api.WriteAction
) -> None:
    async def fail(request: Message) -> None:
        if isinstance(request, api.WriteContentRequest) and request.action == action:
            raise GRPCError(Status.OUT_OF_RANGE, "write @5 must occur at current offset 3")

    store.before = fail
    with pytest.raises(OutOfRangeError, match="must occur at current offset 3"):
        await written(content, BLOB)


@pytest.mark.parametrize("answers", [0, 1, 2])
@pytest.mark.parametrize("size", [1, len(BLOB), 20 * CHUNK_SIZE])
async def test_a_stream_that_the_daemon_ends_early_is_no_success(answers: int, size: int) -> None:
    class Hasty(api.ContentBase):
        async def write(
            self, request: AsyncIterator[api.WriteContentRequest], /
        ) -> AsyncIterator[api.WriteContentResponse]:
            offset = 0
            for _ in range(answers):
                message = await anext(request)
                offset += len(message.data)
                yield api.WriteContentResponse(action=message.action, offset=offset)
            await anext(request)

    async with serving(Hasty()) as served:
        with pytest.raises(InternalError, match="too early"):
            await written(Content(served.caller), bytes(size))


async def test_an_answer_with_another_offset_is_lost_data(content: Content, store: ContentStore) -> None:
    async def forget(request: Message) -> None:
        store.skew = -1 if isinstance(request, api.WriteContentRequest) and request.data else 0

    store.before = forget
    with pytest.raises(DataLossError, match="should have 5 bytes now; containerd says 4"):
        await written(content, b"hello")


@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_write_cancelled_anywhere_leaves_nothing_but_a_prefix(
    content: Content, store: ContentStore, cancelled: Cancel
) -> None:
    async def write() -> None:
        async with content.writer("ref") as writer:
            await writer.write(BLOB[writer.offset :])
            await writer.commit(expected=digest_of(BLOB))

    at = 0
    while await cancelled(write(), at):
        await until(lambda: not store.locked)
        assert BLOB.startswith(bytes(store.ingests.get("ref", b"")))
        store.blobs.clear()
        at += 1
    assert store.blobs == {digest_of(BLOB): BLOB}
    assert at > 2
