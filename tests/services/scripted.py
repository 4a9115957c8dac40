"""A service that answers every method with what a test gave for it, and notes what it was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import anyio
from grpclib import GRPCError, Status
from grpclib.const import Handler
from grpclib.server import Stream

from containerd_aio._api._message import Message


class Generated(Protocol):
    """A generated ``*Base`` class: its methods, by path, with the types of their messages."""

    def __mapping__(self) -> dict[str, Handler]: ...


Answer = Message | Sequence[Message] | GRPCError
"""A message for a unary method; several for a stream; or an error, also behind messages of a stream."""


class Scripted:
    """``answers`` by the names of methods; a method without one answers UNIMPLEMENTED.

    ``requests`` has what came, method and message. A streaming method ends after its messages, or stays open if
    it stands in ``endless``.
    """

    def __init__(
        self, service: type[Generated], answers: Mapping[str, Answer], *, endless: bool = False
    ) -> None:
        self.requests: list[tuple[str, Message]] = []
        self._service = service
        self._answers = answers
        self._endless = endless

    def __mapping__(self) -> dict[str, Handler]:
        return {path: self._handler(path, handler) for path, handler in self._service().__mapping__().items()}

    def _handler(self, path: str, handler: Handler) -> Handler:
        method = path.rpartition("/")[2]

        async def serve(stream: Stream[Message, Message]) -> None:
            request = await stream.recv_message()
            assert request is not None
            self.requests.append((method, request))
            answer = self._answers.get(method, GRPCError(Status.UNIMPLEMENTED, "unknown method"))
            if isinstance(answer, GRPCError):
                raise answer
            for message in [answer] if isinstance(answer, Message) else answer:
                await stream.send_message(message)
            if self._endless and handler.cardinality.server_streaming:
                await anyio.sleep_forever()

        return Handler(serve, handler.cardinality, handler.request_type, handler.reply_type)
