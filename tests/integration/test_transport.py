"""The transport and a real containerd: its errors, its death, its stalls, and its way to end a stream."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import anyio
import pytest

from containerd_aio._api.containerd.services.content.v1 import (
    DeleteContentRequest,
    WriteAction,
    WriteContentRequest,
    WriteContentResponse,
)
from containerd_aio._api.containerd.services.events.v1 import SubscribeRequest
from containerd_aio._api.containerd.services.tasks.v1 import GetRequest, GetResponse
from containerd_aio._api.containerd.services.version.v1 import VersionResponse
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import (
    AlreadyExistsError,
    ConnectionLostError,
    ContainerdError,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
)
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.conftest import crash
from tests.integration.host import frozen

pytestmark = pytest.mark.integration

GET = "containerd.services.tasks.v1.Tasks/Get"
VERSION = "containerd.services.version.v1.Version/Version"
SUBSCRIBE = "containerd.services.events.v1.Events/Subscribe"
WRITE = "containerd.services.content.v1.Content/Write"


async def version(connection: Connection) -> VersionResponse:
    return await connection.caller("").unary(VERSION, Empty(), VersionResponse, quick=True)


@pytest.mark.parametrize(
    ("namespace", "method", "cls"),
    [
        pytest.param("x", GET, NotFoundError, id="not-found"),
        pytest.param("", GET, FailedPreconditionError, id="no-namespace"),
        pytest.param(
            "x", "containerd.services.tasks.v1.Tasks/Nope", NotImplementedByServerError, id="method"
        ),
        pytest.param("x", "containerd.services.nope.v1.Nope/Get", NotImplementedByServerError, id="service"),
    ],
)
async def test_an_error_of_the_daemon(
    connection: Connection, namespace: str, method: str, cls: type[ContainerdError]
) -> None:
    with pytest.raises(cls) as caught:
        await connection.caller(namespace).unary(
            method, GetRequest(container_id="nope"), GetResponse, quick=True, about="task 'nope'"
        )
    assert caught.value.server_message
    assert caught.value.server_message in str(caught.value)


async def test_a_filter_that_cannot_be_read(connection: Connection) -> None:
    """The daemon says UNKNOWN to it; its text tells."""
    request = SubscribeRequest(filters=["topic==/tasks/exit"])
    async with connection.caller("x").server_stream(SUBSCRIBE, request, Envelope) as events:
        with anyio.fail_after(60), pytest.raises(InvalidArgumentError, match="filter"):
            await anext(events)


async def test_the_answer_to_a_commit_is_not_lost(connection: Connection, namespace: str) -> None:
    """The daemon ends the call after COMMIT, trailers and RST_STREAM, though we have not ended our side."""
    data = os.urandom(3 << 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    caller = connection.caller(namespace)
    for attempt in range(5):
        async with caller.duplex(WRITE, WriteContentRequest, WriteContentResponse) as call:
            with anyio.fail_after(60):
                await call.send(
                    WriteContentRequest(action=WriteAction.STAT, ref="r", total=len(data), expected=digest)
                )
                if attempt:
                    with pytest.raises(AlreadyExistsError):
                        await call.receive()
                    continue
                assert await call.receive() is not None
                await call.send(
                    WriteContentRequest(action=WriteAction.COMMIT, ref="r", total=len(data), data=data)
                )
                answers = []
                while (answer := await call.receive()) is not None:
                    answers.append(answer.digest)
                assert answers[-1] == digest
    await delete(connection, namespace, digest)


async def delete(connection: Connection, namespace: str, digest: str) -> None:
    method = "containerd.services.content.v1.Content/Delete"
    await connection.caller(namespace).unary(method, DeleteContentRequest(digest=digest), Empty)


@pytest.fixture
async def connected(daemon_of_its_own: PrivateDaemon) -> AsyncIterator[Connection]:
    connection = Connection(Address.parse(daemon_of_its_own.address))
    await connection.connect()
    yield connection
    await connection.aclose()


async def test_a_frozen_daemon_meets_the_deadline_and_a_stall_breaks_nothing(
    daemon_of_its_own: PrivateDaemon, connected: Connection
) -> None:
    async with connected.caller("x").server_stream(SUBSCRIBE, SubscribeRequest(), Envelope) as events:
        receiving = asyncio.ensure_future(anext(events))
        try:
            with frozen(daemon_of_its_own.pid), anyio.fail_after(60):
                connected.rpc_timeout = 0.5
                with pytest.raises(DeadlineExceededError, match=r"in 0\.5 s"):
                    await version(connected)
                other = Connection(Address.parse(daemon_of_its_own.address), rpc_timeout=0.5)
                with pytest.raises(ConnectionLostError, match="frozen"):
                    await other.connect()
                await other.aclose()
            connected.rpc_timeout = 60
            assert (await version(connected)).version
            assert not receiving.done()
        finally:
            receiving.cancel()
            await asyncio.wait([receiving])


async def test_a_killed_daemon_ends_what_is_under_way_and_is_found_again_when_it_is_back(
    daemon_of_its_own: PrivateDaemon,
) -> None:
    connection = Connection(Address.parse(daemon_of_its_own.address))
    try:
        async with connection.caller("x").server_stream(SUBSCRIBE, SubscribeRequest(), Envelope) as events:
            await version(connection)
            await crash(daemon_of_its_own)
            with anyio.fail_after(60), pytest.raises(ConnectionLostError, match="outcome is unknown"):
                await anext(events)
        with pytest.raises(ConnectionLostError, match=r"nothing listens|there is no socket"):
            await version(connection)
        await daemon_of_its_own.start()
        with anyio.fail_after(60):
            assert (await version(connection)).version
    finally:
        await connection.aclose()


async def test_a_stopped_daemon_is_told_from_a_killed_one(daemon_of_its_own: PrivateDaemon) -> None:
    connection = Connection(Address.parse(daemon_of_its_own.address))
    await connection.connect()
    await daemon_of_its_own.stop()
    with pytest.raises(ConnectionLostError, match="there is no socket"):
        await version(connection)
    await connection.aclose()
