"""A containerd behind a TLS proxy, as one on another host is reached."""

from __future__ import annotations

import ssl

import anyio
import pytest
import trustme

from containerd_aio._api.containerd.services.events.v1 import PublishRequest, SubscribeRequest
from containerd_aio._api.containerd.services.version.v1 import VersionResponse
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.private_daemon import PrivateDaemon
from tests.transport.tls_proxy import tls_proxy

pytestmark = pytest.mark.integration

VERSION = "containerd.services.version.v1.Version/Version"
SUBSCRIBE = "containerd.services.events.v1.Events/Subscribe"
PUBLISH = "containerd.services.events.v1.Events/Publish"


async def test_calls_and_events_go_through_tls_with_a_client_certificate(daemon: PrivateDaemon) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    authority.issue_cert("localhost").configure_cert(server)
    server.set_alpn_protocols(["h2"])
    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("me@example.org").configure_cert(client)

    async with tls_proxy(server, daemon.address) as port:
        connection = Connection(Address.parse(f"tcp://localhost:{port}"), ssl=client)
        with anyio.fail_after(60):
            await connection.connect()
            caller = connection.caller(daemon.namespace)
            assert (await caller.unary(VERSION, Empty(), VersionResponse, quick=True)).version
            await publish_until_seen(connection, daemon.namespace)
            await connection.aclose()


async def publish_until_seen(connection: Connection, namespace: str) -> None:
    """Subscribe tells nobody when it listens, so the event is published until it comes back."""
    caller = connection.caller(namespace)
    event = PublishRequest(topic="/aio/test", event=ProtoAny(type_url="aio.Test", value=b"x"))
    subscription = caller.server_stream(SUBSCRIBE, SubscribeRequest(filters=['topic=="/aio/test"']), Envelope)
    async with subscription as events, anyio.create_task_group() as group:

        async def publish() -> None:
            while True:
                await caller.unary(PUBLISH, event, Empty, quick=True)
                await anyio.sleep(0.01)

        group.start_soon(publish)
        seen = await anext(events)
        group.cancel_scope.cancel()
    assert seen.topic == "/aio/test"
    assert seen.namespace == namespace
    assert seen.event.value == b"x"
