"""Subscribe, Publish and Forward, with containerd's traps taken out.

Subscribe knows no namespaces: it gives the events of all unless a filter says which. A Publish without an event
makes containerd 1.6 crash. A bad filter ends the stream with UNKNOWN.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, Literal, overload

from containerd_aio._api.containerd.services.events import v1 as api
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import to_any, to_timestamp
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.events import Event, Gap, Payload, encode
from containerd_aio.filters import names_field, where
from containerd_aio.services.events.knock import PAYLOAD, new_topic
from containerd_aio.services.events.stream import RawEvent, RawEvents
from containerd_aio.services.events.subscription import MAX_LAG, Subscription
from containerd_aio.types import AnyValue
from containerd_aio.types.identifier import check_identifier

_SERVICE: Final = "containerd.services.events.v1.Events/"


class Events:
    """The events of one namespace, or of all."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @overload
    def subscribe(
        self,
        *filters: str,
        all_namespaces: bool = False,
        max_lag: int = MAX_LAG,
        on_gap: Literal["raise"] = "raise",
    ) -> Subscription[Event]: ...

    @overload
    def subscribe(
        self,
        *filters: str,
        all_namespaces: bool = False,
        max_lag: int = MAX_LAG,
        on_gap: Literal["resume"],
    ) -> Subscription[Event | Gap]: ...

    def subscribe(
        self,
        *filters: str,
        all_namespaces: bool = False,
        max_lag: int = MAX_LAG,
        on_gap: Literal["raise", "resume"] = "raise",
    ) -> Subscription[Event] | Subscription[Event | Gap]:
        """Return what yields the events that match any of the filters; all without one.

        Their fields: ``topic``, ``namespace``, and ``event.<field>`` for texts in the payload, such as
        ``event.container_id`` or ``event.labels.<key>``. Numbers and times cannot be filtered. A filter that
        names no namespace gets the client's own, unless ``all_namespaces`` is set.

        Nothing is sent before it is entered or iterated. The knocks of this library (``/containerd-aio/…``) are
        never yielded.

        Events are missed when containerd goes away, when it ends the stream, and when the reader lags more than
        ``max_lag`` events behind: then the stream is given up, so that containerd's own queue cannot grow.
        ``on_gap`` says what the reader gets behind the last event before that:

        * ``"raise"``: ``ConnectionLostError``, ``EventsLostError``, or what else ended the stream
        * ``"resume"``: a `Gap`, once there is a live stream again, and then its events. containerd is tried
          for ever, with pauses that grow to a second; one that was lagged behind, when the reader has caught up.
          One gap for each loss; those that the reader did not come to in between are one. Where the
          subscription was entered, the new stream is proved to be live as the first one was; where it was not,
          or Publish is refused by now, it is taken for live after a tenth of a second. What is refused for good
          (a filter, a permission, a closed client) is raised, and so is a failure of the first stream.

        :raises InvalidArgumentError: if a filter cannot be parsed, ``max_lag`` is less than 1, or ``on_gap`` is
            something else
        """
        if max_lag < 1:
            raise InvalidArgumentError(f"max_lag must be at least 1; it is {max_lag}")
        if on_gap not in ("raise", "resume"):
            raise InvalidArgumentError(f'on_gap must be "raise" or "resume"; it is {on_gap!r}')
        knock_topic = new_topic()
        wanted = [self._in_namespace(text, all_namespaces) for text in filters or ("",)]
        open_stream = partial(self.stream, *wanted, where(topic=knock_topic))
        publish_knock = partial(self.publish_any, knock_topic, PAYLOAD)
        if on_gap == "resume":
            return Subscription[Event | Gap](open_stream, publish_knock, resumes=True, max_lag=max_lag)
        return Subscription[Event](open_stream, publish_knock, resumes=False, max_lag=max_lag)

    async def publish(self, topic: str, payload: Payload) -> None:
        """Publish an event in the client's namespace.

        :raises InvalidArgumentError: if the topic is none (``/`` and identifiers), or the payload has no type
        """
        await self.publish_any(topic, encode(payload))

    async def forward(self, event: Event) -> None:
        """Pass an event on as it is, with its own time and namespace.

        :raises InvalidArgumentError: if its topic or namespace is none, its time is 0, or its payload has no type
        """
        _check_topic(event.topic)
        check_identifier("namespace", event.namespace)
        if not event.timestamp_ns:
            raise InvalidArgumentError("an event that is forwarded needs its time")
        envelope = Envelope(
            timestamp=to_timestamp(event.timestamp_ns),
            namespace=event.namespace,
            topic=event.topic,
            event=to_any(encode(event.payload)),
        )
        await self._caller.unary(
            _SERVICE + "Forward", api.ForwardRequest(envelope=envelope), Empty, quick=True, about=event.topic
        )

    async def publish_any(self, topic: str, payload: AnyValue) -> None:
        """Publish bytes as they are; else as `publish`."""
        _check_topic(topic)
        request = api.PublishRequest(topic=topic, event=to_any(payload))
        await self._caller.unary(_SERVICE + "Publish", request, Empty, quick=True, about=topic)

    def stream(self, *filters: str) -> AbstractAsyncContextManager[AsyncIterator[RawEvent]]:
        """Make the bare call: in the block, the events as they come, of all namespaces, knocks among them.

        Nothing is checked or added, and nobody knows when it is live. The iterator ends when containerd ends the
        stream. Whoever does not read it makes containerd's own queue grow.
        """
        return self._stream(filters)

    @asynccontextmanager
    async def _stream(self, filters: tuple[str, ...]) -> AsyncGenerator[AsyncIterator[RawEvent], None]:
        request = api.SubscribeRequest(filters=[*filters])
        async with self._caller.server_stream(_SERVICE + "Subscribe", request, Envelope) as envelopes:
            yield RawEvents(envelopes)

    def _in_namespace(self, text: str, all_namespaces: bool) -> str:
        named = names_field(text, "namespace")
        if named or all_namespaces or not self._caller.namespace:
            return text
        own = where(namespace=self._caller.namespace)
        return f"{text},{own}" if text else own


def _check_topic(topic: str) -> None:
    if not topic.startswith("/"):
        raise InvalidArgumentError(f"the topic {topic!r} must begin with '/', as in /tasks/exit")
    for component in topic[1:].split("/"):
        check_identifier(f"part of the topic {topic!r}", component)
