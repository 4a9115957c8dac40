"""An event, its payload from and to bytes, and as plain JSON for people to read."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from containerd_aio._transport import eventcodec
from containerd_aio.events.gap import Gap
from containerd_aio.events.payloads import PAYLOADS, TYPE_URLS, KnownEvent, Payload, TaskIO, UnknownEvent
from containerd_aio.types.any import AnyValue

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as containerd tells it.

    ``timestamp_ns`` is when it was published, in nanoseconds since 1970; ``namespace`` where. ``topic`` says what
    kind of thing it is (``/tasks/exit``), ``payload`` the rest: one of the dataclasses of
    ``containerd_aio.events``.
    """

    timestamp_ns: int
    namespace: str
    topic: str
    payload: Payload

    @property
    def timestamp(self) -> datetime:
        """When it was published, aware, in UTC; microseconds, while ``timestamp_ns`` is exact."""
        return _EPOCH + timedelta(microseconds=self.timestamp_ns // 1000)


def decode(value: AnyValue | None) -> Payload:
    """Return what the bytes of an event say; an `UnknownEvent` for all that this library cannot read."""
    if value is None:
        return UnknownEvent("", b"")
    fields = eventcodec.fields_of(value)
    if fields is None:
        return UnknownEvent(value.type_url, value.value)
    if io := fields.get("io"):
        fields["io"] = TaskIO(**cast("dict[str, Any]", io))
    return PAYLOADS[value.type_url.rpartition("/")[2]](**cast("dict[str, Any]", fields))


def encode(payload: Payload) -> AnyValue:
    """Return the bytes of a payload, with the name of its type.

    :raises InvalidArgumentError: if a field holds what the wire cannot carry
    """
    if isinstance(payload, UnknownEvent):
        return AnyValue(payload.type_url, payload.value)
    if type(payload) not in TYPE_URLS:
        raise TypeError(f"{payload!r} is no payload of an event: use a class of containerd_aio.events")
    fields: dict[str, object] = {field.name: getattr(payload, field.name) for field in _fields(payload)}
    if io := fields.get("io"):
        fields["io"] = {field.name: getattr(io, field.name) for field in _fields(io)}
    return eventcodec.to_any(TYPE_URLS[type(payload)], fields)


def to_json(item: Event | Gap | Payload) -> dict[str, object]:
    """Return an event, a gap or a payload as what ``json.dumps`` takes, in the style of containerd's own tools.

    * A payload: the schema's keys, ``{"container_id": "web", "id": "web", "pid": 25889, "exited_at": "2017-…"}``.
      Texts that are empty, numbers that are 0 and whatever else is absent are left out. Times are RFC 3339 with
      nine digits, bytes are base64.
    * An event: ``timestamp``, ``namespace``, ``topic``, ``type`` and its payload as ``event``. One of an unknown
      type has its bytes there as ``value``.
    * A gap: ``{"gap": {"since": …, "until": …, "error": "containerd went away"}}``.
    """
    match item:
        case Event(timestamp_ns, namespace, topic, payload):
            return {
                "timestamp": rfc3339(timestamp_ns),
                "namespace": namespace,
                "topic": topic,
                "type": _type_url(payload),
                "event": _object(payload),
            }
        case Gap(since_ns, until_ns, error):
            return {"gap": {"since": rfc3339(since_ns), "until": rfc3339(until_ns), "error": str(error)}}
        case payload:
            return _object(payload)


def _type_url(payload: Payload) -> str:
    return payload.type_url if isinstance(payload, UnknownEvent) else TYPE_URLS[type(payload)]


def _fields(instance: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(instance)


def _object(instance: KnownEvent | UnknownEvent | object) -> dict[str, object]:
    plain: dict[str, object] = {}
    for field in _fields(instance):
        value = getattr(instance, field.name)
        if field.name.endswith("_ns"):
            if value is not None:
                plain[field.name.removesuffix("_ns")] = rfc3339(value)
        elif value:
            plain[field.name] = _plain(value)
    return plain


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, str]", value))
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    return _object(value) if dataclasses.is_dataclass(value) else value


def rfc3339(ns: int) -> str:
    """Return a time in nanoseconds since 1970 as RFC 3339 in UTC: ``2017-06-23T23:21:30.271802153Z``."""
    seconds, nanos = divmod(ns, 1_000_000_000)
    moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds')}.{nanos:09}Z"
