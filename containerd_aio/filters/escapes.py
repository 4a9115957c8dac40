"""Go's string escapes, as they stand inside the quotes of a filter."""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\",
}  # fmt: skip
_NUMERIC: Final = re.compile(r"([0-7]{3})|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})")


def unescape(text: str, mark: str) -> tuple[str, int | None]:
    """Return what a quoted text says, and the place of the first escape that Go does not know, or ``None``.

    ``mark`` is the quote character, which may be escaped too. ``\\x`` and octal escapes stand for bytes: where
    they do not add up to UTF-8, the bytes come back as ``surrogateescape`` writes them.
    """
    if "\\" not in text:
        return text, None
    out = bytearray()
    place = 0
    while (found := text.find("\\", place)) >= 0:
        out += text[place:found].encode()
        said, width = _escape(text, found + 1, mark)
        if said is None:
            return "", found
        out += said
        place = found + 1 + width
    out += text[place:].encode()
    return out.decode(errors="surrogateescape"), None


def _escape(text: str, place: int, mark: str) -> tuple[bytes | None, int]:
    """What the escape behind a backslash stands for, and its length."""
    letter = text[place : place + 1]
    if letter and letter == mark:
        return mark.encode(), 1
    if letter in _NAMED:
        return _NAMED[letter], 1
    numeric = _NUMERIC.match(text, place)
    if numeric is None:
        return None, 0
    octal, byte, short, long = numeric.groups()
    width = len(numeric[0])
    if octal or byte:
        number = int(octal, 8) if octal else int(byte, 16)
        return (bytes([number]), width) if number < 256 else (None, 0)
    number = int(short or long, 16)
    if number > 0x10FFFF:
        return None, 0
    # Go writes half of a surrogate pair as the mark of broken text.
    return ("\ufffd" if 0xD800 <= number <= 0xDFFF else chr(number)).encode(), width
