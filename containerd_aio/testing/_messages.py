"""Small things of the wire: times, packed messages, and changes by a field mask."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from containerd_aio._api._message import Message
from containerd_aio._api.google.protobuf import Any, Timestamp
from containerd_aio._transport.codec import encode
from containerd_aio._transport.convert import to_timestamp

ZERO_TIME: Final = Timestamp(seconds=-62_135_596_800)
"""Go's zero time, the year 1: what the daemon sends where there is no time."""


def now() -> Timestamp:
    """Return the time now."""
    return to_timestamp(time.time_ns())


def time_of(ns: int | None) -> Timestamp:
    """Return a time in ns as the daemon sends it."""
    return ZERO_TIME if ns is None else to_timestamp(ns)


def packed(message: Message) -> Any:
    """Return the message with the name of its type."""
    return Any(type_url=message.__proto_name__, value=encode(message))


def without_empty(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels that are stored: one with an empty value is none."""
    return {key: value for key, value in labels.items() if value}


def with_label(labels: dict[str, str], key: str, given: dict[str, str]) -> dict[str, str]:
    """Return the labels with one of them as ``given`` has it: changed, added or, where it is empty, removed."""
    return without_empty({**labels, key: given.get(key, "")})


def split_path(path: str, whole: Iterable[str]) -> tuple[str, str]:
    """Return a mask's path as field and key: ``labels.a.b`` is ``("labels", "a.b")`` if ``labels`` is a map in
    ``whole``; the key is empty for a whole field."""
    field, dot, key = path.partition(".")
    return (field, key) if dot and field in whole else (path, "")
