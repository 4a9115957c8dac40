# Copied by proto/generate.py from proto/python/_message.py. Do not edit this copy.
"""The base of the generated messages: betterproto's ``Message``, made cheap.

betterproto 2.0.0b7 runs Python code on every attribute read and builds an object in some 20 microseconds.
Here an instance's ``__dict__`` holds just the fields that were given or received, so a read is a plain
dictionary look-up; what is absent comes from the class: zero values as they are, lists, maps and
sub-messages made on their first read. The classes stay betterproto dataclasses, metadata and all.

**Presence.** ``message.is_set("field")`` is True exactly if the field would be sent: a sub-message that was
given or received, even an empty one; a list or map with entries; a scalar other than its zero; an
``optional`` field that is not None. Reading an absent field does not make it present; changing the
sub-message that was read does. Like protobuf, ``==`` tells an absent sub-message from an empty one.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import sys
import typing
from typing import TYPE_CHECKING, TypeVar

import betterproto

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable, Iterator
    from typing import Any, ClassVar, Self

    class Enum(enum.IntEnum):
        """betterproto's Enum, told to type checkers: they take its members for plain numbers.

        A number that has no member keeps its value and has None for a name.
        """

        @classmethod
        def try_value(cls, value: int = 0) -> Self:
            """The member with this value; if there is none, an object that has the value and no name."""
            ...

else:
    Enum = betterproto.Enum

_ZERO: dict[str, object] = {
    betterproto.TYPE_STRING: "",
    betterproto.TYPE_BYTES: b"",
    betterproto.TYPE_BOOL: False,
    betterproto.TYPE_FLOAT: 0.0,
    betterproto.TYPE_DOUBLE: 0.0,
}


class _FirstRead:
    """The class attribute of a list, map, enum or sub-message: makes the value of an absent field.

    The value is put into the instance, which from then on hides this attribute (it has no ``__set__``).
    """

    __slots__ = ("_make", "_name", "_owner")

    def __init__(self, owner: type[Message], name: str) -> None:
        self._owner = owner
        self._name = name
        self._make: Callable[[], object] | None = None

    def __get__(self, message: Message | None, owner: type[Message] | None = None) -> object:
        if message is None:
            return self
        if self._make is None:
            self._make = _maker(field_types(self._owner)[self._name])
        value = message.__dict__[self._name] = self._make()
        return value


def _maker(hint: Any) -> Callable[[], object]:
    """What makes the value that an absent field of this type reads as."""
    container = typing.get_origin(hint)
    if container is not None:
        return typing.cast("Callable[[], object]", container)  # list or dict
    if issubclass(hint, betterproto.Enum):
        return typing.cast("Callable[[], object]", hint.try_value)
    return lambda: absent(hint)


@typing.dataclass_transform(kw_only_default=True, eq_default=False)
class Message(betterproto.Message):
    """A protobuf message; fields are keyword arguments, all of them optional."""

    # The message's full name in the schema: what a type_url says.
    __proto_name__ = ""

    if TYPE_CHECKING:  # else these were taken for fields
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
        _field_names: ClassVar[frozenset[str]]
        _group_current: dict[str, str]

    # betterproto keeps these three in every instance; here only where they differ. An object that somebody
    # made or received is present wherever it is put; one that came from reading an absent field is not,
    # until it is changed.
    _serialized_on_wire = True
    _unknown_fields = b""
    _group_current = {}  # noqa: RUF012  the schema has no oneof, nobody writes here

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False)(cls)
        cls._field_names = frozenset(cls.__dataclass_fields__)
        for name, field in cls.__dataclass_fields__.items():
            setattr(cls, name, _class_attribute(cls, field))

    def __init__(self, **fields: object) -> None:
        if not self._field_names.issuperset(fields):
            unknown = ", ".join(sorted(fields.keys() - self._field_names))
            raise TypeError(f"{type(self).__name__} has no field {unknown}")
        self.__dict__.update(fields)

    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        state[name] = value
        if name != "_serialized_on_wire":
            state["_serialized_on_wire"] = True

    def is_set(self, name: str) -> bool:
        """Whether this field would be sent; reading it before makes no difference."""
        value = self.__dict__.get(name)
        if isinstance(value, betterproto.Message):
            return value._serialized_on_wire or bool(value)
        if _metadata(type(self), name).optional:
            return value is not None
        return bool(value) or (isinstance(value, float) and math.copysign(1.0, value) < 0)  # -0.0 is sent

    def _set_fields(self) -> Iterator[str]:
        return (name for name in type(self).__dataclass_fields__ if self.is_set(name))

    def __bool__(self) -> bool:
        """Whether anything in this message would be sent."""
        return bool(self._unknown_fields) or any(True for _ in self._set_fields())

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Message)
        names = list(self._set_fields())
        return (
            names == list(other._set_fields())
            and self._unknown_fields == other._unknown_fields
            and all(_same(self.__dict__[name], other.__dict__[name]) for name in names)
        )

    __hash__ = None  # type: ignore[assignment]  # they change

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._set_fields())
        return f"{type(self).__name__}({fields})"

    def __copy__(self, _: Any = None) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: Any = None) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    @classmethod
    def _type_hints(cls) -> dict[str, Any]:
        return field_types(cls)  # betterproto asks once a field, and would resolve all of them each time


M = TypeVar("M", bound=Message)


def absent(cls: type[M]) -> M:
    """A message for a field that is not there: wherever it is put it is not sent, until it is changed."""
    message = cls()
    message.__dict__["_serialized_on_wire"] = False
    return message


_TYPES: dict[type[Message], dict[str, Any]] = {}


def field_types(cls: type[Message]) -> dict[str, Any]:
    """The resolved type of each field: ``str``, ``list[Mount]``, ``dict[str, str]``, ``Optional[Descriptor]``."""
    types = _TYPES.get(cls)
    if types is None:
        types = _TYPES[cls] = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]), {})
    return types


def _class_attribute(cls: type[Message], field: dataclasses.Field[Any]) -> object:
    """What an instance without this field reads from its class."""
    metadata = _metadata(cls, field.name)
    if metadata.optional:
        return None
    is_list = str(field.type).startswith(("List[", "list["))
    if is_list or metadata.proto_type in (
        betterproto.TYPE_MAP,
        betterproto.TYPE_MESSAGE,
        betterproto.TYPE_ENUM,
    ):
        return _FirstRead(cls, field.name)
    return _ZERO.get(metadata.proto_type, 0)


def _metadata(cls: type[Message], name: str) -> betterproto.FieldMetadata:
    return betterproto.FieldMetadata.get(cls.__dataclass_fields__[name])


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)  # else no message with a NaN would equal itself
    return left == right
