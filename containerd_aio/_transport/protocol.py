"""The HTTP/2 connection under all calls: grpclib's, hardened for a client that must not hang.

What differs from grpclib's own: a graceful GOAWAY lets the calls that the server has taken finish; waiters that
have no stream yet are woken when the connection goes; data that is still unread then can be read; frames of
unknown types are passed over and malformed ones end the connection with a reason, never in the event loop's
exception handler.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

import anyio
from grpclib.client import Handler
from grpclib.config import Configuration
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import AbstractHandler, Connection, EventsProcessor, H2Protocol, Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame

from containerd_aio._transport.interruption import Interruption

_LOST: Final = "the connection was lost"

_CLOSING: Final = 1.0
"""Seconds that a socket may take to close in good order: a frozen server takes nothing any more."""

_INITIAL_WINDOW: Final = 65535
_CONNECTION_WINDOW: Final = 2**31 - 1
"""The largest there is: with less, one stream that nobody reads would stop all the others."""

_STREAM_WINDOW: Final = 4 << 20
"""How much a stream may hold unread; larger windows made downloads no faster."""

_H2_CONFIG: Final = H2Configuration(
    client_side=True,
    header_encoding="utf-8",
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)


_SETTINGS: Final = b"\x04"
"""The type of the frame that every HTTP/2 server sends first, at its fourth byte (RFC 9113, 3.4)."""

_UCRED: Final = struct.Struct("=iII")
"""Linux's ``struct ucred``: pid, uid, gid."""

LAST_STREAM: Final = 2**31 - 1
"""The highest number of a stream; none is used twice on a connection (RFC 9113, 5.1.1)."""


class NotProcessedError(StreamTerminatedError):
    """The server has certainly not looked at the call: it may be made again."""


class EndedByServerError(StreamTerminatedError):
    """The server takes no more messages of the call; all of its answer has come."""


class ClientProtocol(H2Protocol):
    """A connection to a server; ``settled`` is set when the server has spoken HTTP/2, or is gone.

    ``greeting`` is the beginning of what it said.
    """

    def __init__(self) -> None:
        super().__init__(Handler(), Configuration().__for_client__(), _H2_CONFIG)
        self.settled = asyncio.Event()
        self.gone = asyncio.Event()
        self.greeting = b""
        self._transport: asyncio.Transport | None = None
        self._streams: _ClientProcessor | None = None
        self._starting: set[Interruption] = set()

    @property
    def usable(self) -> bool:
        """Whether new calls may be made on it."""
        if self._streams is None or self.connection.is_closing():
            return False
        return self._streams.closed_because is None and not self._streams.retired

    @property
    def closed_because(self) -> str | None:
        """Why nothing comes or goes any more; ``None`` while it does."""
        return None if self._streams is None else self._streams.closed_because

    @property
    def spoke_http2(self) -> bool:
        """Whether what the server said first was a frame of settings, as it must be."""
        return self.greeting[3:4] == _SETTINGS

    @property
    def peer_pid(self) -> int | None:
        """The pid of the other side of a unix socket, ``None`` if it is none, or in another pid namespace."""
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is None or sock.family != socket.AF_UNIX:
            return None
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, _uid, _gid = _UCRED.unpack(credentials)
        return pid or None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our windows."""
        self._transport = cast(asyncio.Transport, transport)
        h2 = _H2Connection(config=self.h2_config)
        h2.initiate_connection()
        h2.increment_flow_control_window(_CONNECTION_WINDOW - _INITIAL_WINDOW)
        h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW})
        self.connection = _ClientConnection(h2, _Writing(self._transport), config=self.config)
        self.processor = self._streams = _ClientProcessor(self.handler, self.connection, self._end_starting)
        self.connection.flush()

    def data_received(self, data: bytes) -> None:
        """Take in what the server sent; nonsense closes the connection."""
        if self.closed_because is not None:
            return
        if not self.settled.is_set() and not self._speaks_http2(data):
            return
        try:
            events = self.connection.feed(data)
            for event in events:
                self.processor.process(event)
            self.connection.flush()
            if events:
                self.settled.set()
        except Exception as exc:  # a peer's nonsense, in whatever way h2 and hpack choose to fail on it
            self.processor.close(f"the server broke the protocol ({type(exc).__name__}: {exc})")

    def _speaks_http2(self, data: bytes) -> bool:
        # h2 would wait for the megabytes that "HTTP" or "SSH-" announce as a frame's length.
        checked = len(self.greeting)
        self.greeting += data[: max(0, 16 - checked)]
        if checked > 3 or len(self.greeting) < 4 or self.spoke_http2:
            return True
        self.processor.close("the server does not speak HTTP/2")
        return False

    async def start(
        self, headers: list[tuple[str, str]], interruption: Interruption
    ) -> tuple[Stream, Callable[[], None]]:
        """Send a request's headers; return its stream and what to call when it is done with.

        Waits while the server reads no more, or has as many streams as it allows.

        :raises NotProcessedError: if the connection ends meanwhile
        """
        if self.connection.is_closing():
            raise NotProcessedError(self.closed_because or _LOST)
        stream = self.connection.create_stream(wrapper=interruption)
        self._starting.add(interruption)
        try:
            return stream, await stream.send_request(headers, _processor=self.processor)
        finally:
            self._starting.discard(interruption)

    def _end_starting(self, reason: str) -> None:
        # They have no stream yet, so that grpclib would let them wait for ever.
        for interruption in list(self._starting):
            interruption.cancel(NotProcessedError(reason))
        self.settled.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail all calls that are under way."""
        self.processor.close(_LOST if exc is None else f"{_LOST} ({exc})")
        self.gone.set()

    async def aclose(self) -> None:
        """Close the socket and wait until it is closed: a second if the server reads no more.

        The socket is closed also if this is cancelled.
        """
        self.processor.close("the connection was closed")
        try:
            with anyio.move_on_after(_CLOSING, shield=True):
                await self.gone.wait()
        finally:
            self.abort()
        with anyio.CancelScope(shield=True):
            await self.gone.wait()

    def abort(self) -> None:
        """Close the socket at once, whatever is still to be sent."""
        # asyncio's transport fails on an abort() after its last bytes have gone out and it has closed itself.
        if self._transport is not None and not self.gone.is_set():
            self._transport.abort()


