"""Checks of what options are given, made when the option is made and not when the container is.

Every refusal names the option and the value. Text must be what a kernel and JSON can both carry: no NUL, and no
lone surrogate (a file name that was not UTF-8), which Go would silently replace.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import cast

from containerd_aio.errors import InvalidArgumentError

INT64_MAX = 2**63 - 1


def invalid(option: str, value: object, why: str) -> InvalidArgumentError:
    """Return the refusal of ``value`` by ``option``, for the caller to raise."""
    return InvalidArgumentError(f"{option}: {reprlib.repr(value)} {why}")


def check_text(option: str, value: object) -> str:
    """Return ``value``, text that may be empty.

    :raises InvalidArgumentError: if it is no ``str``, holds a NUL, or is not valid Unicode
    """
    if not isinstance(value, str):
        raise invalid(option, value, "is not a str")
    if "\0" in value:
        raise invalid(option, value, "holds a NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(option, value, "is not valid Unicode") from None
    return value


def check_name(option: str, value: object) -> str:
    """Return ``value``, text that is not empty.

    :raises InvalidArgumentError: for anything else
    """
    text = check_text(option, value)
    if not text:
        raise invalid(option, value, "is empty")
    return text


def check_texts(option: str, values: object) -> tuple[str, ...]:
    """Return ``values`` as a tuple of text.

    :raises InvalidArgumentError: if it is a plain ``str``, whose letters would be taken for the items, or if it
        or an item is anything else
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise invalid(option, values, "is not a list of str")
    return tuple(check_text(option, value) for value in cast("Iterable[object]", values))


def check_mapping(option: str, value: object) -> Mapping[object, object]:
    """Return ``value``, a mapping.

    :raises InvalidArgumentError: for anything else
    """
    if not isinstance(value, Mapping):
        raise invalid(option, value, "is not a mapping")
    return cast("Mapping[object, object]", value)


def check_path(option: str, value: object) -> str:
    """Return ``value``, an absolute path.

    :raises InvalidArgumentError: for anything else
    """
    plain: object = os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value
    path = check_text(option, plain)
    if not path.startswith("/"):
        raise invalid(option, path, "is not an absolute path")
    return path


def check_flag(option: str, value: object) -> bool:
    """Return ``value``, ``True`` or ``False``; ``"false"``, say, would count as true.

    :raises InvalidArgumentError: for anything else
    """
    if not isinstance(value, bool):
        raise invalid(option, value, "is neither True nor False")
    return value


def check_integer(option: str, value: object, *, minimum: int, maximum: int = INT64_MAX) -> int:
    """Return ``value``, an integer from ``minimum`` to ``maximum``.

    :raises InvalidArgumentError: for anything else, ``True`` and ``False`` included
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(option, value, "is not an integer")
    if not minimum <= value <= maximum:
        raise invalid(option, value, f"is not between {minimum} and {maximum}")
    return value
