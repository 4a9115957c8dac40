"""Filters from Python values, and changes of filters that are there already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import characters, regexp
from containerd_aio.filters.grammar import Operator, Reader, Selector, parse, parse_path


@dataclass(frozen=True, slots=True)
class Condition:
    """What `where` asks of a field when it is more than a plain value: see `matches`, `differs`, `present`."""

    operator: Operator
    value: str = ""


Wanted: TypeAlias = "str | bool | int | Condition | Mapping[str, Wanted]"
"""What `where` takes for a field."""

_OF_2017: Final = re.compile(r"""\s*(\w+(?:\.\w+)*)\s*(==|!=|~=)\s*([^\s,"][^\s,]*)(?=,|\Z)""", re.ASCII)
_WORDS: Final = {True: "true", False: "false"}


def where(**fields: Wanted) -> str:
    """Return the filter that matches where every field is as wanted::

        where(topic="/tasks/exit", namespace="x", **{"event.container_id": "web"})
        where(labels={"containerd.io/gc.root": present()}, id=matches("^web-"))

    A name is a field path as containerd writes it, dots and quotes included. A mapping goes one part deeper: its
    keys are taken as they are, whatever characters they hold. A value is compared for equality, unless it is a
    condition. Several alternatives are several filters. Without fields the filter matches everything.

    :raises InvalidArgumentError: for a name that is no field path, or text that no filter can hold
    """
    return ",".join(
        str(Selector(path, condition.operator, condition.value))
        for name, wanted in fields.items()
        for path, condition in _conditions(parse_path(name), wanted)
    )


def _conditions(path: tuple[str, ...], wanted: Wanted) -> Iterator[tuple[tuple[str, ...], Condition]]:
    if isinstance(wanted, Condition):
        yield path, wanted
    elif isinstance(wanted, Mapping):
        for part, deeper in wanted.items():
            yield from _conditions((*path, part), deeper)
    elif isinstance(wanted, bool):
        yield path, equals(_WORDS[wanted])
    elif isinstance(wanted, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]  # not all callers check types
        yield path, equals(str(wanted))
    else:
        raise TypeError(
            f"the filter for {'.'.join(path)} must be a text, a number, a condition such as present(),"
            f" or a mapping; it is {wanted!r}. Alternatives are several filters"
        )


def equals(value: str) -> Condition:
    """The field is there and equal; the same as the plain value."""
    return Condition(Operator.EQUALS, value)


def differs(value: str) -> Condition:
    """The field is something else; one that is not there counts as empty, so it differs from any other text."""
    return Condition(Operator.DIFFERS, value)


def matches(pattern: str) -> Condition:
    """The regular expression finds something in the field, wherever: anchor it with ``^`` and ``$``.

    The syntax is that of RE2 as Go has it: no lookaround, no references.

    :raises InvalidArgumentError: if RE2 lacks what it uses; containerd would not say so, and match nothing
    """
    if reason := regexp.fault(pattern):
        raise InvalidArgumentError(f"the regular expression {pattern!r} is none of RE2's: {reason}")
    return Condition(Operator.MATCHES, pattern)


def present() -> Condition:
    """The field is there, whatever it is."""
    return Condition(Operator.PRESENT)


def all_of(*filters: str) -> str:
    """Return one filter that matches where all of these do.

    :raises InvalidArgumentError: if one of them is no filter
    """
    return ",".join(str(selector) for text in filters for selector in parse(text))


def names_field(text: str, path: str) -> bool:
    """Whether the filter has a selector, of any kind, on the field.

    :raises InvalidArgumentError: if the text is no filter, or the path no field path
    """
    wanted = parse_path(path)
    return any(selector.path == wanted for selector in parse(text))


def modernize(text: str) -> str:
    """Return a filter as containerd took it in 2017, quoted as today's daemons want it.

    Then, ``/`` and ``|`` were no quotes: ``topic~=/tasks/.+,namespace==bb`` was a filter. A selector that is good
    today is left as it is; in any other, the value runs to the next comma or space, as it did.

    :raises InvalidArgumentError: if it is no filter of either grammar
    """
    if not text:
        return text
    reader = Reader(text)
    selectors = [_modern(reader)]
    while not reader.at_end():
        reader.place += 1  # the comma that the selector ended before
        selectors.append(_modern(reader))
    return ",".join(selectors)


def _modern(reader: Reader) -> str:
    start = reader.place
    try:
        reader.selector()
    except InvalidArgumentError:
        old = _OF_2017.match(reader.text, start)
        if old is None:
            raise
        reader.place = old.end()
        path, operator, value = old.groups()
        return all_of(f"{path}{operator}{characters.quote(value)}")
    return reader.text[start : reader.place]
