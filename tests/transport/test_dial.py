"""Connecting: what can be wrong, and that each message names the address, the fault and the way out."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import checkpoint
from h2.errors import ErrorCodes

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import ClientClosedError, ConnectionLostError, InvalidArgumentError
from tests.transport.peer import Peer, listening, never, silent

Connect = Callable[..., Connection]


async def refused(connection: Connection) -> str:
    """Fail to connect; return the message."""
    with anyio.fail_after(60), pytest.raises(ConnectionLostError) as caught:
        await connection.connect()
    assert isinstance(caught.value, ConnectionError)
    return str(caught.value)


def put_file(path: Path) -> None:
    path.touch()


def put_directory(path: Path) -> None:
    path.mkdir()


async def test_no_socket(connect: Connect, socket_path: Path) -> None:
    message = await refused(connect())
    assert f"there is no socket {socket_path}: start containerd" in message
    assert "CONTAINERD_ADDRESS" in message


async def test_a_socket_that_nobody_listens_on(connect: Connect, socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(socket_path))
    assert f"nothing listens on the socket {socket_path}" in await refused(connect())


async def test_a_plain_file(connect: Connect, socket_path: Path) -> None:
    put_file(socket_path)
    assert f"{socket_path} is not a socket" in await refused(connect())


async def test_a_directory(connect: Connect, socket_path: Path) -> None:
    put_directory(socket_path)
    assert f"{socket_path} is a directory; give the path of containerd's socket in it" in await refused(
        connect()
    )


async def test_a_path_through_a_plain_file(socket_path: Path) -> None:
    put_file(socket_path)
    connection = Connection(Address.parse(f"{socket_path}/c.sock"))
    assert f"cannot connect to {socket_path}/c.sock: Not a directory" in await refused(connection)
    await connection.aclose()


def put_loop(path: Path) -> None:
    path.symlink_to(path)


async def test_any_other_fault(connect: Connect, socket_path: Path) -> None:
    put_loop(socket_path)
    message = await refused(connect())
    assert message.startswith(f"cannot connect to {socket_path}: ")
    assert "Too many levels of symbolic links" in message


async def test_no_permission(connect: Connect, socket_path: Path) -> None:
    """Root is let through everywhere, so that the test becomes nobody for the attempt."""
    connection = connect()
    os.chmod(socket_path.parent, 0)
    if root := os.geteuid() == 0:
        os.seteuid(65534)
    try:
        message = await refused(connection)
    finally:
        if root:
            os.seteuid(0)
        os.chmod(socket_path.parent, 0o700)
    assert f"no permission to use {socket_path}: run as root" in message
    assert "[grpc] gid" in message


async def test_a_server_that_says_nothing(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, never):
        message = await refused(connect(rpc_timeout=0.05))
    assert message == f"{socket_path} gave no answer in 0.05 s: it is frozen, starting, or not containerd"


async def test_a_server_that_closes_at_once(connect: Connect, socket_path: Path) -> None:
    async def closes(peer: Peer) -> None:
        pass

    async with listening(socket_path, closes):
        message = await refused(connect())
    assert message.startswith(f"{socket_path} accepted the connection and closed it: the connection was lost")


async def test_a_server_that_sends_us_away(connect: Connect, socket_path: Path) -> None:
    async def sends_away(peer: Peer) -> None:
        peer.begin()
        peer.h2.close_connection(ErrorCodes.INADEQUATE_SECURITY)
        peer.flush()
        await peer.reader.read()

    async with listening(socket_path, sends_away):
        assert "closed it: the server ended the connection (GOAWAY, code 12)" in await refused(connect())


async def test_settings_may_come_byte_by_byte(connect: Connect, socket_path: Path) -> None:
    async def dribbles(peer: Peer) -> None:
        peer.h2.initiate_connection()
        data = peer.h2.data_to_send()
        for byte in data:
            peer.raw(bytes([byte]))
            await peer.writer.drain()
            await checkpoint()
        await peer.reader.read()

    async with listening(socket_path, dribbles):
        with anyio.fail_after(60):
            await connect().connect()


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.0 400 Bad Request\r\n\r\n"]
)
async def test_a_server_of_http_1(connect: Connect, socket_path: Path, answer: bytes) -> None:
    async def http1(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.raw(answer)
        await peer.reader.read()

    async with listening(socket_path, http1):
        assert f"{socket_path} speaks HTTP/1, not gRPC" in await refused(connect())


async def test_a_server_of_something_else(connect: Connect, socket_path: Path) -> None:
    async def ssh(peer: Peer) -> None:
        peer.raw(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        await peer.reader.read()

    async with listening(socket_path, ssh):
        assert "speaks something else than gRPC" in await refused(connect())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_a_tcp_port_where_nothing_listens() -> None:
    address = Address.parse(f"tcp://127.0.0.1:{free_port()}")
    message = await refused(Connection(address))
    assert f"cannot connect to {address}: nothing listens there" in message
    assert "CRI only" in message
    assert "TLS proxy" in message


async def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = await refused(Connection(Address.parse("tcp://no-such-host.invalid:1")))
    assert "the host name is not known ([Errno -2] Name or service not known)" in message


async def test_a_host_name_that_cannot_be_one() -> None:
    address = Address.parse(f"tcp://{'x' * 64}.example:1")
    assert "the host name is not known" in await refused(Connection(address))


async def test_a_tcp_address_that_cannot_be_reached() -> None:
    """The broadcast address is refused by the kernel itself."""
    message = await refused(Connection(Address.parse("tcp://255.255.255.255:9")))
    assert message.startswith("cannot connect to tcp://255.255.255.255:9: ")
    assert "TLS proxy" in message


async def test_plain_tcp_reaches_a_server() -> None:
    """Not for containerd itself; a tunnel may end in a plain port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    settings = b"\0\0\0\4\0\0\0\0\0"

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            await client.send(settings)
            with anyio.move_on_after(5):
                while await client.receive():
                    pass

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        connection = Connection(Address.parse(f"tcp://127.0.0.1:{port}"))
        with anyio.fail_after(60):
            await connection.connect()
            await connection.aclose()
        group.cancel_scope.cancel()


