# Copied by proto/generate.py from proto/python/_service.py. Do not edit this copy.
"""How the generated server classes answer grpclib: one function for each kind of call.

Only a server needs these; the client calls by path."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from grpclib.const import Cardinality, Handler

if TYPE_CHECKING:
    from grpclib.server import Stream

Q = TypeVar("Q")
R = TypeVar("R")


def unary_unary(answer: Callable[[Q], Awaitable[R]], request: type[Q], response: type[R]) -> Handler:
    """One request, one response."""

    async def serve(stream: Stream[Q, R]) -> None:
        message = await stream.recv_message()
        assert message is not None, "the client ended the call without a request"
        await stream.send_message(await answer(message))

    return Handler(serve, Cardinality.UNARY_UNARY, request, response)


def unary_stream(answer: Callable[[Q], AsyncIterator[R]], request: type[Q], response: type[R]) -> Handler:
    """One request, any number of responses."""

    async def serve(stream: Stream[Q, R]) -> None:
        message = await stream.recv_message()
        assert message is not None, "the client ended the call without a request"
        await _send_all(answer(message), stream)

    return Handler(serve, Cardinality.UNARY_STREAM, request, response)


def stream_stream(
    answer: Callable[[AsyncIterator[Q]], AsyncIterator[R]], request: type[Q], response: type[R]
) -> Handler:
    """Any number of either, in any order."""

    async def serve(stream: Stream[Q, R]) -> None:
        await _send_all(answer(aiter(stream)), stream)

    return Handler(serve, Cardinality.STREAM_STREAM, request, response)


async def _send_all(responses: AsyncIterator[R], stream: Stream[Q, R]) -> None:
    try:
        async for response in responses:
            await stream.send_message(response)
    finally:
        # A client that goes away cancels this; without aclose() a generator's cleanup would wait for
        # the garbage collector.
        if isinstance(responses, AsyncGenerator):
            await responses.aclose()
