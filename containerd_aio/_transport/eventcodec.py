"""Payloads of events between their bytes and plain fields.

The dataclasses of ``containerd_aio.events`` lie above, so this knows only names: of a message, of its fields, and
of the few fields that are more than text and numbers. Times have ``_ns`` behind their names up there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import betterproto

from containerd_aio._api._message import Message
from containerd_aio._api.containerd import events, types
from containerd_aio._api.containerd.services.images import v1 as images
from containerd_aio._transport import convert, typeurl
from containerd_aio._transport.codec import EncodeError
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, Mount, Runtime


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a message: its name there and up here, and the ways between the two kinds of value."""

    name: str
    plain: str
    up: Callable[[Any], object]
    down: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A message and its fields."""

    message: type[Message]
    fields: tuple[_Field, ...]

    def up(self, message: Message) -> dict[str, object]:
        return {field.plain: field.up(getattr(message, field.name)) for field in self.fields}

    def down(self, plain: Mapping[str, object]) -> Message:
        values = {field.name: field.down(plain[field.plain]) for field in self.fields}
        return self.message(**{name: value for name, value in values.items() if value is not None})


def fields_of(value: AnyValue) -> dict[str, object] | None:
    """Return the fields of a payload by name; ``None`` if its type is not known or its bytes are no such message."""
    shape = _SHAPES.get(value.type_url.rpartition("/")[2])
    if shape is None:
        return None
    try:
        return shape.up(typeurl.unpack(value, shape.message))
    except InvalidArgumentError:
        return None


def to_any(type_url: str, plain: Mapping[str, object]) -> AnyValue:
    """Return the payload with these fields, all of them given, as bytes: the inverse of `fields_of`.

    :raises InvalidArgumentError: if a field cannot be encoded
    """
    try:
        return typeurl.pack(_SHAPES[type_url].down(plain))
    except EncodeError as exc:
        raise InvalidArgumentError(f"this is no {type_url}: {exc}") from exc


def _same(value: object) -> object:
    return value


def _mounts_up(mounts: list[types.Mount]) -> tuple[Mount, ...]:
    return tuple(map(convert.mount_from, mounts))


def _mounts_down(mounts: Iterable[Mount]) -> list[types.Mount]:
    return list(map(convert.to_mount, mounts))


def _io_up(io: events.TaskIo) -> dict[str, object] | None:
    if not betterproto.serialized_on_wire(io):
        return None
    return {"stdin": io.stdin, "stdout": io.stdout, "stderr": io.stderr, "terminal": io.terminal}


def _io_down(io: Mapping[str, Any] | None) -> events.TaskIo | None:
    return None if io is None else events.TaskIo(**io)


def _runtime_up(runtime: events.ContainerCreateRuntime) -> Runtime | None:
    if not betterproto.serialized_on_wire(runtime):
        return None
    return Runtime(runtime.name, convert.any_from(runtime.options))


def _runtime_down(runtime: Runtime | None) -> events.ContainerCreateRuntime | None:
    if runtime is None:
        return None
    return events.ContainerCreateRuntime(name=runtime.name, options=convert.to_any(runtime.options))


_SPECIAL: Final = {
    "exited_at": _Field("exited_at", "exited_at_ns", convert.timestamp_ns, convert.to_timestamp),
    "labels": _Field("labels", "labels", dict, dict),
    "rootfs": _Field("rootfs", "rootfs", _mounts_up, _mounts_down),
    "io": _Field("io", "io", _io_up, _io_down),
    "runtime": _Field("runtime", "runtime", _runtime_up, _runtime_down),
}


def _shape(message: type[Message]) -> _Shape:
    names = [field.name for field in dataclasses.fields(message)]
    return _Shape(message, tuple(_SPECIAL.get(name) or _Field(name, name, _same, _same) for name in names))


_SHAPES: Final = {
    typeurl.type_url(message): _shape(message)
    for message in (
        events.ContainerCreate,
        events.ContainerDelete,
        events.ContainerUpdate,
        events.ContentCreate,
        events.ContentDelete,
        events.NamespaceCreate,
        events.NamespaceDelete,
        events.NamespaceUpdate,
        events.SandboxCreate,
        events.SandboxExit,
        events.SandboxStart,
        events.SnapshotCommit,
        events.SnapshotPrepare,
        events.SnapshotRemove,
        events.TaskCheckpointed,
        events.TaskCreate,
        events.TaskDelete,
        events.TaskExecAdded,
        events.TaskExecStarted,
        events.TaskExit,
        events.TaskOom,
        events.TaskPaused,
        events.TaskResumed,
        events.TaskStart,
        images.ImageCreate,
        images.ImageDelete,
        images.ImageUpdate,
    )
}
