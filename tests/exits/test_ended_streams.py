"""The ways in which a server ends the event stream, on the wire: none of them loses an exit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from betterproto import Message
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived

from containerd_aio._api.containerd.services.events.v1 import PublishRequest
from containerd_aio._api.containerd.services.tasks.v1 import GetResponse
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.containerd.v1.types import Process, Status
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.convert import to_timestamp
from containerd_aio.services import Services
from containerd_aio.types import ExitStatus
from tests.exits.fakes import NAMESPACE
from tests.transport.peer import Peer, listening


class Scripted:
    """A containerd that gives each knock back and knows one task; a test ends its streams by hand."""

    def __init__(self) -> None:
        self.connections = 0
        self.subscribed: list[tuple[Peer, int]] = []
        self.task = Process(id="web", pid=7, status=Status.RUNNING)

    async def play(self, peer: Peer) -> None:
        self.connections += 1
        peer.begin()
        while True:
            request = await peer.next(RequestReceived)
            path = next(str(value) for name, value in request.headers or () if str(name) == ":path")
            message = await peer.next(DataReceived)
            stream = message.stream_id
            assert stream is not None
            if path.endswith("/Subscribe"):
                self.subscribed.append((peer, stream))
                peer.headers(stream)
            elif path.endswith("/Publish"):
                topic = PublishRequest().parse((message.data or b"")[5:]).topic
                self._answer(peer, stream, Empty())
                peer.message(self.subscribed[-1][1], Envelope(namespace=NAMESPACE, topic=topic))
            else:
                self._answer(peer, stream, GetResponse(process=self.task))

    def _answer(self, peer: Peer, stream: int, message: Message) -> None:
        peer.headers(stream)
        peer.message(stream, message)
        peer.trailers(stream)


def ends(peer: Peer, stream: int) -> None:
    peer.trailers(stream)


def fails(peer: Peer, stream: int) -> None:
    peer.trailers(stream, 14, ("grpc-message", "shutting down"))


def resets(peer: Peer, stream: int) -> None:
    peer.reset(stream, ErrorCodes.INTERNAL_ERROR)


def leaves(peer: Peer, stream: int) -> None:
    peer.h2.close_connection(last_stream_id=stream)
    peer.flush()
    peer.writer.close()


def drops(peer: Peer, stream: int) -> None:
    peer.drop()


@pytest.mark.parametrize(
    ("end", "connections"),
    [
        pytest.param(ends, 1, id="ended"),
        pytest.param(fails, 1, id="failed"),
        pytest.param(resets, 1, id="reset"),
        pytest.param(leaves, 2, id="GOAWAY"),
        pytest.param(drops, 2, id="dropped"),
    ],
)
async def test_an_exit_that_nobody_told_of_is_found_on_the_next_stream(
    end: Callable[[Peer, int], None], connections: int
) -> None:
    server = Scripted()
    with tempfile.TemporaryDirectory(prefix="aio-") as directory, anyio.fail_after(30):
        path = Path(directory) / "s"
        async with listening(path, server.play):
            connection = Connection(Address.parse(str(path)))
            services = Services.of(connection.caller(NAMESPACE))
            watcher = ExitWatcher(services.events, services.tasks, NAMESPACE)
            await watcher.attached()
            record = watcher.track("web")
            watcher.created(record, 7)
            record.starting()
            watcher.started(record, 7)
            waits = [record.wait() for _ in range(3)]
            waits[0].cancel()
            server.task = Process(
                id="web", pid=7, status=Status.STOPPED, exit_status=3, exited_at=to_timestamp(1_000)
            )
            end(*server.subscribed[0])
            assert [await wait for wait in waits[1:]] == [ExitStatus(3, 1_000)] * 2
            await watcher.aclose()
            await connection.aclose()
    assert (len(server.subscribed), server.connections) == (2, connections)
