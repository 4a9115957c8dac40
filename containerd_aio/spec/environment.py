"""Environment variables: a list of ``NAME=value``, and changes to it.

Each name is kept once and its last value wins: of two entries of one name some programs read the first and some
the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from containerd_aio.spec.arguments import check_name, check_text, check_texts, invalid

Changes = list[tuple[str, str | None]]


def env_changes(option: str, variables: object) -> Changes:
    """Return ``variables`` as changes: a name and its value, or ``None`` to remove it.

    A mapping gives ``None`` for names to remove; a list holds ``NAME=value`` to set and ``NAME`` to remove.

    :raises InvalidArgumentError: for a plain ``str``, an empty name, a name with ``=``, or text with a NUL
    """
    if isinstance(variables, Mapping):
        items = cast("Mapping[object, object]", variables).items()
        return [(_name(option, name), _value(option, value)) for name, value in items]
    changes = split_env(check_texts(option, variables))
    for name, _ in changes:
        _name(option, name)
    return changes


def file_changes(option: str, content: bytes) -> Changes:
    """Return what the lines of a file change: ``NAME=value`` sets, ``NAME`` removes, ``#`` comments.

    :raises InvalidArgumentError: for bytes that are not UTF-8, and for a name that is empty or holds a blank
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise invalid(option, content, "is not UTF-8") from None
    kept = [line.removesuffix("\r").lstrip() for line in lines]
    changes = env_changes(option, [line for line in kept if line and not line.startswith("#")])
    for name, _ in changes:
        # `export A=1` belongs into a script of the shell.
        if any(character.isspace() for character in name):
            raise invalid(option, name, "is not the name of a variable: it holds a blank")
    return changes


def split_env(items: Iterable[str]) -> Changes:
    """Return what applying ``items`` changes: ``NAME=value`` sets, a bare ``NAME`` removes."""
    pairs = (item.partition("=") for item in items)
    return [(name, value if equals else None) for name, equals, value in pairs]


def merged_env(base: Iterable[str], changes: Changes) -> list[str]:
    """Return ``base`` with ``changes`` made; names new to it go to the end, the others keep their place."""
    result = {item.partition("=")[0]: item for item in base}
    for name, value in changes:
        if value is None:
            result.pop(name, None)
        else:
            result[name] = f"{name}={value}"
    return list(result.values())


def _name(option: str, name: object) -> str:
    text = check_name(option, name)
    if "=" in text:
        raise invalid(option, name, "is not the name of a variable: it holds '='")
    return text


def _value(option: str, value: object) -> str | None:
    return None if value is None else check_text(option, value)
