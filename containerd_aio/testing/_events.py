"""Events: published by what happens in the fake, sent to those who have subscribed.

A Subscribe is registered a little after its call has come, and nothing tells when: as on the real daemon, whose
subscribers miss what is published meanwhile (17 to 52 of 100 events published right after the call were missed
on containerd 1.6, 1.7 and 2.1).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.services.events import v1 as api
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Any, Empty
from containerd_aio._transport.codec import decode
from containerd_aio._transport.convert import any_from, timestamp_ns, to_timestamp
from containerd_aio._transport.typeurl import message_class
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.events import Event
from containerd_aio.events import decode as decode_payload
from containerd_aio.testing._calls import Fault, Faults, namespace_of_call
from containerd_aio.testing._filters import Filters, matches, parsed
from containerd_aio.testing._messages import packed
from containerd_aio.testing._statuses import checked_identifier, invalid

EXIT = "/tasks/exit"


@dataclass(eq=False, slots=True)
class Trouble:
    """What becomes of events: sent ``copies`` times, ``seconds`` late. ``times`` is how many more of them."""

    concerns: Callable[[Event], bool]
    copies: int = 1
    seconds: float = 0.0
    times: int | None = None


class _Subscriber:
    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        self.queue: deque[Envelope] = deque()
        self.arrived = asyncio.Event()

    def put(self, envelope: Envelope) -> None:
        self.queue.append(envelope)
        self.arrived.set()


class Exchange:
    """Takes events and hands them to the subscribers whose filters match."""

    def __init__(self, *, subscribe_turns: int) -> None:
        self.subscribe_turns = subscribe_turns
        self.open = 0
        self._troubles: Faults[Trouble] = Faults()
        self._subscribers: set[_Subscriber] = set()

    def trouble(self, trouble: Trouble) -> Fault:
        """Have events go astray from now on."""
        return self._troubles.add(trouble)

    def publish(self, namespace: str, topic: str, event: Message) -> None:
        """Send an event that happened now."""
        self.send(
            Envelope(
                timestamp=to_timestamp(time.time_ns()), namespace=namespace, topic=topic, event=packed(event)
            )
        )

    def send(self, envelope: Envelope) -> None:
        """Send an event, unless a fault says otherwise."""
        copies, seconds = self._fate(envelope)
        if copies and seconds:
            asyncio.get_running_loop().call_later(seconds, self._deliver, envelope, copies)
        else:
            self._deliver(envelope, copies)

    async def stream(self, filters: Filters) -> AsyncGenerator[Envelope]:
        """Register, late, and yield what matches from then on."""
        self.open += 1
        subscriber = _Subscriber(filters)
        try:
            for _ in range(self.subscribe_turns):
                await asyncio.sleep(0)
            self._subscribers.add(subscriber)
            while True:
                await subscriber.arrived.wait()
                while subscriber.queue:
                    yield subscriber.queue.popleft()
                subscriber.arrived.clear()
        finally:
            self.open -= 1
            self._subscribers.discard(subscriber)

    def _deliver(self, envelope: Envelope, copies: int) -> None:
        field = _field_of(envelope)
        for subscriber in self._subscribers:
            if copies and matches(subscriber.filters, field):
                for _ in range(copies):
                    subscriber.put(envelope)

    def _fate(self, envelope: Envelope) -> tuple[int, float]:
        copies, seconds, event = 1, 0.0, None
        for trouble in self._troubles:
            event = event or _event_of(envelope)
            if not trouble.concerns(event):
                continue
            copies *= trouble.copies
            seconds += trouble.seconds
            if trouble.times is not None:
                trouble.times -= 1
                if trouble.times <= 0:
                    self._troubles.remove(trouble)
        return copies, seconds


class EventsService(api.EventsBase):
    """The daemon's Events service."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def publish(self, request: api.PublishRequest, /) -> Empty:
        try:
            namespace = namespace_of_call()
        except GRPCError as error:
            raise GRPCError(error.status, f"failed publishing event: {error.message}") from None
        _check_topic(request.topic)
        if not request.is_set("event"):
            # A daemon of 1.6 panics here, and is gone.
            raise invalid("a publish without an event kills containerd 1.6")
        envelope = Envelope(
            timestamp=to_timestamp(time.time_ns()),
            namespace=namespace,
            topic=request.topic,
            event=request.event,
        )
        self._exchange.send(envelope)
        return Empty()

    async def forward(self, request: api.ForwardRequest, /) -> Empty:
        envelope = request.envelope
        checked_identifier(envelope.namespace, "event envelope has invalid namespace")
        _check_topic(envelope.topic)
        if timestamp_ns(envelope.timestamp) is None:
            raise invalid("timestamp must be set on forwarded event")
        self._exchange.send(envelope)
        return Empty()

    async def subscribe(self, request: api.SubscribeRequest, /) -> AsyncIterator[Envelope]:
        try:
            filters = parsed(request.filters)
        except InvalidArgumentError as error:
            text = f"subscription error: failed parsing subscription filters: filters: parse error: {error}"
            raise GRPCError(Status.UNKNOWN, f"{text}: invalid argument") from error
        async with aclosing(self._exchange.stream(filters)) as stream:
            async for envelope in stream:
                yield envelope


def _check_topic(topic: str) -> None:
    about = f'envelope topic "{topic}"'
    if not topic:
        raise invalid(f"{about}: must not be empty")
    if not topic.startswith("/"):
        raise invalid(f"{about}: must start with '/'")
    if topic == "/":
        raise invalid(f"{about}: must have at least one component")
    for component in topic[1:].split("/"):
        checked_identifier(component, f'{about}: failed validation on component "{component}"')


def _event_of(envelope: Envelope) -> Event:
    return Event(
        timestamp_ns(envelope.timestamp) or 0,
        envelope.namespace,
        envelope.topic,
        decode_payload(any_from(envelope.event)),
    )


def _field_of(envelope: Envelope) -> Callable[[tuple[str, ...]], str | None]:
    decoded: list[Message | None] = []  # only when a filter asks for it, and once

    def field(path: tuple[str, ...]) -> str | None:
        match path:
            case ("topic",):
                return envelope.topic or None
            case ("namespace",):
                return envelope.namespace or None
            case ("event", *rest):
                if not decoded:
                    decoded.append(_message(envelope.event))
                return _value(decoded[0], rest)
            case _:
                return None

    return field


def _message(value: Any) -> Message | None:
    cls = message_class(value.type_url)
    return None if cls is None else decode(cls, value.value)


def _value(message: Message | None, path: list[str]) -> str | None:
    """What a filter sees of an event: its texts, truth values and text maps, also those of its messages."""
    if message is None or not path or path[0] not in type(message).__dataclass_fields__:
        return None
    value = getattr(message, path[0])
    if isinstance(value, Message):
        return _value(value, path[1:])
    if isinstance(value, dict):
        return cast("dict[str, str]", value).get(".".join(path[1:]))
    if isinstance(value, bool):
        return str(value).lower()
    return value or None if isinstance(value, str) else None
