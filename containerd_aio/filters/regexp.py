"""What RE2 refuses in a regular expression, found without RE2.

A daemon that cannot compile the expression behind ``~=`` logs that, and the filter never matches anything. So the
faults that people make are found here: syntax of other engines (lookaround, references, possessive repetition),
unbalanced brackets, repetition of nothing. It is conservative: what is refused here, Go's ``regexp/syntax``
refuses, while a few rare faults (an unknown Unicode class, a reversed range) are let through.
"""

from __future__ import annotations

import re
from typing import Final

_MOST_REPEATS: Final = 1000
_COUNT: Final = re.compile(r"\{(0|[1-9]\d*)(?:,(0|[1-9]\d*)?)?\}", re.ASCII)
_GROUP: Final = re.compile(r"\?(?:P?<\w+>|[imsU]*(?:-[imsU]+)?:)", re.ASCII)
_FLAGS: Final = re.compile(r"\?[imsU]*(?:-[imsU]+)?\)", re.ASCII)
_CLASS_ESCAPE: Final = frozenset("dDsSwWpP")
_OTHER_ESCAPE: Final = frozenset("AbBzafnrtv")
_NUMERIC_ESCAPE: Final = re.compile(r"0|[1-7](?=[0-7])|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}")


def fault(pattern: str) -> str | None:
    """Return what is wrong with the expression, in words, or ``None`` where nothing was found."""
    try:
        _Check(pattern).run()
    except _RefusalError as found:
        return str(found)
    return None


class _RefusalError(Exception):
    """The reason, in words."""


class _Check:
    """One walk over an expression: how deep in groups, and what a repetition would repeat."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0
        self.depth = 0
        self.operand = False
        self.repeated = False

    def run(self) -> None:
        while self.place < len(self.pattern):
            character = self.pattern[self.place]
            if character in "*+?":
                self.repeat(1)
            elif character == "{" and (count := _COUNT.match(self.pattern, self.place)):
                self.count(count)
            else:
                self.repeated = False
                self.step(character)
        if self.depth:
            raise _RefusalError("a group is not closed")

    def step(self, character: str) -> None:
        match character:
            case "(":
                self.open()
            case ")":
                self.close()
            case "[":
                self.bracket()
            case "\\":
                self.escape()
            case _:
                self.place += 1
                self.operand = character != "|"

    def repeat(self, width: int) -> None:
        if not self.operand:
            raise _RefusalError("a repetition has nothing to repeat")
        if self.repeated:
            raise _RefusalError("a repetition of a repetition; possessive ones do not exist")
        self.repeated = True
        self.place += width
        if self.pattern.startswith("?", self.place):  # the ungreedy form
            self.place += 1

    def count(self, count: re.Match[str]) -> None:
        low, high = count.groups()
        least, most = int(low[:5]), int((high or low)[:5])  # five digits are too many already
        if not least <= most <= _MOST_REPEATS:
            raise _RefusalError(f"{count[0]} is no count of repetitions")
        self.repeat(len(count[0]))

    def open(self) -> None:
        if self.pattern.startswith("(?", self.place):
            if flags := _FLAGS.match(self.pattern, self.place + 1):
                self.place = flags.end()
                return
            group = _GROUP.match(self.pattern, self.place + 1)
            if group is None:
                raise _RefusalError(
                    "(? is followed by what RE2 lacks, such as lookahead, lookbehind or a reference"
                )
            self.place = group.end()
        else:
            self.place += 1
        self.depth += 1
        self.operand = False

    def close(self) -> None:
        if not self.depth:
            raise _RefusalError("a group is closed that was not opened")
        self.depth -= 1
        self.place += 1
        self.operand = True

    def bracket(self) -> None:
        place = self.place + 1
        if self.pattern.startswith("^", place):
            place += 1
        first = True
        while first or not self.pattern.startswith("]", place):
            if place >= len(self.pattern):
                raise _RefusalError("a [class] is not closed")
            place = self.bracket_item(place)
            first = False
        self.place = place + 1
        self.operand = True

    def bracket_item(self, place: int) -> int:
        if self.pattern.startswith("[:", place) and (end := self.pattern.find(":]", place + 2)) >= 0:
            return end + 2
        if self.pattern[place] == "\\":
            return self.escape_end(place, _CLASS_ESCAPE | (_OTHER_ESCAPE - frozenset("AbBz")))
        return place + 1

    def escape(self) -> None:
        if self.pattern.startswith("\\Q", self.place):
            end = self.pattern.find("\\E", self.place + 2)
            self.place = len(self.pattern) if end < 0 else end + 2
        else:
            self.place = self.escape_end(self.place, _CLASS_ESCAPE | _OTHER_ESCAPE)
        self.operand = True

    def escape_end(self, place: int, letters: frozenset[str]) -> int:
        letter = self.pattern[place + 1 : place + 2]
        if not letter:
            raise _RefusalError("a backslash stands at the end")
        if letter in letters or (letter.isascii() and not letter.isalnum()):
            return place + 2
        if numeric := _NUMERIC_ESCAPE.match(self.pattern, place + 1):
            return numeric.end()
        if letter.isdigit():
            raise _RefusalError(f"\\{letter} refers back to a group, which RE2 cannot")
        raise _RefusalError(f"\\{letter} is no escape of RE2's")
