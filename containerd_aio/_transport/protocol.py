"""The HTTP/2 connection under all calls: grpclib's, hardened for a client that must not hang.

What differs from grpclib's own: messages of a call that the server has ended survive a reset and a lost
connection; waiters that have no stream yet are woken when the connection goes; frames of unknown types and
malformed ones end in a clear reason, never in an exception of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from grpclib.client import Handler
from grpclib.config import Configuration
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import AbstractHandler, Connection, EventsProcessor, H2Protocol, Stream
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, RemoteSettingsChanged, StreamReset
from h2.settings import SettingCodes

_INITIAL_WINDOW: Final = 65535
_CONNECTION_WINDOW: Final = 2**31 - 1
"""The largest there is: with less, one stream that nobody reads would stop all the others."""

_STREAM_WINDOW: Final = 4 << 20
"""How much a stream may hold unread; larger windows made downloads no faster."""

_H2: Final = H2Configuration(
    client_side=True,
    header_encoding="utf-8",
    validate_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_inbound_headers=False,
    normalize_outbound_headers=False,
)


class NotProcessedError(StreamTerminatedError):
    """The server said that it has not looked at the call: it may be made again."""


class ClientProtocol(H2Protocol):
    """A connection to a server; ``settled`` is set when the server has spoken HTTP/2, or is gone."""

    connection: Connection
    processor: EventsProcessor

    def __init__(self) -> None:
        super().__init__(Handler(), Configuration().__for_client__(), _H2)
        self.settled = asyncio.Event()
        self.gone = asyncio.Event()
        self.spoke_http1 = False
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        """Whether new calls may be made on it."""
        return self._transport is not None and not cast(Handler, self.handler).connection_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface and our windows."""
        self._transport = cast(asyncio.Transport, transport)
        h2 = H2Connection(config=self.h2_config)
        h2.initiate_connection()
        h2.increment_flow_control_window(_CONNECTION_WINDOW - _INITIAL_WINDOW)
        h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW})
        self.connection = _ClientConnection(h2, self._transport, config=self.config)
        self.processor = _ClientProcessor(self.handler, self.connection, settled=self.settled.set)
        self.connection.flush()

    def data_received(self, data: bytes) -> None:
        """Take in what the server sent; nonsense closes the connection."""
        if not self.usable:
            return
        if not self.settled.is_set() and data.startswith(b"HTTP/1."):
            self.spoke_http1 = True
        try:
            events = self.connection.feed(data)
            self.connection.flush()
            for event in events:
                self.processor.process(event)
            self.connection.flush()
        except Exception as exc:  # a peer's nonsense, in whatever way h2 and hpack choose to fail on it
            self.processor.close(f"the peer broke the protocol: {type(exc).__name__}: {exc}")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail all calls that are under way."""
        self.processor.close("the connection was lost" if exc is None else f"the connection was lost: {exc}")
        self.gone.set()

    def close(self) -> None:
        """Begin to close; ``gone`` tells when the socket is closed."""
        if self._transport is not None:
            self.processor.close("the connection was closed")

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()


class _ClientConnection(Connection):
    def ack(self, stream_id: int, size: int) -> None:
        # Messages are still read after the connection was lost; nobody is left to be told.
        if not self.is_closing():
            super().ack(stream_id, size)

    def flush(self) -> None:
        if not self.is_closing():
            super().flush()


class _ClientProcessor(EventsProcessor):
    def __init__(
        self, handler: AbstractHandler, connection: Connection, *, settled: Callable[[], None]
    ) -> None:
        super().__init__(handler, connection)
        self._settled = settled
        self._closed_because: str | None = None

    def register(self, stream: Stream) -> Callable[[], None]:
        # The connection may have gone while the call waited for its turn to write.
        if self._closed_because is not None:
            raise StreamTerminatedError(self._closed_because)
        return super().register(stream)

    def process(self, event: Event) -> None:
        # An unknown frame must be ignored (RFC 9113, 4.1); grpclib raises NotImplementedError.
        if type(event) in getattr(self, "processors", ()):
            super().process(event)

    def process_remote_settings_changed(self, event: RemoteSettingsChanged) -> None:
        super().process_remote_settings_changed(event)
        self._settled()

    def process_data_received(self, event: DataReceived) -> None:
        # grpclib would take an empty frame for the end of the stream.
        if event.flow_controlled_length:
            super().process_data_received(event)

    def process_stream_reset(self, event: StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None or stream.wrapper is None:
            return
        if event.remote_reset and event.error_code == ErrorCodes.REFUSED_STREAM:
            stream.wrapper.cancel(NotProcessedError("the server refused the stream"))
        elif event.remote_reset:
            stream.wrapper.cancel(
                StreamTerminatedError(f"the server reset the stream, code {event.error_code}")
            )
        else:
            stream.wrapper.cancel(StreamTerminatedError("the server broke the protocol on this stream"))

    def process_connection_terminated(self, event: ConnectionTerminated) -> None:
        reason = f"the server ended the connection (GOAWAY, code {event.error_code})"
        last = event.last_stream_id
        for stream in list(self.streams.values()):
            if last is not None and stream.id is not None and stream.id > last and stream.wrapper is not None:
                stream.wrapper.cancel(NotProcessedError(reason))
        self.close(reason)

    def close(self, reason: str = "the connection was closed") -> None:
        if self._closed_because is None:
            self._closed_because = reason
        super().close(reason)
        # Calls that wait to write, or for a free stream, are not registered yet: let them run into register().
        self.connection.write_ready.set()
        self.connection.stream_close_waiter.set()
        self._settled()
