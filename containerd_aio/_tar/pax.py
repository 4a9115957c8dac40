"""Extended headers: what does not fit into a tar header's fields stands in records in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from containerd_aio._tar.member import Member
from containerd_aio.errors import InvalidArgumentError

T = TypeVar("T")

XATTR: Final = "SCHILY.xattr."
"""In front of the name of an extended attribute; its value follows as it is."""

_DAMAGED: Final = "the archive is damaged: a pax header does not add up"
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_TIME: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Extension:
    """What extended headers say about the member that follows them; ``None`` where they say nothing."""

    name: str | None = None
    target: str | None = None
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def with_records(self, data: bytes) -> Extension:
        """Return this with the records of a pax header.

        :raises InvalidArgumentError: if they do not add up, or tell of a sparse file
        """
        said, xattrs = self, dict(self.xattrs)
        for key, value in _records(data):
            match key:
                case "path":
                    said = replace(said, name=text_of(value))
                case "linkpath":
                    said = replace(said, target=text_of(value))
                case "size":
                    said = replace(said, size=_number(value))
                case "uid":
                    said = replace(said, uid=_number(value))
                case "gid":
                    said = replace(said, gid=_number(value))
                case "mtime":
                    said = replace(said, mtime_ns=_nanoseconds(value))
                case _ if key.startswith(XATTR):
                    xattrs[key.removeprefix(XATTR)] = value
                case _ if key.startswith("GNU.sparse."):
                    raise InvalidArgumentError(
                        "the archive has a sparse file; make it with tar's ordinary format"
                    )
                case _:
                    pass
        return replace(said, xattrs=xattrs)

    def applied_to(self, member: Member) -> Member:
        """Return a member with what is said about it."""
        return replace(
            member,
            name=_said(self.name, member.name),
            target=_said(self.target, member.target),
            size=_said(self.size, member.size),
            uid=_said(self.uid, member.uid),
            gid=_said(self.gid, member.gid),
            mtime_ns=_said(self.mtime_ns, member.mtime_ns),
            xattrs=self.xattrs,
        )


def _said(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value


def text_of(data: bytes) -> str:
    """Return a name; bytes that are not UTF-8 become surrogates."""
    return data.decode(errors="surrogateescape")


def _records(data: bytes) -> list[tuple[str, bytes]]:
    """Read pax records: ``<length> <key>=<value>\\n``, the length in decimal and counting itself."""
    found: list[tuple[str, bytes]] = []
    start = 0
    while start < len(data):
        digits, space, _ = data[start : start + 20].partition(b" ")
        if not space or not digits.isdigit():
            raise InvalidArgumentError(_DAMAGED)
        end = start + int(digits)
        record, start = data[start + len(digits) + 1 : end], end
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or end > len(data):
            raise InvalidArgumentError(_DAMAGED)
        found.append((text_of(key), value))
    return found


def _number(value: bytes) -> int:
    text = text_of(value)
    if not _NUMBER.fullmatch(text):
        raise InvalidArgumentError(_DAMAGED)
    return int(text)


def _nanoseconds(value: bytes) -> int:
    match = _TIME.fullmatch(text_of(value))
    if match is None:
        raise InvalidArgumentError(_DAMAGED)
    sign, seconds, fraction = match.groups(default="")
    amount = int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
    return -amount if sign else amount
