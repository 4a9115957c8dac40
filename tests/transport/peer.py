"""An HTTP/2 server that does what a test tells it, frame by frame: for the faults that no real server shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

import betterproto
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamReset
from h2.settings import SettingCodes

from containerd_aio._transport.codec import encode

E = TypeVar("E", bound=Event)


class Peer:
    """One accepted connection. Events are read in their order; what a test does not ask for is dropped."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.events: list[Event] = []

    def begin(self, settings: dict[int, int] | None = None) -> None:
        """Send our settings, as every HTTP/2 server does first."""
        self.h2.initiate_connection()
        self.h2.update_settings(settings or {})
        self.flush()

    async def next(self, kind: type[E]) -> E:
        """Return the next event of a kind."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, kind):
                    return event
            data = await self.reader.read(1 << 16)
            if not data:
                raise EOFError("the client has gone")
            self.events += self.h2.receive_data(data)
            self.flush()

    async def request(self) -> int:
        """Wait for a call's headers and its message; return its stream."""
        stream = await self.call()
        await self.next(DataReceived)
        return stream

    async def call(self) -> int:
        """Wait for a call's headers; return its stream."""
        event = await self.next(RequestReceived)
        assert event.stream_id is not None
        return event.stream_id

    async def request_headers(self) -> dict[str, str]:
        """Wait for a call; return its headers."""
        event = await self.next(RequestReceived)
        return {str(name): str(value) for name, value in event.headers or ()}

    async def was_reset(self) -> ErrorCodes | int | None:
        """Wait until the client resets a stream; return its reason."""
        return (await self.next(StreamReset)).error_code

    def headers(self, stream: int, *extra: tuple[str, str], end: bool = False) -> None:
        """Begin to answer."""
        self.h2.send_headers(
            stream, [(":status", "200"), ("content-type", "application/grpc"), *extra], end_stream=end
        )
        self.flush()

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send bytes, whatever they mean."""
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def message(self, stream: int, message: betterproto.Message) -> None:
        """Send a message in gRPC's frame."""
        self.data(stream, framed(message))

    def trailers(self, stream: int, status: int = 0, *extra: tuple[str, str]) -> None:
        """End the answer."""
        self.h2.send_headers(stream, [("grpc-status", str(status)), *extra], end_stream=True)
        self.flush()

    def reset(self, stream: int, code: ErrorCodes) -> None:
        """Send RST_STREAM."""
        self.h2.reset_stream(stream, code)
        self.flush()

    def flush(self) -> None:
        """Send what h2 holds."""
        self.writer.write(self.h2.data_to_send())

    def raw(self, data: bytes) -> None:
        """Send bytes past h2."""
        self.writer.write(data)

    def drop(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


def takes_all_and_reads_nothing(peer: Peer) -> None:
    """Open the windows wide, then read no more: the client's socket fills up."""
    peer.begin({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    peer.h2.increment_flow_control_window(2**31 - 1 - 65535)
    peer.flush()
    cast(asyncio.ReadTransport, peer.writer.transport).pause_reading()


def framed(message: betterproto.Message) -> bytes:
    """A message as gRPC puts it into DATA frames."""
    body = encode(message)
    return b"\0" + len(body).to_bytes(4, "big") + body


@asynccontextmanager
async def listening(path: Path, *plays: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[None]:
    """Listen on a unix socket; the first connection gets the first play, and so on, the last one for all others.

    A connection is closed when its play ends; a play that waits for the client may be left waiting.
    """
    accepted = 0
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        play = plays[min(accepted, len(plays) - 1)]
        accepted += 1
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(EOFError, ConnectionError, asyncio.CancelledError):
                await play(Peer(reader, writer))
        finally:
            running.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_unix_server(accept, path)
    try:
        yield
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        if running:
            await asyncio.wait(running)
        await server.wait_closed()


async def never(peer: Peer) -> None:
    """Accept, and say nothing at all: a daemon that is frozen."""
    await peer.reader.read()


async def silent(peer: Peer) -> None:
    """Speak HTTP/2, and answer no call."""
    peer.begin()
    while True:
        await peer.next(Event)
