"""The generated server classes, behind grpclib's own server and a channel."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.const import Cardinality
from grpclib.testing import ChannelFor

from containerd_aio._api.containerd.services.content.v1 import (
    ContentBase,
    Info,
    InfoRequest,
    InfoResponse,
    ReadContentRequest,
    ReadContentResponse,
    WriteContentRequest,
    WriteContentResponse,
)
from containerd_aio._transport.codec import Codec

CONTENT = "/containerd.services.content.v1.Content/"


class Store(ContentBase):
    """Knows the size of everything, reads out without end, and counts what is written."""

    def __init__(self) -> None:
        self.closed = anyio.Event()

    async def info(self, request: InfoRequest, /) -> InfoResponse:
        return InfoResponse(info=Info(digest=request.digest, size=7))

    async def read(self, request: ReadContentRequest, /) -> AsyncIterator[ReadContentResponse]:
        try:
            for offset in range(request.offset, 10**9):
                yield ReadContentResponse(offset=offset, data=bytes(1 << 20))
        finally:
            self.closed.set()

    async def write(
        self, requests: AsyncIterator[WriteContentRequest], /
    ) -> AsyncIterator[WriteContentResponse]:
        async for request in requests:
            yield WriteContentResponse(offset=request.offset + len(request.data))


async def test_a_request_is_answered() -> None:
    async with ChannelFor([Store()], codec=Codec()) as channel:
        assert (await info(channel, "sha256:1")).info == Info(digest="sha256:1", size=7)


async def info(channel: Channel, digest: str) -> InfoResponse:
    async with channel.request(
        CONTENT + "Info", Cardinality.UNARY_UNARY, InfoRequest, InfoResponse
    ) as stream:
        await stream.send_message(InfoRequest(digest=digest), end=True)
        response = await stream.recv_message()
    assert response is not None
    return response


async def test_what_is_not_overridden_is_unimplemented() -> None:
    async with ChannelFor([ContentBase()], codec=Codec()) as channel:
        with pytest.raises(GRPCError) as caught:
            await info(channel, "sha256:1")
    assert caught.value.status is Status.UNIMPLEMENTED


async def test_a_stream_of_responses_ends_with_the_client_that_leaves() -> None:
    store = Store()
    async with ChannelFor([store], codec=Codec()) as channel:
        async with channel.request(
            CONTENT + "Read", Cardinality.UNARY_STREAM, ReadContentRequest, ReadContentResponse
        ) as stream:
            await stream.send_message(ReadContentRequest(offset=5), end=True)
            first = await stream.recv_message()
            await stream.cancel()
        with anyio.fail_after(60):
            await store.closed.wait()
    assert first is not None
    assert first.offset == 5


async def test_a_stream_that_is_not_overridden_is_unimplemented() -> None:
    async with ChannelFor([ContentBase()], codec=Codec()) as channel:
        with pytest.raises(GRPCError) as caught:
            async with channel.request(
                CONTENT + "Read", Cardinality.UNARY_STREAM, ReadContentRequest, ReadContentResponse
            ) as stream:
                await stream.send_message(ReadContentRequest(), end=True)
                await stream.recv_message()
    assert caught.value.status is Status.UNIMPLEMENTED


async def test_streams_go_both_ways() -> None:
    async with (
        ChannelFor([Store()], codec=Codec()) as channel,
        channel.request(
            CONTENT + "Write", Cardinality.STREAM_STREAM, WriteContentRequest, WriteContentResponse
        ) as stream,
    ):
        await stream.send_request()
        for data in (b"a", b"bb"):
            await stream.send_message(WriteContentRequest(offset=10, data=data))
            assert await stream.recv_message() == WriteContentResponse(offset=10 + len(data))
        await stream.end()
        assert await stream.recv_message() is None


def test_every_method_has_the_path_and_the_messages_of_the_schema() -> None:
    mapping = ContentBase().__mapping__()
    assert len(mapping) == 9
    assert mapping[CONTENT + "Write"].cardinality is Cardinality.STREAM_STREAM
    assert mapping[CONTENT + "Info"].request_type is InfoRequest
