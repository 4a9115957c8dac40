"""The Content service: records and labels of blobs, and ingests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import betterproto
import pytest

from containerd_aio._api.containerd.services.content import v1 as api
from containerd_aio._api.google.protobuf import FieldMask
from containerd_aio.errors import (
    InvalidArgumentError,
    NotFoundError,
)
from containerd_aio.services.content import Content
from containerd_aio.types import ContentInfo, IngestStatus
from tests.services.content_store import ContentStore, digest_of
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


async def test_info_returns_size_and_labels(content: Content, store: ContentStore) -> None:
    digest = store.add(BLOB, key="value")
    assert await content.info(digest) == ContentInfo(digest, len(BLOB), {"key": "value"})
    assert store.requests == [api.InfoRequest(digest=digest)]


async def test_list_joins_the_blocks_of_the_stream(content: Content, store: ContentStore) -> None:
    digests = [store.add(data) for data in (b"1", b"2", b"3")]
    assert [info.digest for info in await content.list("size==1", "labels.a==b")] == digests
    assert store.requests == [api.ListContentRequest(filters=["size==1", "labels.a==b"])]


async def test_update_sends_only_what_can_change(content: Content, store: ContentStore) -> None:
    digest = store.add(BLOB, old="1", other="2")
    info = ContentInfo(digest, 99, {"old": "", "new": "3"}, created_at_ns=5, updated_at_ns=6)
    stored = await content.update(info, "labels.old", "labels.new")
    assert stored.labels == {"other": "2", "new": "3"}
    assert (await content.update(info)).labels == {"new": "3"}
    masked, whole = store.requests
    message = api.Info(digest=digest, labels={"old": "", "new": "3"})
    assert masked == api.UpdateRequest(
        info=message, update_mask=FieldMask(paths=["labels.old", "labels.new"])
    )
    assert isinstance(whole, api.UpdateRequest)
    assert not betterproto.serialized_on_wire(whole.update_mask)


async def test_set_labels_leaves_the_others(content: Content, store: ContentStore) -> None:
    digest = store.add(BLOB, a="1", b="2", c="3")
    stored = await content.set_labels(digest, {"a": "", "b": "4", "containerd.io/x.y": "5"})
    assert stored.labels == {"b": "4", "c": "3", "containerd.io/x.y": "5"}
    (request,) = store.requests
    assert isinstance(request, api.UpdateRequest)
    assert request.update_mask.paths == ["labels.a", "labels.b", "labels.containerd.io/x.y"]


async def test_setting_no_labels_removes_none(content: Content, store: ContentStore) -> None:
    """An update without a field would replace them all."""
    digest = store.add(BLOB, a="1")
    assert (await content.set_labels(digest, {})).labels == {"a": "1"}
    assert not any(isinstance(request, api.UpdateRequest) for request in store.requests)


async def test_delete_removes_a_blob(content: Content, store: ContentStore) -> None:
    digest = store.add(BLOB)
    await content.delete(digest)
    assert store.blobs == {}


async def test_a_blob_that_is_not_there_is_named(content: Content) -> None:
    for call in (
        content.info(ABSENT),
        content.delete(ABSENT),
        content.set_labels(ABSENT, {"a": "1"}),
        content.update(ContentInfo(ABSENT, 0)),
    ):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert caught.value.subject == f"blob '{ABSENT}'"


@pytest.mark.parametrize("digest", ["", "latest", "sha256:" + "A" * 64])
async def test_what_is_no_digest_is_refused_before_any_call(
    content: Content, store: ContentStore, digest: str
) -> None:
    for call in (
        content.info(digest),
        content.delete(digest),
        content.set_labels(digest, {"a": "1"}),
        content.set_labels(digest, {}),
        content.update(ContentInfo(digest, 0)),
        content.write_blob("ref", b"", expected=digest),
        content.write_blob("ref", pieces(b""), expected=digest),
    ):
        with pytest.raises(InvalidArgumentError, match="is not a digest"):
            await call
    assert store.requests == []


async def test_statuses_tell_how_far_ingests_are(content: Content, store: ContentStore) -> None:
    store.ingests["ref"] = bytearray(b"12345")
    status = IngestStatus("ref", 5, 9, None)
    assert await content.status("ref") == status
    assert await content.statuses("ref==ref") == [status]
    assert store.requests == [api.StatusRequest(ref="ref"), api.ListStatusesRequest(filters=["ref==ref"])]
    with pytest.raises(NotFoundError) as caught:
        await content.status("other")
    assert caught.value.subject == "ingest 'other'"


async def test_quick_calls_have_the_deadline_and_others_have_none(
    content: Content, store: ContentStore, served: Served
) -> None:
    store.ingests["ref"] = bytearray()
    digest = await content.write_blob("other", b"x", labels={"a": "1"})
    await content.info(digest)
    await content.set_labels(digest, {"a": "2"})
    await content.status("ref")
    await content.statuses()
    await content.read_all(digest)
    await content.delete(digest)
    for method in ("/Info", "/Update", "/Status", "/ListStatuses"):
        assert served.deadlines(method) == [True]
    for method in ("/Write", "/Read", "/Delete"):
        assert served.deadlines(method) == [False]
