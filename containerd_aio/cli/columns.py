"""Text in columns, and numbers and times as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_GAP: Final = "   "
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of columns as wide as their widest entry; nothing is cut off, whoever reads it.

    What would move the cursor (another client may have stored anything) is shown as ``?``.
    """
    table = [head, *([printable(each) for each in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(
        _GAP.join(each.ljust(width) for each, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in table
    )


def printable(text: str) -> str:
    """Return ``text`` with ``?`` for what is no printable character."""
    return "".join(character if character.isprintable() else "?" for character in text)


def age(since_ns: int | None, now_ns: int) -> str:
    """Return how long ago a moment is, in one unit, rounded down: ``45s``, ``3m``, ``2h``, ``9d``."""
    if since_ns is None:
        return "-"
    seconds = max(0, now_ns - since_ns) // 1_000_000_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def amount(count: int) -> str:
    """Return a number of bytes in three or four figures: ``512 B``, ``1.5 MiB``."""
    if count < 1024:
        return f"{count} B"
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit - 1]}"
