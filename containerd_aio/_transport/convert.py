"""Between the generated messages and the words of ``types``, for what several services have in common.

The absent is told from the empty: protobuf's "not there" becomes ``None`` and ``None`` is not sent. containerd
sends Go's zero time (the year 1) where it means no time.
"""

from __future__ import annotations

from typing import Final

import betterproto

from containerd_aio._api._message import absent
from containerd_aio._api.containerd import types as api
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, Descriptor, Mount, Platform

_SECOND: Final = 1_000_000_000
_YEAR_1: Final = -62_135_596_800
"""0001-01-01T00:00:00Z, the earliest time of a Timestamp; Go's ``time.Time{}``."""

_YEAR_10000: Final = 253_402_300_800


def timestamp_ns(message: Timestamp) -> int | None:
    """Return the nanoseconds since 1970; ``None`` for an absent time, the year 1, and what is out of range."""
    if not betterproto.serialized_on_wire(message) or not _YEAR_1 < message.seconds < _YEAR_10000:
        return None
    return message.seconds * _SECOND + message.nanos


def to_timestamp(ns: int | None) -> Timestamp:
    """Return the message for a time; for ``None`` one that is not sent.

    :raises InvalidArgumentError: if the time is not in the years 1 to 9999
    """
    if ns is None:
        return absent(Timestamp)
    seconds, nanos = divmod(ns, _SECOND)
    if not _YEAR_1 <= seconds < _YEAR_10000:
        raise InvalidArgumentError(f"the time {ns} ns is not in the years 1 to 9999")
    return Timestamp(seconds=seconds, nanos=nanos)


def descriptor_from(message: api.Descriptor) -> Descriptor:
    """Return the descriptor that containerd sent; its message has no platform."""
    return Descriptor(message.media_type, message.digest, message.size, dict(message.annotations))


def to_descriptor(descriptor: Descriptor) -> api.Descriptor:
    """Return the message for a descriptor, without its platform."""
    return api.Descriptor(
        media_type=descriptor.media_type,
        digest=descriptor.digest,
        size=descriptor.size,
        annotations=dict(descriptor.annotations),
    )


def mount_from(message: api.Mount) -> Mount:
    """Return the mount that containerd sent."""
    return Mount(message.type, message.source, message.target, tuple(message.options))


def to_mount(mount: Mount) -> api.Mount:
    """Return the message for a mount."""
    return api.Mount(type=mount.type, source=mount.source, target=mount.target, options=list(mount.options))


def platform_from(message: api.Platform) -> Platform:
    """Return the platform that containerd sent; ``os_version`` since 2.0, ``os_features`` since 2.3."""
    return Platform(
        message.os, message.architecture, message.variant, message.os_version, tuple(message.os_features)
    )


def any_from(message: ProtoAny) -> AnyValue | None:
    """Return the value that containerd sent, ``None`` where it sent none or one without a type."""
    if not message.type_url:
        return None
    return AnyValue(message.type_url, message.value)


def to_any(value: AnyValue | None) -> ProtoAny:
    """Return the message for a value; for ``None`` one that is not sent: an empty ``Any`` confuses containerd.

    :raises InvalidArgumentError: if the value has no type
    """
    if value is None:
        return absent(ProtoAny)
    if not value.type_url:
        raise InvalidArgumentError("a value needs the name of its type")
    return ProtoAny(type_url=value.type_url, value=value.value)
