"""One call on one HTTP/2 stream, in gRPC's frames of bytes.

It raises grpclib's errors and errors of ours that name no method yet; ``call`` translates both. Two things need
care. Reading is resumable: a receive that was cancelled between a message's length and its body goes on with
the body. And trailers decide: once they came, a reset or a lost connection cannot take back what is already here
(grpc-go follows trailers with RST_STREAM where the client has not ended its side).
"""

from __future__ import annotations

import asyncio
import binascii
import math
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.metadata import decode_bin_value, decode_grpc_message
from grpclib.protocol import Stream
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError

from containerd_aio._transport.interruption import Interruption
from containerd_aio._transport.protocol import ClientProtocol, EndedByServerError
from containerd_aio.errors import (
    AbortedError,
    FailedPreconditionError,
    InternalError,
    ResourceExhaustedError,
)

MAX_MESSAGE: Final = 16 << 20
"""Bytes in a message, in both directions, as containerd itself has it."""

_PREFIX: Final = struct.Struct(">?I")

_BY_HTTP_STATUS: Final = {
    "400": Status.INTERNAL,
    "401": Status.UNAUTHENTICATED,
    "403": Status.PERMISSION_DENIED,
    "404": Status.UNIMPLEMENTED,
    "429": Status.UNAVAILABLE,
    "502": Status.UNAVAILABLE,
    "503": Status.UNAVAILABLE,
    "504": Status.UNAVAILABLE,
}
"""What gRPC makes of an answer that is not gRPC's (grpc's doc/http-grpc-status-mapping.md); else UNKNOWN."""


