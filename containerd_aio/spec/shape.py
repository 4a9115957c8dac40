"""Whether a document has the types that a spec has, so that options find what they change.

Go reads a key's ``null`` as nothing said, and so do options; keys that `schema` does not know may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, cast, get_args, get_origin, get_type_hints, is_typeddict

_WORDS: Final = {str: "a string", int: "an integer", bool: "true or false"}


def misfit(value: object, kind: object, path: str = "") -> str | None:
    """Return where ``value`` is not of ``kind``, a type of `schema`, and what it should be; ``None`` if it is."""
    if value is None or kind is object:
        return None
    if is_typeddict(kind) or get_origin(kind) is dict:
        return _in_object(value, kind, path)
    if get_origin(kind) is list:
        return _in_list(value, get_args(kind)[0], path)
    # JSON's true is no number, though Python's is.
    if isinstance(value, cast("type", kind)) and (kind is bool or not isinstance(value, bool)):
        return None
    return f"{path} is not {_WORDS[cast('type', kind)]}"


def _in_object(value: object, kind: object, path: str) -> str | None:
    if not isinstance(value, dict):
        return f"{path} is not an object"
    items = cast("dict[str, object]", value)
    kinds = _keys_of(kind) if is_typeddict(kind) else dict.fromkeys(items, get_args(kind)[1])
    found = (
        misfit(items[key], kinds[key], f"{path}.{key}" if path else key) for key in items if key in kinds
    )
    return next(filter(None, found), None)


@cache
def _keys_of(kind: object) -> Mapping[str, object]:
    return get_type_hints(kind)


def _in_list(value: object, kind: object, path: str) -> str | None:
    if not isinstance(value, list):
        return f"{path} is not a list"
    items = cast("list[object]", value)
    for place, each in enumerate(items):
        if each is None:
            return f"{path}[{place}] is null"
    found = (misfit(each, kind, f"{path}[{place}]") for place, each in enumerate(items))
    return next(filter(None, found), None)
