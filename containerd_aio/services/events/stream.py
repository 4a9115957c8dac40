"""Events as they come over the wire, their payloads not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from containerd_aio._transport.convert import any_from, timestamp_ns
from containerd_aio.types import AnyValue

if TYPE_CHECKING:
    from containerd_aio._api.containerd.types import Envelope
    from containerd_aio._transport.call import Incoming


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event whose payload is still bytes, ``None`` where it has none; else as ``events.Event``."""

    timestamp_ns: int
    namespace: str
    topic: str
    payload: AnyValue | None


class RawEvents:
    """The answers of Subscribe; ends when containerd ends them."""

    def __init__(self, envelopes: Incoming[Envelope]) -> None:
        self._envelopes = envelopes

    def __aiter__(self) -> RawEvents:
        return self

    async def __anext__(self) -> RawEvent:
        envelope = await anext(self._envelopes)
        return RawEvent(
            timestamp_ns(envelope.timestamp) or 0,
            envelope.namespace,
            envelope.topic,
            any_from(envelope.event),
        )