class _Writing(asyncio.Transport):
    """What grpclib knows of the transport. Once that is closing it takes nothing more: of a server that was killed
    many calls are told at once, each of them resets its stream, and asyncio would warn of each such write."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class _H2Connection(H2Connection):
    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        # h2 takes every GOAWAY for the end. A graceful one (a proxy's after its thousandth request, say) lets
        # the streams up to its number finish (RFC 9113, 6.8).
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        event = ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR
        event.last_stream_id = frame.last_stream_id
        return [], [event]


class _ClientConnection(Connection):
    def ack(self, stream_id: int, size: int) -> None:
        # Messages are still read after the connection was lost; nobody is left to be told.
        if not self.is_closing():
            super().ack(stream_id, size)

    def flush(self) -> None:
        if not self.is_closing():
            super().flush()


class _ClientProcessor(EventsProcessor):
    """What comes in, brought to the streams. ``retired``: no new streams, the open ones may finish."""

    def __init__(
        self, handler: AbstractHandler, connection: Connection, ended: Callable[[str], None]
    ) -> None:
        super().__init__(handler, connection)
        self.retired = False
        self.closed_because: str | None = None
        self._ended = ended

    def register(self, stream: Stream) -> Callable[[], None]:
        release_from_streams = super().register(stream)
        if stream.id == LAST_STREAM:
            self.retired = True

        def release() -> None:
            release_from_streams()
            self._close_if_done()

        return release

    def process(self, event: Event) -> None:
        # An unknown frame must be ignored (RFC 9113, 4.1); grpclib raises NotImplementedError.
        if type(event) in getattr(self, "processors", ()):
            super().process(event)

    def process_data_received(self, event: DataReceived) -> None:
        # grpclib would take an empty frame for the end of the stream.
        if event.flow_controlled_length:
            super().process_data_received(event)

    def process_stream_ended(self, event: StreamEnded) -> None:
        super().process_stream_ended(event)
        stream = self.streams.get(event.stream_id)
        if stream is not None and stream.wrapper is not None and stream.closable:
            # We have not ended our side: who waits to send would wait for ever. What came can still be read.
            stream.wrapper.cancel(EndedByServerError("the server has ended the call"))

    def process_stream_reset(self, event: StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None and stream.wrapper is not None:
            stream.wrapper.cancel(_reset_error(event, begun=stream.headers is not None))

    def process_connection_terminated(self, event: ConnectionTerminated) -> None:
        reason = f"the server ended the connection (GOAWAY, code {event.error_code})"
        last_taken = event.last_stream_id or 0
        for stream in list(self.streams.values()):
            if stream.id is not None and stream.id > last_taken and stream.wrapper is not None:
                stream.wrapper.cancel(NotProcessedError(reason))
        if event.error_code == ErrorCodes.NO_ERROR:
            self.retired = True
            self._ended(reason)
            self._close_if_done()
        else:
            self.close(reason)

    def close(self, reason: str = "the connection was closed") -> None:
        if self.closed_because is None:
            self.closed_because = reason
        super().close(reason)
        self._ended(reason)

    def _close_if_done(self) -> None:
        if self.retired and not self.streams:
            self.close()


def _reset_error(event: StreamReset, *, begun: bool) -> StreamTerminatedError:
    if not event.remote_reset:
        return StreamTerminatedError("the server broke the protocol on this stream")
    if event.error_code == ErrorCodes.REFUSED_STREAM and not begun:
        return NotProcessedError("the server refused the stream")
    return StreamTerminatedError(f"the server reset the stream (code {event.error_code})")
