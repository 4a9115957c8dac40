"""Values with the name of their type, by containerd's rules.

A message's type URL is its bare full name: containerd compares the whole text in many places and refuses
protobuf's own ``type.googleapis.com/…`` there. OCI types travel as JSON under registered paths.
"""

from __future__ import annotations

import importlib
import json
from typing import Final, TypeVar

from containerd_aio._api._message import Message
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._transport.codec import DecodeError, decode, encode
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue

M = TypeVar("M", bound=Message)

_RUNTIME_SPEC: Final = "types.containerd.io/opencontainers/runtime-spec/1"

SPEC: Final = f"{_RUNTIME_SPEC}/Spec"
PROCESS: Final = f"{_RUNTIME_SPEC}/Process"
LINUX_RESOURCES: Final = f"{_RUNTIME_SPEC}/LinuxResources"

_PACKAGES: Final = frozenset(
    {
        "containerd.events",
        "containerd.runc.v1",
        "containerd.services.images.v1",  # its events are of this package, not of containerd.events
        "containerd.services.streaming.v1",
        "containerd.types",
        "containerd.types.transfer",
        "google.protobuf",
        "google.rpc",
        "io.containerd.cgroups.v1",
        "io.containerd.cgroups.v2",
        "runtimeoptions.v1",
    }
)
"""The packages whose messages travel in an ``Any``."""


def type_url(message: Message | type[Message]) -> str:
    """Return the type URL of a message: ``containerd.runc.v1.Options``."""
    return message.__proto_name__


def pack(message: Message) -> AnyValue:
    """Return the message as bytes with its type."""
    return AnyValue(type_url(message), encode(message))


def unpack(value: AnyValue, expected: type[M]) -> M:
    """Return the message in ``value``; a prefix before a slash in its type URL is passed over.

    :raises InvalidArgumentError: if it is of another type, or no such message
    """
    if value.type_url.rpartition("/")[2] != type_url(expected):
        raise InvalidArgumentError(f"a {type_url(expected)} is wanted here, not {value.type_url!r}")
    try:
        return decode(expected, value.value)
    except (DecodeError, UnicodeError) as exc:
        raise InvalidArgumentError(f"the value is not a {type_url(expected)}: {exc}") from exc


def message_class(url: str) -> type[Message] | None:
    """Return the class of a type URL, ``None`` where there is none here (JSON types among them)."""
    name = url.rpartition("/")[2]
    package = name.rpartition(".")[0]
    if package not in _PACKAGES:
        return None
    module = importlib.import_module(f"containerd_aio._api.{package}")
    for candidate in vars(module).values():
        if isinstance(candidate, type) and issubclass(candidate, Message) and type_url(candidate) == name:
            return candidate
    return None


def to_bytes(value: AnyValue) -> bytes:
    """Return a value with its type as bytes: an encoded ``google.protobuf.Any``, which containerd stores in blobs."""
    return encode(ProtoAny(type_url=value.type_url, value=value.value))


def from_bytes(data: bytes) -> AnyValue:
    """Return the value with its type that ``to_bytes()`` made.

    :raises InvalidArgumentError: if these bytes are none
    """
    try:
        message = decode(ProtoAny, data)
    except (DecodeError, UnicodeError) as exc:
        raise InvalidArgumentError(f"this is no value with its type: {exc}") from exc
    if not message.type_url:
        raise InvalidArgumentError("this is no value with its type: it names none")
    return AnyValue(message.type_url, message.value)


def json_any(url: str, document: object) -> AnyValue:
    """Return ``document`` as JSON under a type URL such as ``SPEC``.

    :raises InvalidArgumentError: if it holds what JSON cannot
    """
    try:
        text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        return AnyValue(url, text.encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidArgumentError(f"this cannot be written as JSON ({url}): {exc}") from exc


def from_json_any(value: AnyValue) -> object:
    """Return what the JSON in ``value`` says.

    :raises InvalidArgumentError: if it is not JSON
    """
    try:
        document: object = json.loads(value.value)
    except (ValueError, RecursionError) as exc:
        raise InvalidArgumentError(f"the value of {value.type_url!r} is not JSON: {exc}") from exc
    return document
