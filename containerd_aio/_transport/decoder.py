"""From bytes to messages: for each class, the source of one function that reads it, compiled on first use.

The source is what one would write by hand for that class: a loop that reads a tag and an ``if`` for each field.
Every function has the same names in it::

    buf    the bytes                    pos   where it reads               end   where its message ends
    state  the message's __dict__       tag   field number << 3 | wire type
    value  what was read                stop  where a sized value ends

What says that it is longer than the bytes that are left is read all the same, and found one step later: then
``pos`` is beyond ``end``, or the bytes are at an end. Nothing that was read by then is ever seen.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import betterproto

from containerd_aio._transport.wire import (
    ENDS_EARLY,
    MAX_DEPTH,
    SIZED,
    DecodeError,
    Field,
    Kind,
    WireError,
    compile_function,
    fields_of,
    indent,
    later,
    name_of,
    read_size,
    read_tag,
    read_varint,
    skip,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_decoders: dict[type[Any], Callable[..., Any]] = {}

_SHARED: Final[dict[str, Any]] = {
    "WireError": WireError,
    "ENDS_EARLY": ENDS_EARLY,
    "FLAWS": (WireError, IndexError, UnicodeDecodeError, struct.error),
    "new": object.__new__,
    "read_size": read_size,
    "read_tag": read_tag,
    "read_varint": read_varint,
    "skip": skip,
}


def decoder(cls: type[betterproto.Message]) -> Callable[..., Any]:
    """The function ``(buf, pos, end, depth=0, message=None)`` that reads a message of this class.

    Given a message, it merges what it reads into that one.
    """
    function = _decoders.get(cls)
    if function is None:
        fields = fields_of(cls)
        names = _SHARED | {"cls": cls, "failure": _failure_of(cls, fields)}
        names["NUMBERS"] = frozenset(field.number for field in fields)
        for field in fields:
            _add_names(names, field)
        function = _decoders[cls] = compile_function("decode", name_of(cls), _source(fields), names)
    return function


def _failure_of(
    cls: type[betterproto.Message], fields: list[Field]
) -> Callable[[int, Exception], DecodeError]:
    names = {field.number: field.name for field in fields}

    def failure(tag: int, error: Exception) -> DecodeError:
        where = name_of(cls)
        if tag:
            where += "." + names.get(tag >> 3, f"<unknown field {tag >> 3}>")
        if isinstance(error, UnicodeDecodeError):
            return DecodeError(f"{where}: not UTF-8")
        return DecodeError(f"{where}: {error if isinstance(error, WireError) else ENDS_EARLY}")

    return failure


def _add_names(names: dict[str, Any], field: Field) -> None:
    """The globals that the code of this field uses."""
    if field.kind.name == "message":
        later(names, f"decode_{field.name}", decoder, field.type)
    elif field.kind.name == "enum":
        assert issubclass(field.type, betterproto.Enum)
        names[f"members_{field.name}"] = {member.value: member for member in field.type}
        names[f"other_{field.name}"] = field.type.try_value
    for kind in (field.kind, field.key):
        if kind is not None and kind.packed:
            names[f"unpack_{kind.name}"] = struct.Struct(kind.packed).unpack_from


def _source(fields: list[Field]) -> Iterator[str]:
    yield "def decode(buf, pos, end, depth=0, message=None):"
    yield "    if message is None: message = new(cls)"
    yield "    state = message.__dict__; tag = 0"
    yield "    try:"
    yield f"        if depth >= {MAX_DEPTH}: raise WireError('nested too deep')"
    yield "        while pos < end:"
    yield "            tag = buf[pos]; pos += 1"
    # Numbers up to 15 have a tag of one byte; for all others, and unknown ones, it is read again in full.
    yield from indent(_choice([field for field in fields if field.number < 16]), 3)
    yield "            start = pos - 1"
    yield "            if tag > 127:"
    yield "                tag = 0  # none, should reading it fail"
    yield "                tag, pos = read_tag(buf, start)"
    yield from indent(_choice([field for field in fields if field.number >= 16]), 4)
    yield "            if tag >> 3 in NUMBERS: raise WireError(f'it has wire type {tag & 7}')"
    yield "            pos = skip(buf, pos, tag)"
    # A bytearray, because adding to bytes takes quadratic time.
    yield "            unknown = state.get('_unknown_fields')"
    yield "            if unknown is None: unknown = state['_unknown_fields'] = bytearray()"
    yield "            unknown += buf[start:pos]"
    yield "        if pos != end: raise WireError(ENDS_EARLY)"
    yield "    except FLAWS as error:"
    yield "        raise failure(tag, error) from None"
    yield "    return message"


def _choice(fields: list[Field]) -> list[str]:
    """Read one of these fields and go on with the next; fall through if it is none of them."""
    lines: list[str] = []
    for field in fields:
        for tag, code in _branches(field):
            lines += [f"{'elif' if lines else 'if'} tag == {tag}:", *indent([*code, "continue"])]
    return lines


def _branches(field: Field) -> Iterator[tuple[int, list[str]]]:
    """The tags that this field may come with, each with the code that reads it."""
    own_tag, sized_tag = field.number << 3 | field.kind.wire, field.number << 3 | SIZED
    if field.key is not None:
        entries = _while_it_lasts(sized_tag, _read_map_entry(field, field.key))
        yield sized_tag, [*_get_or_make(field, "{}"), *entries]
    elif field.repeated:
        get_list = _get_or_make(field, "[]")
        yield own_tag, [*get_list, *_while_it_lasts(own_tag, [*_read_value(field), "values.append(value)"])]
        if field.kind.wire != SIZED:
            # Repeated numbers usually come in one piece; a reader takes both forms.
            yield sized_tag, [*get_list, *_read_packed(field)]
    else:
        yield own_tag, _read_single(field)


def _read_single(field: Field) -> list[str]:
    target = f"state['{field.name}']"
    if field.kind.name in ("string", "bytes"):
        return _read_scalar(field.kind, field.name, target)
    return [*_read_value(field, merge=f"state.get('{field.name}')"), f"{target} = value"]


def _get_or_make(field: Field, empty: str) -> list[str]:
    return [
        f"values = state.get('{field.name}')",
        f"if values is None: values = state['{field.name}'] = {empty}",
    ]


def _while_it_lasts(tag: int, lines: list[str]) -> list[str]:
    """Stay here as long as the next value is of the same field: the elements of a list come in a row."""
    if tag > 127:
        return lines
    return ["while True:", *indent(lines), f"    if pos >= end or buf[pos] != {tag}: break", "    pos += 1"]


def _read_packed(field: Field) -> list[str]:
    return [
        *_read_stop(),
        "packed_end = stop",
        "while pos < packed_end:",
        *indent(_read_value(field)),
        "    values.append(value)",
        "if pos != packed_end: raise WireError(ENDS_EARLY)",
    ]


def _read_map_entry(field: Field, key: Kind) -> list[str]:
    """An entry is a message of its own, with the key as field 1 and the value as field 2."""
    key_tag, value_tag = 1 << 3 | key.wire, 2 << 3 | field.kind.wire
    read_key = _read_scalar(key, "", "key")
    read_value = _read_value(field, depth="depth + 2", merge="value")
    lines = [
        *_read_stop(),
        f"entry_end = stop; key = {key.zero}; value = {_zero(field)}",
        # Entries are the key and then the value; the loop takes them in any other order.
        f"if pos < entry_end and buf[pos] == {key_tag}:",
        *indent(["pos += 1", *read_key, f"if pos < entry_end and buf[pos] == {value_tag}:"]),
        *indent(["pos += 1", *read_value], 2),
        "while pos < entry_end:",
        "    entry_tag = buf[pos]; pos += 1",
        f"    if entry_tag == {key_tag}:",
        *indent(read_key, 2),
        f"    elif entry_tag == {value_tag}:",
        *indent(read_value, 2),
        "    else: raise WireError('an entry has more than a key and a value of its types')",
        "if pos != entry_end: raise WireError(ENDS_EARLY)",
    ]
    if field.kind.name == "message":
        lines.append(f"if value is None: value = decode_{field.name}(buf, pos, pos, depth + 2)")
    return [*lines, "values[key] = value"]


def _zero(field: Field) -> str:
    return f"other_{field.name}(0)" if field.kind.name == "enum" else field.kind.zero


def _read_value(field: Field, depth: str = "depth + 1", merge: str = "None") -> list[str]:
    """Read one value into ``value``; a message is merged into the one that ``merge`` says, if any."""
    if field.kind.name != "message":
        return _read_scalar(field.kind, field.name, "value")
    return [*_read_stop(), f"value = decode_{field.name}(buf, pos, stop, {depth}, {merge})", "pos = stop"]


def _read_stop() -> list[str]:
    return [
        "stop = buf[pos]; pos += 1",
        "if stop > 127:",
        "    if buf[pos] < 128: stop += (buf[pos] << 7) - 128; pos += 1",
        "    else: stop, pos = read_size(buf, pos - 1)",
        "stop += pos",
    ]


def _read_scalar(kind: Kind, field_name: str, target: str) -> list[str]:
    if kind.name == "string":
        return [*_read_stop(), f"{target} = buf[pos:stop].decode(); pos = stop"]
    if kind.name == "bytes":
        return [*_read_stop(), f"{target} = buf[pos:stop]; pos = stop"]
    if kind.packed:
        size = struct.calcsize(kind.packed)
        return [f"{target} = unpack_{kind.name}(buf, pos)[0]; pos += {size}"]
    return [
        f"{target} = buf[pos]; pos += 1",
        f"if {target} > 127: {target}, pos = read_varint(buf, pos - 1)",
        *_from_varint(kind, field_name, target),
    ]


def _from_varint(kind: Kind, field_name: str, target: str) -> list[str]:
    """Make the number that was read into what it stands for; 32-bit types take the low 32 bits."""
    to_int32 = f"if {target} > 0x7FFFFFFF: {target} = (({target} & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000"
    return {
        "bool": [f"{target} = {target} != 0"],
        "uint64": [],
        "uint32": [f"{target} &= 0xFFFFFFFF"],
        "int64": [f"if {target} > 0x7FFFFFFFFFFFFFFF: {target} -= 0x10000000000000000"],
        "int32": [to_int32],
        "sint32": [f"{target} &= 0xFFFFFFFF", f"{target} = ({target} >> 1) ^ -({target} & 1)"],
        "sint64": [f"{target} = ({target} >> 1) ^ -({target} & 1)"],
        "enum": [
            to_int32,
            f"member = members_{field_name}.get({target})",
            f"{target} = other_{field_name}({target}) if member is None else member",
        ],
    }[kind.name]
