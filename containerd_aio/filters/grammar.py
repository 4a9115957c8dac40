"""The grammar of filters, read as containerd reads it.

    filter    = selector { "," selector }               an empty text matches everything
    selector  = path [ operator value ]
    path      = part { "." part }
    part      = letters, digits and "_" | quoted
    operator  = "==" | "!=" | "~="
    value     = characters other than space and comma, not beginning like another token | quoted

Space may stand before a part, an operator and a value, and nowhere else: the daemons refuse ``a ,b`` and a space
at the end. Quotes take Go's escapes. ``/…/`` and ``|…|`` quote too, but only behind ``~=``, so a bare
``topic==/tasks/exit`` is refused by every daemon since 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import characters, regexp
from containerd_aio.filters.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPERATOR_CHARACTERS: Final = "=!~"
_CONTEXT: Final = 60


class Operator(StrEnum):
    """How a selector compares; ``PRESENT`` is the selector that has only a path."""

    PRESENT = ""
    EQUALS = "=="
    DIFFERS = "!="
    MATCHES = "~="


@dataclass(frozen=True, slots=True)
class Selector:
    """One condition of a filter; ``value`` is empty for ``PRESENT``. As text it is the selector, quoted."""

    path: tuple[str, ...]
    operator: Operator = Operator.PRESENT
    value: str = ""

    def __str__(self) -> str:
        path = ".".join(map(characters.quote_part, self.path))
        return (
            path
            if self.operator is Operator.PRESENT
            else f"{path}{self.operator}{characters.quote(self.value)}"
        )


def parse(text: str) -> tuple[Selector, ...]:
    """Return the selectors of a filter, which must all match; none for the empty text, which matches everything.

    :raises InvalidArgumentError: if the daemons would refuse the text, or if it holds a regular expression that
        RE2 does not know: a daemon takes that one in silence, and nothing ever matches. The message shows the
        place.
    """
    return tuple(Reader(text).selectors()) if text else ()


def parse_path(text: str) -> tuple[str, ...]:
    """Return the parts of a field path: ``labels."a.b"`` is ``("labels", "a.b")``.

    :raises InvalidArgumentError: if it is no field path
    """
    reader = Reader(text)
    path = reader.path()
    if not reader.at_end():
        reader.refuse("this does not belong to a field path; put double quotes round the part that it is in")
    return path


class Reader:
    """Reads one filter from left to right; every method starts at ``place`` and moves it on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def at_end(self) -> bool:
        return self.place >= len(self.text)

    @property
    def ahead(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.place : self.place + 1]

    def selectors(self) -> Iterator[Selector]:
        yield self.selector()
        while not self.at_end():
            self.place += 1  # the comma that the selector ended before
            yield self.selector()

    def selector(self) -> Selector:
        """Read one selector, up to the comma or the end that must follow it."""
        path = self.path()
        if self.at_end() or self.ahead == ",":
            return Selector(path)
        operator = self.operator()
        self.skip_space()
        start = self.place
        value = self.value(operator)
        if operator is Operator.MATCHES and (fault := regexp.fault(value)):
            self.refuse(f"the regular expression is none of RE2's: {fault}", at=start)
        if not self.at_end() and self.ahead != ",":
            self.refuse("a comma or the end must follow a value; one with spaces in it needs double quotes")
        return Selector(path, operator, value)

    def path(self) -> tuple[str, ...]:
        parts = [self.part()]
        while self.ahead == ".":
            self.place += 1
            parts.append(self.part())
        return tuple(parts)

    def part(self) -> str:
        self.skip_space()
        if self.ahead == '"':
            return self.quoted()
        start = self.place
        while not self.at_end() and characters.is_field(self.ahead):
            self.place += 1
        if self.place == start:
            self.refuse("a field name must stand here: letters, digits and '_', or anything in double quotes")
        return self.text[start : self.place]

    def operator(self) -> Operator:
        self.skip_space()
        start = self.place
        while self.ahead and self.ahead in _OPERATOR_CHARACTERS:
            self.place += 1
        # The scanner takes all it can, so ``a==!b`` has the operator ``==!``.
        sign = self.text[start : self.place]
        if sign in {"==", "!=", "~="}:
            return Operator(sign)
        self.refuse("one of the operators ==, != and ~= must stand here", at=start)

    def value(self, operator: Operator) -> str:
        self.skip_space()
        if self.ahead in characters.QUOTES:
            if self.ahead != '"' and operator is not Operator.MATCHES:
                self.refuse(f"a value that begins with {self.ahead!r} must be in double quotes")
            return self.quoted()
        if self.at_end() or self.ahead in ",.=!~" or characters.is_unreadable(self.ahead):
            self.refuse("a value must stand here; put it in double quotes if it is empty or begins like this")
        start = self.place
        self.place += 1  # the first character may be anything else, even one that may not follow
        while not self.at_end() and characters.is_value(self.ahead):
            self.place += 1
        return self.text[start : self.place]

    def quoted(self) -> str:
        start, mark = self.place, self.ahead
        self.place += 1
        while self.ahead != mark:
            if self.at_end() or self.ahead == "\n":
                self.refuse("the quote that opens here is not closed on its line", at=start)
            if characters.is_unreadable(self.ahead):
                self.refuse("containerd does not read this character")
            self.place += 2 if self.ahead == "\\" else 1
        self.place += 1
        value, fault = unescape(self.text[start + 1 : self.place - 1], mark)
        if fault is not None:
            self.refuse("this escape is none of Go's; a backslash is written \\\\", at=start + 1 + fault)
        return value

    def skip_space(self) -> None:
        while not self.at_end() and self.ahead in characters.SPACES:
            self.place += 1

    def refuse(self, reason: str, *, at: int | None = None) -> NoReturn:
        place = self.place if at is None else at
        raise InvalidArgumentError(f"not a filter: {reason}\n{_pointed(self.text, place)}")


def _pointed(text: str, place: int) -> str:
    """Two lines: the text round the place, and a caret under it."""
    start = max(0, place - _CONTEXT)
    shown = "".join(c if c.isprintable() else "?" for c in text[start : place + _CONTEXT])
    before, after = "…" if start else "", "…" if place + _CONTEXT < len(text) else ""
    return f"    {before}{shown}{after}\n    {' ' * (len(before) + place - start)}^"
