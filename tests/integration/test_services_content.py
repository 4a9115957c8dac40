"""The content store of a real containerd."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.services.content import Content
from containerd_aio.types import LeaseResource
from containerd_aio.types.digest import Digester

pytestmark = pytest.mark.integration

MIB = 1 << 20


def digest_of(data: bytes) -> str:
    digester = Digester()
    digester.update(data)
    return digester.digest


@pytest.fixture
async def content(services: Services) -> AsyncIterator[Content]:
    """The content service; what a test leaves unreferenced is collected behind it."""
    yield services.content
    await collect(services)


async def collect(services: Services) -> None:
    """Have containerd remove all that nothing refers to, and wait for it."""
    lease = await services.leases.create()
    await services.leases.delete(lease.id, sync=True)


def overwrite(root: Path, digest: str, data: bytes) -> None:
    """Damage a blob behind the daemon's back."""
    (path,) = root.rglob(digest.removeprefix("sha256:"))
    path.chmod(0o600)
    path.write_bytes(data)


@pytest.fixture
def blob() -> bytes:
    """Three chunks and a bit, of random bytes: no other test has them."""
    return os.urandom(MIB)[: 3 * MIB // 4 + 1000]


async def test_64_mib_written_in_pieces_interrupted_and_resumed(services: Services, content: Content) -> None:
    blob = os.urandom(MIB) * 64
    expected = digest_of(blob)
    async with services.leases.hold():
        with anyio.CancelScope() as scope:
            async with content.writer("large", total=len(blob), expected=expected) as writer:
                for start in range(0, 40 * MIB, 700_000):
                    await writer.write(blob[start : start + 700_000])
                scope.cancel()
                await writer.write(blob[writer.offset :])
        assert scope.cancelled_caught
        async with content.writer("large", total=len(blob), expected=expected) as writer:
            resumed_at = writer.offset
            assert 38 * MIB < resumed_at < 42 * MIB
            assert writer.digest == digest_of(blob[:resumed_at])
            await writer.write(blob[resumed_at : 50 * MIB])
        status = await content.status("large")
        assert (status.offset, status.total) == (50 * MIB, len(blob))
        assert status.started_at_ns is not None
        assert status.updated_at_ns is not None
        assert status.updated_at_ns >= status.started_at_ns
        assert [found.ref for found in await content.statuses()] == ["large"]
        async with content.writer("large", total=len(blob), expected=expected) as writer:
            assert writer.offset == 50 * MIB
            await writer.write(blob[50 * MIB :])
            assert await writer.commit() == expected
        assert await content.statuses() == []
        assert (await content.info(expected)).size == len(blob)
        assert await content.read_all(expected, max_size=len(blob)) == blob


async def test_ranges_are_slices(services: Services, content: Content) -> None:
    blob = os.urandom(3 * MIB + 123)
    async with services.leases.hold():
        digest = await content.write_blob("ranges", blob)
        reader = await content.reader(digest)
        assert reader.size == len(blob)
        for offset, size in [
            (0, 1),
            (0, len(blob)),
            (MIB - 1, 2),
            (5, 2 * MIB),
            (len(blob) - 1, 10),
            (len(blob), 1),
        ]:
            assert await reader.read_at(offset, size) == blob[offset : offset + size]
        async with content.read(digest, offset=MIB) as chunks:
            assert b"".join([chunk async for chunk in chunks]) == blob[MIB:]
        async with content.read(digest, offset=10, size=20) as chunks:
            assert [chunk async for chunk in chunks] == [blob[10:30]]
        with pytest.raises(OutOfRangeError):
            async with content.read(digest, offset=len(blob) + 1) as chunks:
                await anext(chunks)


async def test_a_read_left_early_leaves_the_connection_free(services: Services, content: Content) -> None:
    """More than a stream's window was on its way: other calls go on, and so does a second read."""
    blob = os.urandom(MIB) * 16
    async with services.leases.hold():
        digest = await content.write_blob("left early", blob)
        for _ in range(20):
            async with content.read(digest) as chunks:
                assert blob.startswith(await anext(chunks))
        with anyio.fail_after(60):
            assert await content.read_all(digest) == blob


async def test_labels_are_set_kept_and_removed(services: Services, content: Content, blob: bytes) -> None:
    async with services.leases.hold():
        digest = await content.write_blob("labels", blob, labels={"a": "1", "b": "2"})
        before = await content.info(digest)
        assert before.labels == {"a": "1", "b": "2"}
        after = await content.set_labels(digest, {"b": "", "example.com/c.d": "3"})
        assert after.labels == {"a": "1", "example.com/c.d": "3"}
        assert after.size == len(blob)
        assert after.created_at_ns == before.created_at_ns
        assert (after.updated_at_ns or 0) > (before.updated_at_ns or 0)
        assert await content.set_labels(digest, {}) == after
        assert [info.digest for info in await content.list('labels."example.com/c.d"==3')] == [digest]
        assert await content.list("labels.b") == []
        assert (await content.update(after, "labels")).labels == after.labels
        with pytest.raises(InvalidArgumentError):
            await content.update(after, "size")
        with pytest.raises(InvalidArgumentError):
            await content.set_labels(digest, {"key": "x" * 5000})


async def test_more_blobs_than_fit_a_block_are_all_listed(services: Services, content: Content) -> None:
    async with services.leases.hold():
        digests = {await content.write_blob(f"many-{n}", f"blob {n}".encode()) for n in range(120)}
        assert {info.digest for info in await content.list()} == digests
        with pytest.raises(InvalidArgumentError):
            await content.list("==")


async def test_a_lease_keeps_a_blob_and_its_end_gives_it_up(
    services: Services, content: Content, blob: bytes
) -> None:
    async with services.leases.hold():
        digest = await content.write_blob("leased", blob)
        await collect(services)
        assert (await content.info(digest)).size == len(blob)
    await collect(services)
    with pytest.raises(NotFoundError):
        await content.info(digest)


async def test_without_a_lease_a_blob_is_gone_with_the_next_collection(
    services: Services, content: Content, blob: bytes
) -> None:
    digest = await content.write_blob("unleased", blob)
    await collect(services)
    with pytest.raises(NotFoundError):
        await content.info(digest)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_a_lease_holds_a_blob_that_was_there_already(
    services: Services, content: Content, blob: bytes, in_memory: bool
) -> None:
    """The second lease is held by whoever wrote the blob again, as bytes or as an iterable."""

    async def once() -> AsyncIterator[bytes]:
        yield blob

    first = await services.leases.create(id="first")
    digest = await content.write_blob("once", blob)
    await services.leases.add_resource(first.id, LeaseResource("content", digest))
    async with services.leases.hold():
        assert await content.write_blob("again", blob if in_memory else once()) == digest
        await services.leases.delete(first.id, sync=True)
        assert (await content.info(digest)).digest == digest
    await collect(services)
    with pytest.raises(NotFoundError):
        await content.info(digest)


async def test_a_second_writer_waits_for_the_ref_and_finds_the_blob(
    services: Services, content: Content, blob: bytes
) -> None:
    expected = digest_of(blob)
    found: list[str] = []

    async def second() -> None:
        found.append(await content.write_blob("shared ref", blob, labels={"by": "second"}))

    async with services.leases.hold():
        async with (
            anyio.create_task_group() as group,
            content.writer("shared ref", expected=expected, labels={"by": "first"}) as writer,
        ):
            group.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            await writer.write(blob)
            await writer.commit()
        assert found == [expected]
        assert (await content.info(expected)).labels == {"by": "second"}


async def test_a_blob_that_exists_is_told_when_opening_a_writer(
    services: Services, content: Content, blob: bytes
) -> None:
    async with services.leases.hold():
        digest = await content.write_blob("first", blob)
        with pytest.raises(AlreadyExistsError):
            async with content.writer("second", expected=digest):
                pytest.fail("opened")
        assert await content.statuses() == []


async def test_a_wrong_digest_is_refused_and_the_ingest_can_be_used_again(
    services: Services, content: Content, blob: bytes
) -> None:
    async def commit_as(expected: str) -> None:
        async with content.writer("wrong") as writer:
            await writer.write(blob)
            await writer.commit(expected=expected)

    async with services.leases.hold():
        with pytest.raises(FailedPreconditionError):
            await commit_as("sha256:" + "0" * 64)
        assert (await content.status("wrong")).offset == len(blob)
        async with content.writer("wrong") as writer:
            writer.restart()
            await writer.write(b"right")
            assert await writer.commit() == digest_of(b"right")


@pytest.mark.parametrize(
    "left", [pytest.param(b"a beginning", id="without a size"), pytest.param(b"x" * 500_000, id="longer")]
)
async def test_what_an_attempt_with_another_size_left_does_not_spoil_the_next(
    services: Services, content: Content, left: bytes
) -> None:
    async with services.leases.hold():
        async with content.writer("reused", total=1_000_000) as writer:
            await writer.write(left)
        assert await content.write_blob("reused", b"other", size=5) == digest_of(b"other")


async def test_bytes_resume_what_a_writer_left(services: Services, content: Content, blob: bytes) -> None:
    async with services.leases.hold():
        async with content.writer("resumed") as writer:
            await writer.write(blob[:300_000])
        assert await content.write_blob("resumed", blob) == digest_of(blob)


async def test_an_empty_blob_is_a_blob(services: Services, content: Content) -> None:
    async with services.leases.hold():
        digest = await content.write_blob("empty", b"")
        assert digest == digest_of(b"")
        assert (await content.info(digest)).size == 0
        assert await content.read_all(digest) == b""


async def test_a_blob_of_another_namespace_is_taken_over(
    services: Services, content: Content, blob: bytes
) -> None:
    """containerd shares contents between namespaces unless told otherwise: nothing has to be sent."""

    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("read")
        yield b""

    other = Services.of(services.caller.connection.caller(services.caller.namespace + "-b"))
    try:
        async with other.leases.hold(), services.leases.hold():
            digest = await other.content.write_blob("there", blob)
            with pytest.raises(NotFoundError):
                await content.info(digest)
            assert await content.write_blob("here", unread(), expected=digest, labels={"a": "1"}) == digest
            assert (await content.info(digest)).labels == {"a": "1"}
            assert await content.read_all(digest) == blob
    finally:
        await collect(other)
        await other.namespaces.delete(other.caller.namespace)


async def test_a_cancelled_write_blob_leaves_no_ingest(services: Services, content: Content) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        writing.set()
        await anyio.sleep_forever()

    writing = anyio.Event()
    async with services.leases.hold():
        async with anyio.create_task_group() as group:
            group.start_soon(content.write_blob, "cancelled", stuck())
            await writing.wait()
            assert [status.ref for status in await content.statuses()] == ["cancelled"]
            group.cancel_scope.cancel()
        assert await content.statuses() == []
        assert await content.write_blob("cancelled", b"again") == digest_of(b"again")


async def test_abort_and_delete_are_told_when_there_is_nothing(
    services: Services, content: Content, blob: bytes
) -> None:
    async with content.writer("aborted") as writer:
        await writer.write(blob)
    await content.abort("aborted")
    with pytest.raises(NotFoundError):
        await content.abort("aborted")
    with pytest.raises(NotFoundError):
        await content.status("aborted")
    async with services.leases.hold():  # else a collection might come in between
        digest = await content.write_blob("deleted", blob)
        await content.delete(digest)
        with pytest.raises(NotFoundError):
            await content.delete(digest)


@pytest.mark.parametrize("damage", ["changed", "cut off"])
async def test_a_blob_damaged_on_the_disk_is_told(
    services: Services, content: Content, daemon: PrivateDaemon, blob: bytes, damage: str
) -> None:
    async with services.leases.hold():
        digest = await content.write_blob("damaged", blob)
        reader = await content.reader(digest)
        overwrite(daemon.root, digest, blob[:-1] if damage == "cut off" else b"x" + blob[1:])
        with pytest.raises(DataLossError, match=digest):
            await content.read_all(digest)
        if damage == "cut off":
            with pytest.raises(DataLossError, match="damaged"):
                await reader.read_at(0, len(blob))


async def test_an_ingest_outlives_a_killed_daemon(daemon_of_its_own: PrivateDaemon, blob: bytes) -> None:
    connection = Connection(Address.parse(daemon_of_its_own.address))
    services = Services.of(connection.caller(daemon_of_its_own.namespace))
    try:
        async with services.leases.hold():
            async with services.content.writer("outlives") as writer:
                await writer.write(blob[:500_000])
            daemon_of_its_own.kill()
            await daemon_of_its_own.start()
            async with services.content.writer("outlives") as writer:
                assert writer.offset == 500_000
                await writer.write(blob[writer.offset :])
                assert await writer.commit() == digest_of(blob)
    finally:
        await connection.aclose()
