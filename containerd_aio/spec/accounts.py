"""``/etc/passwd`` and ``/etc/group`` as rows: parsing of files that an image wrote.

Rows that are not what passwd(5) and group(5) say are passed over, as the C library does; also those with an id
above 2**31-1, which some programs would take for another one, or for root (CVE-2024-40635).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ID_MAX: Final = 2**31 - 1

_NUMBER: Final = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class PasswdRow:
    """A user: the name, and the ids it stands for."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group: the name, the id it stands for, and the names of its members."""

    name: str
    gid: int
    members: tuple[str, ...]


def passwd_rows(content: bytes) -> Iterator[PasswdRow]:
    """Yield the rows of an ``/etc/passwd``, in their order; any bytes are fine."""
    for fields in _rows(content, at_least=4):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            yield PasswdRow(fields[0], uid, gid)


def group_rows(content: bytes) -> Iterator[GroupRow]:
    """Yield the rows of an ``/etc/group``, in their order; any bytes are fine."""
    for fields in _rows(content, at_least=3):
        gid = _number(fields[2])
        members = fields[3].split(",") if len(fields) > 3 else []
        if gid is not None:
            yield GroupRow(fields[0], gid, tuple(name for name in members if name))


def _rows(content: bytes, *, at_least: int) -> Iterator[list[str]]:
    for line in content.split(b"\n"):
        fields = line.strip().decode("utf-8", "surrogateescape").split(":")
        if len(fields) >= at_least and fields[0]:
            yield fields


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= ID_MAX else None
