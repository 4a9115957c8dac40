"""TLS: through a proxy to a gRPC server on a unix socket, and what can be wrong on the way."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.abc
import pytest
import trustme
from grpclib.events import RecvRequest, listen
from grpclib.server import Server

from containerd_aio._api.containerd.services.version.v1 import VersionBase, VersionResponse
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.address import Address
from containerd_aio._transport.codec import Codec
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import ConnectionLostError
from tests.transport.peer import Peer, listening
from tests.transport.tls_proxy import tls_proxy


class Version(VersionBase):
    async def version(self, request: Empty) -> VersionResponse:
        return VersionResponse(version="through TLS")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
async def backend(socket_path: Path) -> AsyncIterator[Path]:
    """A gRPC server on a unix socket."""
    server = Server([Version()], codec=Codec())
    await server.start(path=str(socket_path))
    yield socket_path
    server.close()
    await server.wait_closed()


async def version(port: int, context: ssl.SSLContext, *, host: str = "localhost") -> str:
    connection = Connection(Address.parse(f"tcp://{host}:{port}"), ssl=context)
    try:
        with anyio.fail_after(60):
            await connection.connect()
            assert connection.peer_pid is None
            caller = connection.caller("x")
            answer = await caller.unary(
                "containerd.services.version.v1.Version/Version", Empty(), VersionResponse
            )
            return answer.version
    finally:
        await connection.aclose()


async def test_a_call_goes_through(
    backend: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """ALPN is set on the user's context: without it a proxy would take us for a client of HTTP/1."""
    protocols: list[str | None] = []
    async with tls_proxy(server_context, backend, protocols=protocols) as port:
        assert await version(port, client_context) == "through TLS"
    assert protocols == ["h2"]


async def test_a_call_tells_its_scheme_and_host(
    socket_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    headers: dict[str, str] = {}

    async def play(peer: Peer) -> None:
        peer.begin()
        headers.update(await peer.request_headers())

    async with listening(socket_path, play), tls_proxy(server_context, socket_path) as port:
        with pytest.raises(ConnectionLostError, match="outcome is unknown"):
            await version(port, client_context)
        assert headers[":scheme"] == "https"
        assert headers[":authority"] == f"localhost:{port}"


async def test_a_client_certificate(
    backend: Path, authority: trustme.CA, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_context)
    authority.issue_cert("me@example.org").configure_cert(client_context)
    async with tls_proxy(server_context, backend) as port:
        assert await version(port, client_context) == "through TLS"


async def refused(port: int, context: ssl.SSLContext, *, host: str = "localhost") -> str:
    with pytest.raises(ConnectionLostError) as caught:
        await version(port, context, host=host)
    assert f"tcp://{host}:{port}" in str(caught.value)
    return str(caught.value)


async def test_a_client_certificate_that_is_missing(
    authority: trustme.CA, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """With TLS 1.3 the server says so only after the handshake. (asyncio's own servers do not even say it.)"""
    server_context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server_context)

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client, pytest.raises(ssl.SSLError):
            server_context.wrap_socket(client, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, serve, listener)
            message = await refused(listener.getsockname()[1], client_context)
    assert "does it want a client certificate?" in message


async def test_a_server_that_is_not_trusted(backend: Path, server_context: ssl.SSLContext) -> None:
    async with tls_proxy(server_context, backend) as port:
        message = await refused(port, ssl.create_default_context())
    assert "its certificate is not trusted (unable to get local issuer certificate)" in message


async def test_a_server_of_another_name(
    backend: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with tls_proxy(server_context, backend) as port:
        message = await refused(port, client_context, host="127.0.0.1")
    assert "its certificate is not trusted (IP address mismatch" in message


async def test_a_server_without_tls(client_context: ssl.SSLContext) -> None:
    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            await client.receive()
            await client.send(b"HTTP/1.0 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        message = await refused(port, client_context)
        group.cancel_scope.cancel()
    assert "TLS failed" in message
    assert "TLS proxy" in message


async def test_a_server_of_http_1_behind_tls(
    socket_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def http1(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.reader.read()

    async with listening(socket_path, http1), tls_proxy(server_context, socket_path) as port:
        assert "speaks HTTP/1, not gRPC" in await refused(port, client_context)


async def test_a_port_without_tls_on_our_side(backend: Path, server_context: ssl.SSLContext) -> None:
    """The user forgot ``ssl=``: the server ends what it cannot read."""
    async with tls_proxy(server_context, backend) as port:
        connection = Connection(Address.parse(f"tcp://localhost:{port}"))
        with anyio.fail_after(60), pytest.raises(ConnectionLostError, match="TLS proxy"):
            await connection.connect()
        await connection.aclose()


async def test_metadata_comes_through(
    socket_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    namespaces: list[object] = []

    async def note(event: RecvRequest) -> None:
        namespaces.append(event.metadata["containerd-namespace"])

    server = Server([Version()], codec=Codec())
    listen(server, RecvRequest, note)
    await server.start(path=str(socket_path))
    async with tls_proxy(server_context, socket_path) as port:
        await version(port, client_context)
    server.close()
    await server.wait_closed()
    assert namespaces == ["x"]
