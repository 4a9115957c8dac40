"""Calls to containerd: one message for one, one for many, many for many.

Each is one HTTP/2 stream with the namespace, the lease of the context and, for quick calls, a deadline. All
errors that leave this module are ``ContainerdError``s that name the method and what it was about.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import anyio
import betterproto
import grpclib

from containerd_aio._transport.codec import decode, encode
from containerd_aio._transport.lease import current_lease
from containerd_aio._transport.protocol import NotProcessedError
from containerd_aio._transport.stream import CallStream
from containerd_aio._transport.trace import traced
from containerd_aio._transport.translate import Translation
from containerd_aio.errors import FailedPreconditionError, InternalError

if TYPE_CHECKING:
    from containerd_aio._transport.connection import Connection

Q = TypeVar("Q", bound=betterproto.Message)
R = TypeVar("R", bound=betterproto.Message)

_USER_AGENT: Final = f"containerd-aio grpclib/{grpclib.__version__}"


class Caller:
    """A connection, and the namespace that its calls are made in (``""``: none is sent)."""

    __slots__ = ("connection", "namespace")

    def __init__(self, connection: Connection, namespace: str) -> None:
        self.connection = connection
        self.namespace = namespace

    async def unary(
        self,
        method: str,
        request: betterproto.Message,
        response: type[R],
        *,
        quick: bool = False,
        about: str = "",
    ) -> R:
        """Make a call (``"containerd.services.tasks.v1.Tasks/Get"``) and return its answer.

        ``quick`` sets the connection's ``rpc_timeout`` as deadline; other calls wait as long as they are let.
        ``about`` names the subject in errors: ``"task 'web'"``. If cancelled, containerd is told at once; it may
        or may not have done the work.

        :raises ContainerdError: the class that the daemon's status stands for
        :raises ConnectionLostError: if containerd cannot be reached, or went away during the call
        :raises ClientClosedError: if the client is, or gets, closed
        """
        limit = self.connection.rpc_timeout if quick else None
        translation = Translation(self.connection.address, method, about, limit)
        with traced(method, self.namespace), translation:
            message = encode(request)
            try:
                answer = await self._exchange(method, message, limit)
            except NotProcessedError:
                # The server has not begun with it: making it again repeats nothing.
                answer = await self._exchange(method, message, limit)
            return decode(response, answer)

    def server_stream(
        self, method: str, request: betterproto.Message, response: type[R], *, about: str = ""
    ) -> AbstractAsyncContextManager[Incoming[R]]:
        """Make a call that many messages answer; leaving the block before their end resets it at once.

        Entered, the request is sent; it is sent again, once, if the server refuses it before it has begun with it. No
        deadline applies. Errors as with ``unary()``, on entering and receiving.
        """
        return self._server_stream(method, request, response, about)

    def duplex(
        self, method: str, request: type[Q], response: type[R], *, about: str = ""
    ) -> AbstractAsyncContextManager[Duplex[Q, R]]:
        """Make a call in which both sides send messages; leaving the block before the end resets it at once.

        Entered, the headers are sent. No deadline applies. Errors as with ``unary()``, on all its operations.
        """
        return self._duplex(method, request, response, about)

    async def _exchange(self, method: str, message: bytes, limit: float | None) -> bytes:
        stream = self._stream(method, limit)
        with self.connection.watching(stream.interruption), closing(stream):
            await stream.open()
            await stream.send(message, end=True)
            answer = await stream.receive()
            if answer is None:
                raise InternalError("the server answered with no message")
            if await stream.receive() is not None:
                raise InternalError("the server answered with several messages")
            return answer

    async def _opened(self, stack: ExitStack, method: str) -> CallStream:
        """Open a stream that the end of ``stack`` closes."""
        stream = self._stream(method, None)
        stack.enter_context(self.connection.watching(stream.interruption))
        stack.enter_context(closing(stream))
        # A task that still uses the call then would wait for ever.
        over = FailedPreconditionError("the call is over: its block was left")
        stack.callback(stream.interruption.cancel, over)
        await stream.open()
        return stream

    @asynccontextmanager
    async def _server_stream(
        self, method: str, request: betterproto.Message, response: type[R], about: str
    ) -> AsyncGenerator[Incoming[R]]:
        translation = Translation(self.connection.address, method, about)
        with traced(method, self.namespace), ExitStack() as stack:

            async def begin() -> CallStream:
                stream = await self._opened(stack, method)
                await stream.send(message, end=True)
                return stream

            with translation:
                message = encode(request)
                again: Callable[[], Awaitable[CallStream]] | None = begin
                try:
                    stream = await begin()
                except NotProcessedError:
                    stream, again = await begin(), None
            yield Incoming(stream, translation, response, again)

    @asynccontextmanager
    async def _duplex(
        self, method: str, request: type[Q], response: type[R], about: str
    ) -> AsyncGenerator[Duplex[Q, R]]:
        translation = Translation(self.connection.address, method, about)
        with traced(method, self.namespace), ExitStack() as stack:
            with translation:
                stream = await self._opened(stack, method)
            yield Duplex[Q, R](stream, translation, response)

    def _stream(self, method: str, limit: float | None) -> CallStream:
        connection = self.connection
        headers = [
            (":method", "POST"),
            (":scheme", connection.scheme),
            (":path", f"/{method}"),
            (":authority", connection.address.authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", _USER_AGENT),
        ]
        if self.namespace:
            headers.append(("containerd-namespace", self.namespace))
        if (lease := current_lease(connection, self.namespace)) is not None:
            headers.append(("containerd-lease", lease))
        return CallStream(connection.protocol, headers, deadline=limit)


class Incoming(Generic[R]):
    """The answers of a server stream: an async iterator that ends when the server ends it.

    Cancelling a receive loses nothing. One task may iterate at a time. ``again`` makes the call anew, for a server
    that turns out not to have begun with it; ``None`` if that was done.
    """

    def __init__(
        self,
        stream: CallStream,
        translation: Translation,
        response: type[R],
        again: Callable[[], Awaitable[CallStream]] | None,
    ) -> None:
        self._stream = stream
        self._translation = translation
        self._response = response
        self._again = again
        self._reading = anyio.ResourceGuard("reading from")

    def __aiter__(self) -> Incoming[R]:
        return self

    async def __anext__(self) -> R:
        with self._reading, self._translation:
            data = await self._receive()
            if data is not None:
                return decode(self._response, data)
        raise StopAsyncIteration

    async def _receive(self) -> bytes | None:
        try:
            data = await self._stream.receive()
        except NotProcessedError:
            if self._again is None:
                raise
            self._stream = await self._again()
            self._again = None
            return await self._stream.receive()
        self._again = None
        return data


class Duplex(Generic[Q, R]):
    """A call with messages both ways; one task may send while another one receives."""

    def __init__(self, stream: CallStream, translation: Translation, response: type[R]) -> None:
        self._stream = stream
        self._translation = translation
        self._response = response
        self._reading = anyio.ResourceGuard("reading from")
        self._writing = anyio.ResourceGuard("writing to")

    async def send(self, message: Q, *, end: bool = False) -> None:
        """Send a message; ``end`` says that it is the last one.

        Waits while the server takes no more. If cancelled in the middle of a large message, the call is given up:
        what follows raises ``AbortedError``.

        :raises ContainerdError: the server's reason, where it has ended the call
        """
        with self._writing, self._translation:
            await self._stream.send(encode(message), end=end)

    async def receive(self) -> R | None:
        """Return the next message, ``None`` when the server has ended the call in good order.

        Cancelling it loses nothing.

        :raises ContainerdError: the server's reason, where it ended the call otherwise
        """
        with self._reading, self._translation:
            data = await self._stream.receive()
            return None if data is None else decode(self._response, data)
