"""From messages to bytes: for each class, the source of one function that writes it, compiled on first use.

Fields go out by number, map entries in the order of the dictionary, unknown fields at the end as they came.
Every function has the same names in it::

    state   the message's __dict__                       field  the field under way, for error messages
    pieces  what has been written, to be joined          data   a value's bytes
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, Final

from containerd_aio._transport.wire import (
    BYTE,
    MAX_DEPTH,
    SIZED,
    EncodeError,
    Field,
    Kind,
    WireError,
    compile_function,
    fields_of,
    indent,
    later,
    name_of,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import betterproto

_encoders: dict[type[Any], Callable[..., bytes]] = {}


def _as_bytes(value: Any) -> bytes:
    if type(value) in (bytearray, memoryview) or isinstance(value, bytes):
        return bytes(value)
    raise WireError(f"got {type(value).__name__}")


_SHARED: Final[dict[str, Any]] = {
    "BYTE": BYTE,
    "WireError": WireError,
    "FLAWS": (WireError, AttributeError, TypeError, UnicodeEncodeError, OverflowError, struct.error),
    "as_bytes": _as_bytes,
    "copysign": math.copysign,
    "encode_text": str.encode,
    "varint": varint,
}


def encoder(cls: type[betterproto.Message]) -> Callable[..., bytes]:
    """The function ``(message, depth=0)`` that gives the bytes of a message of this class."""
    function = _encoders.get(cls)
    if function is None:
        fields = fields_of(cls)
        names = _SHARED | {"failure": _failure_of(cls, fields)}
        for field in fields:
            _add_names(names, field)
        function = _encoders[cls] = compile_function("encode", name_of(cls), _source(fields), names)
    return function


def _failure_of(
    cls: type[betterproto.Message], fields: list[Field]
) -> Callable[[str, Exception], EncodeError]:
    declared = {field.name: field.declared for field in fields}

    def failure(field: str, error: Exception) -> EncodeError:
        if not field:
            return EncodeError(f"{name_of(cls)}: {error}")
        return EncodeError(f"{name_of(cls)}.{field} ({declared[field]}): {error}")

    return failure


def _add_names(names: dict[str, Any], field: Field) -> None:
    """The globals that the code of this field uses."""
    if field.kind.name == "message":
        names[f"class_{field.name}"] = field.type
        later(names, f"encode_{field.name}", encoder, field.type)
    for kind in (field.kind, field.key):
        if kind is not None and kind.packed:
            names[f"pack_{kind.name}"] = struct.Struct(kind.packed).pack


def _source(fields: list[Field]) -> Iterator[str]:
    yield "def encode(message, depth=0):"
    yield "    state = message.__dict__"
    yield "    pieces = []"
    yield "    field = ''"
    yield "    try:"
    yield f"        if depth >= {MAX_DEPTH}: raise WireError('nested too deep')"
    for field in fields:
        yield f"        if '{field.name}' in state:"
        yield f"            field = '{field.name}'; value = state[field]"
        yield from indent(_write_field(field), 3)
    yield "        if '_unknown_fields' in state: pieces.append(state['_unknown_fields'])"
    yield "        return b''.join(pieces)"
    yield "    except FLAWS as error:"
    yield "        raise failure(field, error) from None"


def _write_field(field: Field) -> list[str]:
    """Write the field from ``value``, if it is to be sent."""
    if field.key is not None:
        return _write_map(field, field.key)
    if field.repeated:
        return _write_list(field)
    if field.optional:
        return ["if value is not None:", *indent(_write_value(field, field.number))]
    if field.kind.name == "message":
        # Sent if somebody made or received it, be it empty; one that reading an absent field made, if filled.
        condition = "data or value._serialized_on_wire"
        return [*_encode_message(field), f"if {condition}:", *indent(_write_data(field.number))]
    condition = f"value != {field.kind.zero}"
    if field.kind.name in ("float", "double"):
        condition += " or copysign(1.0, value) < 0"  # -0.0 is equal to zero, and is sent
    return [f"if {condition}:", *indent(_write_value(field, field.number))]


def _write_list(field: Field) -> list[str]:
    check = "if not isinstance(value, (list, tuple)): raise WireError(f'got {type(value).__name__}')"
    if field.kind.wire == SIZED:
        return [check, "for value in value:", *indent(_write_value(field, field.number))]
    return [
        check,
        "if value:",
        "    outer = pieces; pieces = []",
        "    for value in value:",
        *indent(_write_scalar(field.kind, 0, "value"), 2),
        "    data = b''.join(pieces); pieces = outer",
        *indent(_write_data(field.number)),
    ]


def _write_map(field: Field, key: Kind) -> list[str]:
    """Each entry is a message, with both of its fields always written, so that ``{"": ""}`` is not lost."""
    return [
        "if not isinstance(value, dict): raise WireError(f'got {type(value).__name__}')",
        "outer = pieces",
        "for key, value in value.items():",
        "    pieces = []",
        *indent(_write_scalar(key, 1, "key")),
        *indent(_write_value(field, 2, depth="depth + 2")),
        "    data = b''.join(pieces); pieces = outer",
        *indent(_write_data(field.number)),
        "pieces = outer",
    ]


def _write_value(field: Field, number: int, depth: str = "depth + 1") -> list[str]:
    """Write the tag and the value; a value of a wrong type fails here in some way, all of them FLAWS."""
    if field.kind.name == "message":
        return [*_encode_message(field, depth), *_write_data(number)]
    return _write_scalar(field.kind, number, "value")


def _encode_message(field: Field, depth: str = "depth + 1") -> list[str]:
    return [
        f"if value.__class__ is not class_{field.name}: raise WireError(f'got {{type(value).__name__}}')",
        f"data = encode_{field.name}(value, {depth})",
    ]


def _write_data(number: int) -> list[str]:
    tag = varint(number << 3 | SIZED)
    return ["size = len(data)", f"pieces += {tag!r}, BYTE[size] if size < 128 else varint(size), data"]


def _write_scalar(kind: Kind, number: int, value: str) -> list[str]:
    """Write one value; within a packed list, where values have no tags, the number is 0."""
    tag = varint(number << 3 | kind.wire) if number else b""
    if kind.name == "string":
        return [f"data = encode_text({value})", *_write_data(number)]
    if kind.name == "bytes":
        return [f"data = {value} if {value}.__class__ is bytes else as_bytes({value})", *_write_data(number)]
    if kind.name == "bool":
        return [
            f"if {value} is not True and {value} is not False: raise WireError(f'got {{type({value}).__name__}}')",
            f"pieces += {tag!r}, b'\\1' if {value} else b'\\0'",
        ]
    if kind.packed:
        return [f"pieces += {tag!r}, pack_{kind.name}({value})"]
    check = f"if not {kind.low} <= {value} <= {kind.high}: raise WireError(f'{{{value}}} does not fit')"
    if kind.name in ("sint32", "sint64"):
        return [check, f"pieces += {tag!r}, varint({value} << 1 ^ {value} >> 63)"]
    plain = f"BYTE[{value}] if 0 <= {value} < 128 else varint({value} & 0xFFFFFFFFFFFFFFFF)"
    return [check, f"pieces += {tag!r}, {plain}"]