def test_ssl_is_refused_for_a_unix_socket() -> None:
    with pytest.raises(InvalidArgumentError, match="ssl is for tcp://"):
        Connection(Address.parse("/run/c.sock"), ssl=ssl.create_default_context())


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidArgumentError, match="rpc_timeout"):
        Connection(Address.parse("/run/c.sock"), rpc_timeout=timeout)


async def test_a_cancelled_connect_leaves_nothing_open(connect: Connect, socket_path: Path) -> None:
    left = anyio.Event()

    async def waits(peer: Peer) -> None:
        scope.cancel()
        await peer.reader.read()
        left.set()

    async with listening(socket_path, waits):
        connection = connect()
        with anyio.CancelScope() as scope:
            await connection.connect()
        assert scope.cancelled_caught
        with anyio.fail_after(60):
            await left.wait()


async def test_closing_ends_a_connect_that_is_under_way(connect: Connect, socket_path: Path) -> None:
    async with listening(socket_path, never):
        connection = connect()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(closes_soon, connection)
                with pytest.raises(ClientClosedError, match="closed meanwhile"):
                    await connection.connect()


async def closes_soon(connection: Connection) -> None:
    await anyio.wait_all_tasks_blocked()
    await connection.aclose()


async def test_those_who_wait_for_one_attempt_share_its_failure(connect: Connect, socket_path: Path) -> None:
    """A hundred calls at a frozen daemon fail after one time limit, not after a hundred."""
    attempts = 0

    async def counts(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.reader.read()

    async def fails() -> None:
        with pytest.raises(ConnectionLostError, match="gave no answer"):
            await connection.connect()

    async with listening(socket_path, counts):
        connection = connect(rpc_timeout=0.1)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(fails)
    assert attempts == 1


async def test_connecting_twice_opens_one_socket(connect: Connect, socket_path: Path) -> None:
    attempts = 0

    async def counts(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await silent(peer)

    async with listening(socket_path, counts):
        connection = connect()
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(connection.connect)
        await connection.connect()
        await connection.aclose()
    assert attempts == 1


async def test_the_pid_of_who_listens_is_known_while_the_socket_is_open(
    connect: Connect, socket_path: Path
) -> None:
    async def serves(peer: Peer) -> None:
        peer.begin()
        await never(peer)

    connection = connect()
    assert connection.peer_pid is None
    async with listening(socket_path, serves):
        await connection.connect()
        assert connection.peer_pid == os.getpid()
        await connection.aclose()
    assert connection.peer_pid is None