class CallStream:
    """A call: ``open()``, ``send()``, ``receive()`` until it returns ``None``, ``close()``.

    One task may send while another one receives. ``interruption.cancel(error)`` makes all of them raise ``error``.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[ClientProtocol]],
        headers: Sequence[tuple[str, str]],
        *,
        deadline: float | None = None,
    ) -> None:
        self._connect = connect
        self._headers = headers
        self._deadline = deadline
        self.interruption = Interruption()
        self._timer: asyncio.TimerHandle | None = None
        self._stream: Stream | None = None
        self._release: Callable[[], None] | None = None
        self._announced: int | None = None
        self._answering = False
        self._finished = False

    async def open(self) -> None:
        """Send the request's headers, over a new connection if there is none."""
        headers = list(self._headers)
        if self._deadline is not None:
            # The pseudo headers come first. The time that connecting takes is not subtracted: our own timer
            # counts it, and a header that is always the same is sent as one byte.
            headers.insert(4, ("grpc-timeout", _timeout_header(self._deadline)))
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._deadline, self.interruption.cancel, TimeoutError())
        with self.interruption:
            protocol = await self._connect()
            self._stream, self._release = await protocol.start(headers, self.interruption)

    async def send(self, message: bytes, *, end: bool = False) -> None:
        """Send a message; ``end`` tells the server that it is the last one.

        If cancelled before the message was begun, nothing was sent; in its middle, the call is given up.
        """
        stream = self._opened()
        if len(message) > MAX_MESSAGE:
            raise ResourceExhaustedError(
                f"the message has {len(message)} bytes; containerd takes {MAX_MESSAGE} at most"
            )
        sent_before = stream.data_sent
        try:
            with self.interruption:
                await stream.send_data(_PREFIX.pack(False, len(message)) + message, end_stream=end)
        except (StreamTerminatedError, H2ProtocolError) as exc:
            self._raise_for_early_end(exc)
        except BaseException:
            if stream.data_sent != sent_before:
                self.interruption.cancel(
                    AbortedError("a message was cut off half-way, so the call was given up")
                )
                self._reset()
            raise

    async def receive(self) -> bytes | None:
        """Return the next message, ``None`` when the server has ended the call with status OK.

        If cancelled, nothing is lost: the next call returns the message.

        :raises GRPCError: if the server ended it with another status
        """
        if self._finished:
            self._end_answer(self._opened())
            return None
        try:
            with self.interruption:
                return await self._next_message()
        except StreamTerminatedError as exc:
            if not self._server_ended(exc):
                raise
            return await self._next_message()  # does not wait: all of it is here
        except (InternalError, ResourceExhaustedError) as exc:
            # Where the next message begins is not known any more.
            self.interruption.cancel(exc)
            self._reset()
            raise

    def close(self) -> None:
        """Give the call up; a server that has not ended it is told at once."""
        if self._timer is not None:
            self._timer.cancel()
        self._reset()
        if self._release is not None:
            self._release()
            self._release = None

    def _opened(self) -> Stream:
        assert self._stream is not None, "open() comes first"
        return self._stream

    def _reset(self) -> None:
        if self._stream is not None and self._stream.closable:
            self._stream.reset_nowait(ErrorCodes.CANCEL)

    async def _next_message(self) -> bytes | None:
        stream = self._opened()
        if not self._answering:
            await self._begin_answer(stream)
        try:
            if self._announced is None:
                prefix = await stream.recv_data(_PREFIX.size)
                if not prefix:
                    self._end_answer(stream)
                    return None
                self._announced = _announced_size(prefix)
            body = await stream.recv_data(self._announced)
        except AssertionError:  # grpclib: the stream ended within what we asked for
            body = b""
        if len(body) != self._announced:
            raise InternalError("the answer ended in the middle of a message")
        self._announced = None
        return body

    async def _begin_answer(self, stream: Stream) -> None:
        headers = dict(await stream.recv_headers())
        if (http := headers.get(":status")) != "200":
            status = _BY_HTTP_STATUS.get(str(http), Status.UNKNOWN)
            raise GRPCError(status, f"the server answered with HTTP status {http}, not with gRPC")
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0] not in {"application/grpc", "application/grpc+proto"}:
            raise GRPCError(
                Status.UNKNOWN, f"the server answered with {content_type or 'no type'}, not with gRPC"
            )
        self._answering = True

    def _end_answer(self, stream: Stream) -> None:
        self._finished = True
        # An answer without messages may have its status in the headers ("trailers only").
        _raise_for_status(dict(stream.trailers or stream.headers or ()))

    def _server_ended(self, error: Exception) -> bool:
        stream = self._opened()
        return (
            isinstance(error, EndedByServerError)
            or stream.trailers is not None
            or "grpc-status" in dict(stream.headers or ())
        )

    def _raise_for_early_end(self, error: Exception) -> None:
        """Tell why the server takes no more messages: its status, or else the connection's end."""
        if not self._server_ended(error):
            raise error
        stream = self._opened()
        _raise_for_status(dict(stream.trailers or stream.headers or ()))
        raise FailedPreconditionError("the server has ended the call; it takes no more messages") from error


def _timeout_header(seconds: float) -> str:
    milliseconds = math.ceil(seconds * 1000)
    # At most eight digits (grpc's doc/PROTOCOL-HTTP2.md).
    return f"{milliseconds}m" if milliseconds < 10**8 else f"{min(math.ceil(seconds), 10**8 - 1)}S"


def _announced_size(prefix: bytes) -> int:
    compressed, size = _PREFIX.unpack(prefix)
    if compressed:
        raise InternalError("the answer is compressed, which was not asked for")
    if size > MAX_MESSAGE:
        raise ResourceExhaustedError(f"the answer has {size} bytes; {MAX_MESSAGE} are accepted at most")
    return int(size)


def _raise_for_status(headers: dict[str, str]) -> None:
    text = headers.get("grpc-status")
    if text is None:
        raise InternalError("the answer ended without a status")
    try:
        status = Status(int(text))
    except ValueError:
        raise GRPCError(
            Status.UNKNOWN, f"the server answered with the unknown status {text[:20]!r}"
        ) from None
    if status is not Status.OK:
        message = decode_grpc_message(headers.get("grpc-message", ""))
        raise GRPCError(status, message, _details(headers.get("grpc-status-details-bin")))


def _details(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return decode_bin_value(text.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError):
        return None  # they only add to the message: the status itself is known
