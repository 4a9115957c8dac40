"""The connection itself, fed by hand; what needs a server is in the tests of calls."""

from __future__ import annotations

import asyncio

import pytest

from containerd_aio._transport.protocol import ClientProtocol

SETTINGS = b"\0\0\0\4\0\0\0\0\0"
TOO_LONG = b"\0\xff\xff\0\0\0\0\0\1" + bytes(65535)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def protocol(wire: Wire) -> ClientProtocol:
    protocol = ClientProtocol()
    assert not protocol.usable
    protocol.connection_made(wire)
    return protocol


async def test_it_begins_with_the_preface_and_its_windows(wire: Wire, protocol: ClientProtocol) -> None:
    assert wire.written.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (2**31 - 1 - 65535).to_bytes(4, "big") in wire.written
    assert b"\0\4" + (4 << 20).to_bytes(4, "big") in wire.written


async def test_it_is_settled_when_the_server_has_spoken(protocol: ClientProtocol) -> None:
    assert not protocol.settled.is_set()
    protocol.data_received(SETTINGS)
    assert protocol.settled.is_set()
    assert protocol.usable
    assert protocol.closed_because is None


async def test_half_a_frame_is_no_word(protocol: ClientProtocol) -> None:
    protocol.data_received(SETTINGS[:5])
    assert not protocol.settled.is_set()
    protocol.data_received(SETTINGS[5:])
    assert protocol.settled.is_set()


async def test_nonsense_closes_it_and_what_follows_is_passed_over(
    wire: Wire, protocol: ClientProtocol
) -> None:
    """A TLS connection hands out what it has decrypted also while it closes."""
    protocol.data_received(SETTINGS)
    protocol.data_received(TOO_LONG)
    assert wire.closed
    assert not protocol.usable
    reason = protocol.closed_because
    assert reason is not None
    assert "broke the protocol" in reason
    protocol.data_received(SETTINGS)
    protocol.connection_lost(None)
    assert protocol.closed_because == reason
    assert protocol.gone.is_set()


async def test_it_is_settled_when_it_is_lost(protocol: ClientProtocol) -> None:
    protocol.connection_lost(OSError(104, "Connection reset by peer"))
    assert protocol.settled.is_set()
    assert not protocol.usable
    assert protocol.closed_because == "the connection was lost ([Errno 104] Connection reset by peer)"
