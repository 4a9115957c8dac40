"""Open a connection, or say in one sentence why not and what would help."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from typing import Final

from containerd_aio._transport.address import Address
from containerd_aio._transport.protocol import ClientProtocol
from containerd_aio.errors import ConnectionLostError

_TCP_HINT: Final = "containerd's own TCP port serves CRI only: tcp:// is for a TLS proxy in front of containerd's unix socket"


async def dial(address: Address, *, tls: ssl.SSLContext | None, limit: float | None) -> ClientProtocol:
    """Connect and wait until the server has spoken HTTP/2, ``limit`` seconds at most.

    If cancelled, the socket is closed.

    :raises ConnectionLostError: with the address and the way out
    """
    protocol = ClientProtocol()
    try:
        async with asyncio.timeout(limit):
            await _open(protocol, address, tls)
            await protocol.settled.wait()
    except (OSError, UnicodeError) as exc:
        protocol.abort()
        raise ConnectionLostError(_why_not(address, exc, limit)) from exc
    except BaseException:
        protocol.abort()
        raise
    if not protocol.usable:
        raise ConnectionLostError(_no_http2(address, protocol, tls))
    return protocol


async def _open(protocol: ClientProtocol, address: Address, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    if address.path is not None:
        await loop.create_unix_connection(lambda: protocol, address.path)
    else:
        assert address.host is not None
        assert address.port is not None
        await loop.create_connection(lambda: protocol, address.host, address.port, ssl=tls)


def _why_not(address: Address, error: OSError | UnicodeError, limit: float | None) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"{address} gave no answer in {limit:g} s: it is frozen, starting, or not containerd"
    if address.path is not None:
        return _why_no_socket(address.path, error)
    return f"cannot connect to {address}: {_why_no_tcp(error)}"


def _why_no_socket(path: str, error: OSError | UnicodeError) -> str:
    match error:
        case FileNotFoundError():
            return (
                f"there is no socket {path}: start containerd, or give the address of the one that runs"
                " (CONTAINERD_ADDRESS)"
            )
        case PermissionError():
            return (
                f"no permission to use {path}: run as root, or as a member of the group that containerd's"
                " configuration gives its socket ([grpc] gid)"
            )
        case ConnectionRefusedError() | NotADirectoryError():
            return _why_refused(path)
        case _:
            return f"cannot connect to {path}: {error}"


def _why_refused(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as exc:
        return f"cannot connect to {path}: {exc.strerror}"
    if stat.S_ISDIR(mode):
        return f"{path} is a directory; give the path of containerd's socket in it"
    if not stat.S_ISSOCK(mode):
        return f"{path} is not a socket; give the path of containerd's socket"
    return f"nothing listens on the socket {path}: containerd has ended without removing it; start it again"


def _why_no_tcp(error: OSError | UnicodeError) -> str:
    match error:
        case socket.gaierror() | UnicodeError():
            return f"the host name is not known ({error})"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message})"
        case ssl.SSLError():
            return f"TLS failed ({error.reason or error}); {_TCP_HINT}"
        case ConnectionRefusedError():
            return f"nothing listens there; {_TCP_HINT}"
        case _:
            return f"{error}; {_TCP_HINT}"


def _no_http2(address: Address, protocol: ClientProtocol, tls: ssl.SSLContext | None) -> str:
    hint = f"; {_TCP_HINT}" if address.path is None else ""
    if protocol.greeting.startswith(b"HTTP/1"):
        return f"{address} speaks HTTP/1, not gRPC: it is not containerd{hint}"
    if protocol.greeting and not protocol.spoke_http2:
        return f"{address} speaks something else than gRPC: it is not containerd{hint}"
    reason = protocol.closed_because
    if tls is not None and not protocol.greeting:
        # With TLS 1.3 our side of the handshake is over before the server has judged our certificate.
        reason = f"{reason}; does it want a client certificate?"
    return f"{address} accepted the connection and closed it: {reason}{hint}"
