"""An exchange of events that is no kinder than containerd's: late to register, silent, and easily gone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from grpclib import GRPCError

from containerd_aio._api.containerd.services.events import v1 as api
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Any, Empty, Timestamp
from containerd_aio._transport.convert import to_any
from containerd_aio.events import Payload, encode
from containerd_aio.filters import Operator, Selector, parse
from containerd_aio.services.events import Events
from tests.services.serving import NAMESPACE, serving


class Exchange(api.EventsBase):
    """Passes on what is published or sent to those who subscribed, by ``topic`` and ``namespace`` only."""

    def __init__(self) -> None:
        self.lost_at_first = 0
        """How many Publish calls are answered and go nowhere, as before containerd registers a subscriber."""
        self.refusal: GRPCError | None = None
        self.publish_hangs = False
        self.publish_refusal: GRPCError | None = None
        self.subscribed: list[list[str]] = []
        self.published: list[api.PublishRequest] = []
        self.forwarded: list[Envelope] = []
        self._readers: list[
            tuple[list[tuple[Selector, ...]], asyncio.Queue[Envelope | GRPCError | None]]
        ] = []
        self._changed = anyio.Event()

    @property
    def open_streams(self) -> int:
        return len(self._readers)

    async def until_open(self, streams: int) -> None:
        """Wait until so many streams are open."""
        while self.open_streams != streams:
            await self._changed.wait()

    def send(self, topic: str, payload: Payload, *, namespace: str = NAMESPACE, seconds: int = 1) -> None:
        """Give an event to those who want it."""
        self._pass_on(namespace, topic, to_any(encode(payload)), seconds)

    def end(self, error: GRPCError | None = None) -> None:
        """End all streams, in good order or with an error."""
        for _, queue in self._readers:
            queue.put_nowait(error)

    async def subscribe(self, request: api.SubscribeRequest, /) -> AsyncIterator[Envelope]:
        self.subscribed.append(request.filters)
        if self.refusal is not None:
            raise self.refusal
        reader = (
            [parse(text) for text in request.filters or [""]],
            asyncio.Queue[Envelope | GRPCError | None](),
        )
        self._readers.append(reader)
        self._note_change()
        try:
            while (item := await reader[1].get()) is not None:
                if isinstance(item, GRPCError):
                    raise item
                yield item
        finally:
            self._readers.remove(reader)
            self._note_change()

    async def publish(self, request: api.PublishRequest, /) -> Empty:
        self.published.append(request)
        if self.publish_hangs:
            await anyio.sleep_forever()
        if self.publish_refusal is not None:
            raise self.publish_refusal
        if len(self.published) > self.lost_at_first:
            self._pass_on(NAMESPACE, request.topic, request.event, 1)
        return Empty()

    async def forward(self, request: api.ForwardRequest, /) -> Empty:
        self.forwarded.append(request.envelope)
        return Empty()

    def _pass_on(self, namespace: str, topic: str, event: Any, seconds: int) -> None:
        envelope = Envelope(
            timestamp=Timestamp(seconds=seconds), namespace=namespace, topic=topic, event=event
        )
        fields = {"topic": topic, "namespace": namespace}
        for filters, queue in self._readers:
            if any(all(_matches(selector, fields) for selector in selectors) for selectors in filters):
                queue.put_nowait(envelope)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _matches(selector: Selector, fields: dict[str, str]) -> bool:
    value = fields.get(".".join(selector.path), "")
    match selector.operator:
        case Operator.EQUALS:
            return value == selector.value
        case Operator.DIFFERS:
            return value != selector.value
        case Operator.MATCHES:
            return re.search(selector.value, value) is not None
        case Operator.PRESENT:
            return bool(value)


@asynccontextmanager
async def exchanging(exchange: Exchange, *, namespace: str = NAMESPACE) -> AsyncIterator[Events]:
    """Serve it while the block runs, to a client in ``namespace``."""
    async with serving(exchange) as served:
        yield Events(served.caller.connection.caller(namespace))


def topics(requests: Sequence[api.PublishRequest]) -> list[str]:
    return [request.topic for request in requests]
