"""Payloads of events between their bytes and plain fields.

The dataclasses of ``containerd_aio.events`` lie above, so this knows only names: of a message, of its fields, and
of the few fields that are more than text and numbers. Times have ``_ns`` behind their names up there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.types import Mount as MountMessage
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio._transport import convert, typeurl
from containerd_aio.errors import ContainerdError
from containerd_aio.types.any import AnyValue
from containerd_aio.types.container import Runtime


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

    message: type[Any]
    fields: tuple[_Field, ...]

    def up(self, message: Any) -> dict[str, object]:
        return {field.plain: field.up(getattr(message, field.name)) for field in self.fields}

    def down(self, plain: Mapping[str, object]) -> Any:
        values = {field.name: field.down(plain[field.plain]) for field in self.fields}
        return self.message(**{name: value for name, value in values.items() if value is not None})


def fields_of(value: AnyValue) -> dict[str, object] | None:
    """Return the fields of an event's payload by name; ``None`` if its type is unknown or its bytes are no such."""
    shape = _SHAPES.get(value.type_url)
    if shape is None:
        return None
    try:
        return shape.up(typeurl.unpack(value, shape.message))
    except ContainerdError:
        return None


def to_any(type_url: str, plain: Mapping[str, object]) -> AnyValue:
    """Return the payload with these fields, all of them given, as bytes: the inverse of `fields_of`."""
    return typeurl.pack(_SHAPES[type_url].down(plain))


def _same(value: object) -> object:
    return value


def _field(name: str) -> _Field:
    match name:
        case "exited_at":
            return _Field(name, "exited_at_ns", convert.timestamp_ns, _time_down)
        case "labels":
            return _Field(name, name, dict, dict)
        case "rootfs":
            return _Field(name, name, _mounts_up, _mounts_down)
        case "io":
            return _Field(name, name, _io_up, _io_down)
        case "runtime":
            return _Field(name, name, _runtime_up, _runtime_down)
        case _:
            return _Field(name, name, _same, _same)


def _time_down(ns: int | None) -> Timestamp | None:
    return None if ns is None else convert.to_timestamp(ns)


def _mounts_up(mounts: list[MountMessage]) -> object:
    return tuple(map(convert.mount_from, mounts))


def _mounts_down(mounts: Any) -> object:
    return [convert.to_mount(mount) for mount in mounts]


_IO_FIELDS: Final = ("stdin", "stdout", "stderr", "terminal")


def _io_up(io: events.TaskIo) -> object:
    return {name: getattr(io, name) for name in _IO_FIELDS} if io else None


def _io_down(io: Mapping[str, Any] | None) -> object:
    return None if io is None else events.TaskIo(**io)


def _runtime_up(runtime: events.ContainerCreateRuntime) -> object:
    if not runtime:
        return None
    return Runtime(runtime.name, convert.any_from(runtime.options))


def _runtime_down(runtime: Runtime | None) -> object:
    if runtime is None:
        return None
    options = {} if runtime.options is None else {"options": convert.to_any(runtime.options)}
    return events.ContainerCreateRuntime(name=runtime.name, **options)
