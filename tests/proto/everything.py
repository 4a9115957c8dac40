"""A message with every kind of field that the wire format has, most of which containerd does not use."""

from __future__ import annotations

import dataclasses
import typing

import betterproto
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from containerd_aio._api._message import Enum, Message, field_types


class Colour(Enum):
    NONE = 0
    RED = 1
    BELOW = -1


class Everything(Message):
    """Refers to itself, too, so that it can be nested without end."""

    __proto_name__ = "test.Everything"

    a_double: float = betterproto.double_field(1)
    a_float: float = betterproto.float_field(2)
    an_int32: int = betterproto.int32_field(3)
    an_int64: int = betterproto.int64_field(4)
    a_uint32: int = betterproto.uint32_field(5)
    a_uint64: int = betterproto.uint64_field(6)
    a_sint32: int = betterproto.sint32_field(7)
    a_sint64: int = betterproto.sint64_field(8)
    a_fixed32: int = betterproto.fixed32_field(9)
    a_fixed64: int = betterproto.fixed64_field(10)
    a_sfixed32: int = betterproto.sfixed32_field(11)
    a_sfixed64: int = betterproto.sfixed64_field(12)
    a_bool: bool = betterproto.bool_field(13)
    a_string: str = betterproto.string_field(14)
    strings: list[str] = betterproto.string_field(15)
    # From here on a tag has two bytes.
    a_bytes: bytes = betterproto.bytes_field(16)
    a_colour: Colour = betterproto.enum_field(17)
    child: Everything = betterproto.message_field(18)
    children: list[Everything] = betterproto.message_field(19)
    doubles: list[float] = betterproto.double_field(20)
    sints: list[int] = betterproto.sint64_field(21)
    bools: list[bool] = betterproto.bool_field(22)
    colours: list[Colour] = betterproto.enum_field(23)
    fixeds: list[int] = betterproto.fixed32_field(24)
    names: dict[int, str] = betterproto.map_field(25, betterproto.TYPE_SINT32, betterproto.TYPE_STRING)
    flags: dict[bool, float] = betterproto.map_field(26, betterproto.TYPE_BOOL, betterproto.TYPE_DOUBLE)
    paints: dict[str, Colour] = betterproto.map_field(27, betterproto.TYPE_STRING, betterproto.TYPE_ENUM)
    family: dict[int, Everything] = betterproto.map_field(
        28, betterproto.TYPE_FIXED64, betterproto.TYPE_MESSAGE
    )
    maybe_int: int | None = betterproto.int32_field(29, optional=True)
    maybe_string: str | None = betterproto.string_field(30, optional=True)
    maybe_child: Everything | None = betterproto.message_field(31, optional=True)
    # The largest number there is.
    far: int = betterproto.uint32_field(536870911)


def everything_file() -> FileDescriptorProto:
    """The same as a .proto file would say it."""
    file = FileDescriptorProto(name="test.proto", package="test", syntax="proto3")
    enum = file.enum_type.add(name="Colour")
    for member in Colour:
        enum.value.add(name=str(member.name), number=member.value)
    message = file.message_type.add(name="Everything")
    for field in dataclasses.fields(Everything):
        _add_field(message, field.name, betterproto.FieldMetadata.get(field))
    return file


def _add_field(message: DescriptorProto, name: str, metadata: betterproto.FieldMetadata) -> None:
    repeated = typing.get_origin(field_types(Everything)[name]) in (list, dict)
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    field = message.field.add(name=name, number=metadata.number, label=label)
    if metadata.map_types:
        entry = message.nested_type.add(name=name.title() + "Entry")
        entry.options.map_entry = True
        for number, (part, kind) in enumerate(zip(("key", "value"), metadata.map_types, strict=True), 1):
            _set_type(entry.field.add(name=part, number=number, label=1), kind)
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".test.Everything.{entry.name}"
        return
    _set_type(field, metadata.proto_type)
    if metadata.optional:
        # How protoc writes down explicit presence: a oneof of a single field.
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    if kind == "message":
        field.type_name = ".test.Everything"
    elif kind == "enum":
        field.type_name = ".test.Colour"
