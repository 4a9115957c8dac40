"""Which characters stand for what in a filter, and how text is quoted in one.

containerd scans filters by Go's ``unicode`` package, which counts other characters as space than Python does.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from containerd_aio.errors import InvalidArgumentError

SPACES: Final = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Go's ``unicode.IsSpace`` knows: unlike ``str.isspace`` without the separators U+001C to U+001F."""

QUOTES: Final = frozenset('"/|')
"""What a value may not begin with unless it is quoted; ``/`` and ``|`` quote regular expressions only."""

_FIELD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_GRAPHIC: Final = frozenset("LMNPS")
_NAMED_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\ufffd": "\\ufffd"}


def is_field(character: str) -> bool:
    """Whether the character may stand in a part of a field path without quotes."""
    return character in _FIELD


def is_unreadable(character: str) -> bool:
    """Whether the scanner refuses the character wherever it stands.

    Those are NUL, U+FFFD, which Go's decoder also gives for broken UTF-8, and half of a surrogate pair.
    """
    return character in {"\0", "\ufffd"} or "\ud800" <= character <= "\udfff"


def is_value(character: str) -> bool:
    """Whether the character may stand in a value without quotes, after the value's first character."""
    return (
        character != ","
        and character not in SPACES
        and not is_unreadable(character)
        and unicodedata.category(character)[0] in _GRAPHIC
    )


def quote(text: str) -> str:
    """Return the text in double quotes, as every daemon reads it back.

    :raises InvalidArgumentError: if it holds NUL or half of a surrogate pair: no filter can say that
    """
    return '"' + "".join(_escaped(character, text) for character in text) + '"'


def _escaped(character: str, text: str) -> str:
    if named := _NAMED_ESCAPES.get(character):
        return named
    if "\udc80" <= character <= "\udcff":  # a byte that is no text, as surrogateescape writes it
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character == "\0" or "\ud800" <= character <= "\udfff":
        raise InvalidArgumentError(f"a filter cannot hold NUL or a lone surrogate: {text!r}")
    if character < " " or character == "\x7f":
        return f"\\x{ord(character):02x}"
    return character


def quote_part(part: str) -> str:
    """Return a part of a field path, in quotes where it needs them."""
    return part if part and all(map(is_field, part)) else quote(part)
