"""What the protobuf wire format is made of: kinds of values, varints, and what a message class says of itself.

Nothing here knows containerd. ``encoder`` and ``decoder`` turn these descriptions into one function for each
message class.
"""

from __future__ import annotations

import dataclasses
import linecache
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import betterproto

from containerd_aio._api._message import Message, field_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Wire types: the low three bits of a tag. 3 and 4 are groups, which proto3 does not have.
VARINT: Final = 0
FIXED64: Final = 1
SIZED: Final = 2
FIXED32: Final = 5

# Messages inside messages; protobuf's own parsers stop at the same depth.
MAX_DEPTH: Final = 100
MAX_SIZE: Final = 2**31 - 1
_MAX_TAG: Final = 2**32 - 1
_MAX_VARINT: Final = 2**64 - 1


class DecodeError(ValueError):
    """These bytes are not a message of this class; the text names the class and, where known, the field."""


class EncodeError(ValueError):
    """This message cannot be sent as it is; the text names the class and, where known, the field."""


class WireError(Exception):
    """What is wrong, as compiled code finds it; it leaves the codec as a DecodeError or EncodeError."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value of one protobuf type travels. ``zero`` is Python source; ``low`` and ``high`` bound integers;
    ``packed`` is a ``struct`` format."""

    name: str
    wire: int
    zero: str
    low: int = 0
    high: int = 0
    packed: str = ""


_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("string", SIZED, '""'),
        Kind("bytes", SIZED, 'b""'),
        Kind("message", SIZED, "None"),
        Kind("bool", VARINT, "False"),
        Kind("enum", VARINT, "0", *_INT32),
        Kind("int32", VARINT, "0", *_INT32),
        Kind("int64", VARINT, "0", *_INT64),
        Kind("uint32", VARINT, "0", 0, 2**32 - 1),
        Kind("uint64", VARINT, "0", 0, 2**64 - 1),
        Kind("sint32", VARINT, "0", *_INT32),
        Kind("sint64", VARINT, "0", *_INT64),
        Kind("fixed32", FIXED32, "0", packed="<I"),
        Kind("sfixed32", FIXED32, "0", packed="<i"),
        Kind("float", FIXED32, "0.0", packed="<f"),
        Kind("fixed64", FIXED64, "0", packed="<Q"),
        Kind("sfixed64", FIXED64, "0", packed="<q"),
        Kind("double", FIXED64, "0.0", packed="<d"),
    )
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message class. Of a map, ``kind`` and ``type`` are its values', and ``key`` is set."""

    name: str
    number: int
    kind: Kind
    type: type[Any]  # the Python class of one value
    key: Kind | None
    repeated: bool
    optional: bool

    @property
    def declared(self) -> str:
        """The type as the schema writes it, for error messages."""
        one = self.type.__name__ if self.kind.name in ("message", "enum") else self.kind.name
        if self.key is not None:
            return f"map<{self.key.name}, {one}>"
        return f"repeated {one}" if self.repeated else one


def name_of(cls: type[betterproto.Message]) -> str:
    """The message's name in the schema."""
    return getattr(cls, "__proto_name__", "") or cls.__qualname__


def fields_of(cls: type[betterproto.Message]) -> list[Field]:
    """What the class says of its fields, by number."""
    if not issubclass(cls, Message):
        raise TypeError(f"{cls!r} is not a generated message class")
    hints = field_types(cls)
    fields = [_field(field, hints[field.name]) for field in dataclasses.fields(cls)]
    return sorted(fields, key=lambda field: field.number)


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    metadata: betterproto.FieldMetadata = field.metadata["betterproto"]
    container, arguments = typing.get_origin(hint), typing.get_args(hint)
    key, kind = metadata.map_types or ("", metadata.proto_type)
    return Field(
        name=field.name,
        number=metadata.number,
        kind=KINDS[kind],
        # dict[K, V], list[V], Optional[V] or V
        type=arguments[1] if container is dict else arguments[0] if arguments else hint,
        key=KINDS[key] if key else None,
        repeated=container is list,
        optional=bool(metadata.optional),
    )


