"""Google's protobuf as the second opinion: the same schema in a pool of its own, and values for both libraries.

A value is plain data that a message of either can be made of: a dictionary from field numbers to scalars, lists,
dictionaries (for maps), and such dictionaries again (for sub-messages).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import typing
from typing import Any

import betterproto
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as Reference
from hypothesis import strategies as st

import containerd_aio._api
from containerd_aio._api._message import Message, field_types
from tests.proto.everything import Everything, everything_file
from tests.proto.schema import compiled_schema

Value = dict[int, Any]


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in [*compiled_schema().file, everything_file()]:
        pool.Add(file)
    return pool


def reference_class(cls: type[Message]) -> type[Reference]:
    """Google's class for the same message."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(cls.__proto_name__))


@functools.cache
def message_classes() -> list[type[Message]]:
    """All generated message classes, and ``Everything``."""
    found: list[type[Message]] = [Everything]
    for info in pkgutil.walk_packages(containerd_aio._api.__path__, "containerd_aio._api."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and issubclass(value, Message) and value.__module__ == info.name:
                found.append(value)
    found.remove(Message)
    return found


def ours(cls: type[Message], value: Value) -> Message:
    """The value as a message of our class."""
    fields = dataclasses.fields(cls)
    names = {betterproto.FieldMetadata.get(field).number: field.name for field in fields}
    return cls(
        **{names[number]: _our_field(cls, names[number], content) for number, content in value.items()}
    )


def _our_field(cls: type[Message], name: str, content: Any) -> Any:
    hint = field_types(cls)[name]
    kind = ([*typing.get_args(hint)[typing.get_origin(hint) is dict :], hint])[0]
    if not issubclass(kind, Message):
        return content
    if typing.get_origin(hint) is list:
        return [ours(kind, one) for one in content]
    if typing.get_origin(hint) is dict:
        return {key: ours(kind, one) for key, one in content.items()}
    return ours(kind, content)


def reference(cls: type[Message], value: Value) -> Reference:
    """The value as a message of Google's class."""
    message = reference_class(cls)()
    _fill(message, value)
    return message


def _fill(message: Reference, value: Value) -> None:
    message.SetInParent()
    for number, content in value.items():
        field: Any = message.DESCRIPTOR.fields_by_number[number]
        target = getattr(message, field.name)
        if _is_map(field):
            for key, one in content.items():
                if field.message_type.fields_by_name["value"].message_type is None:
                    target[key] = one
                else:
                    _fill(target[key], one)
        elif field.is_repeated:
            for one in content:
                _fill(target.add(), one) if field.message_type else target.append(one)
        elif field.message_type:
            _fill(target, content)
        else:
            setattr(message, field.name, content)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


@st.composite
def values_of(draw: st.DrawFn, cls: type[Message]) -> Value:
    """Values for messages of this class: a few of its fields, with sub-messages three levels deep."""
    return _value(draw, reference_class(cls).DESCRIPTOR, 3)


def _value(draw: st.DrawFn, descriptor: Any, depth: int) -> Value:
    fields = [field for field in descriptor.fields if depth or not _is_deep(field)]
    if not fields:
        return {}
    chosen = draw(st.lists(st.sampled_from(fields), max_size=6, unique_by=lambda field: field.number))
    return {field.number: _content(draw, field, depth) for field in chosen}


def _is_deep(field: Any) -> bool:
    one = field.message_type.fields_by_number[2] if _is_map(field) else field
    return one.message_type is not None


def _content(draw: st.DrawFn, field: Any, depth: int) -> Any:
    if _is_map(field):
        key, value = (field.message_type.fields_by_number[number] for number in (1, 2))
        keys = draw(st.lists(_scalars(key), max_size=3))
        return {one: _one(draw, value, depth) for one in keys}
    if field.is_repeated:
        return [_one(draw, field, depth) for _ in range(draw(st.integers(0, 3)))]
    return _one(draw, field, depth)


def _one(draw: st.DrawFn, field: Any, depth: int) -> Any:
    if field.message_type is not None:
        return _value(draw, field.message_type, depth - 1)
    return draw(_scalars(field))


def _scalars(field: Any) -> st.SearchStrategy[Any]:
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return st.floats(width=32 if field.type == FieldDescriptor.TYPE_FLOAT else 64, allow_nan=False)
    simple: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.TYPE_BOOL: st.booleans(),
        FieldDescriptor.TYPE_STRING: st.text(),
        FieldDescriptor.TYPE_BYTES: st.binary(),
        # Any number is allowed, known or not.
        FieldDescriptor.TYPE_ENUM: st.integers(-2, 6) | st.integers(-(2**31), 2**31 - 1),
    }
    if field.type in simple:
        return simple[field.type]
    bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