def read_varint(buf: bytes, pos: int) -> tuple[int, int]:
    """The number of two bytes or more at ``pos``, and the position after it.

    Written out up to five bytes, which is what the seconds and nanoseconds of a Timestamp have.

    :raises WireError: if it has more than 10 bytes or does not fit into 64 bits
    :raises IndexError: if the buffer ends within it
    """
    number, byte = buf[pos] & 0x7F, buf[pos + 1]
    if byte < 0x80:
        return number | byte << 7, pos + 2
    number |= (byte & 0x7F) << 7
    byte = buf[pos + 2]
    if byte < 0x80:
        return number | byte << 14, pos + 3
    number |= (byte & 0x7F) << 14
    byte = buf[pos + 3]
    if byte < 0x80:
        return number | byte << 21, pos + 4
    number |= (byte & 0x7F) << 21
    byte = buf[pos + 4]
    if byte < 0x80:
        return number | byte << 28, pos + 5
    return _read_long_varint(buf, pos)


def _read_long_varint(buf: bytes, pos: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = buf[pos]
        pos += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise WireError("a number of more than 10 bytes")
    if number > _MAX_VARINT:
        raise WireError("a number of more than 64 bits")
    return number, pos


def read_size(buf: bytes, pos: int) -> tuple[int, int]:
    """Like ``read_varint``, for the size that stands before strings, bytes and messages."""
    size, after = read_varint(buf, pos)
    if size > MAX_SIZE or after - pos > 5:
        raise WireError("a size of more than 2 GiB")
    return size, after


def read_tag(buf: bytes, pos: int) -> tuple[int, int]:
    """Like ``read_varint``, for a field number with its wire type, which must be in its shortest form."""
    tag, after = read_varint(buf, pos)
    if tag > _MAX_TAG:
        raise WireError("a field number of more than 29 bits")
    if buf[after - 1] == 0:
        raise WireError("a field number padded with zeros")
    return tag, after


def skip(buf: bytes, pos: int, tag: int) -> int:
    """The position after an unknown field's value, which may be beyond the end of the buffer.

    :raises WireError: if the tag is none
    :raises IndexError: if the buffer ends within it
    """
    wire = tag & 7
    if tag < 8:
        raise WireError("field number 0")
    if wire == VARINT:
        _, pos = read_varint(buf, pos) if buf[pos] > 0x7F else (0, pos + 1)
    elif wire == SIZED:
        size, pos = read_size(buf, pos) if buf[pos] > 0x7F else (buf[pos], pos + 1)
        pos += size
    elif wire in (FIXED32, FIXED64):
        pos += 4 if wire == FIXED32 else 8
    else:
        raise WireError(f"wire type {wire} (groups are not supported)" if wire < 5 else f"wire type {wire}")
    return pos


ENDS_EARLY: Final = "the bytes end in the middle of it"

BYTE: Final = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """The bytes of a number from 0 to 2**64 - 1."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def compile_function(
    name: str, about: str, lines: Iterable[str], names: dict[str, Any]
) -> Callable[..., Any]:
    """Compile the source of one function, whose globals are ``names``.

    The source is kept where tracebacks, debuggers and ``inspect.getsource()`` look for it.
    """
    source = [line + "\n" for line in lines]
    file = f"<{name} of {about}>"
    text = "".join(source)
    exec(compile(text, file, "exec"), names)
    linecache.cache[file] = (len(text), None, source, file)
    return typing.cast("Callable[..., Any]", names[name])


def later(
    names: dict[str, Any],
    name: str,
    build: Callable[[type[betterproto.Message]], Any],
    cls: type[betterproto.Message],
) -> None:
    """Put a function under ``name`` that is built on its first call, and then replaces itself there.

    A class compiles without those that it refers to, and may refer to itself.
    """

    def first(*arguments: Any) -> Any:
        names[name] = build(cls)
        return names[name](*arguments)

    names[name] = first


def indent(lines: Iterable[str], depth: int = 1) -> list[str]:
    return ["    " * depth + line for line in lines]
