"""Tar archives, read member by member while they come in.

The stdlib decodes the header blocks (``TarInfo.frombuf``); the walk from one to the next is here, since
``tarfile`` itself wants a blocking file, and a stream has none. ustar, pax and GNU long names are read. Nothing
is ever written to a path that an archive names: a member's name is only a key.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from containerd_aio._images.source import PIECE, ArchiveBytes
from containerd_aio.errors import InvalidArgumentError

_BLOCK: Final = tarfile.BLOCKSIZE
_MAX_EXTENSION: Final = 1024 * 1024
MAX_MEMBERS: Final = 100_000


class Kind(Enum):
    """What a member is."""

    FILE = auto()
    DIRECTORY = auto()
    SYMLINK = auto()
    HARDLINK = auto()


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive.

    ``name`` is relative and clean: no ``.``, no ``..``, no doubled slash. ``target`` is what a link points to, as
    the archive has it.
    """

    name: str
    kind: Kind
    size: int = 0
    target: str = ""


class TarReader:
    """The members of an archive, in order, and the bytes of each."""

    def __init__(self, source: ArchiveBytes, *, max_members: int = MAX_MEMBERS) -> None:
        self._source = source
        self._max_members = max_members
        self._member = ""
        self._left = 0
        self._padding = 0
        self._seen = 0

    async def next_member(self) -> Member | None:
        """Skip what is left of the current member and return the next one, ``None`` at the end.

        :raises InvalidArgumentError: if the archive is no tar, damaged or truncated, or has a member that an image
            archive must not have: a device, or a name that leads outside
        """
        extension = _Extension()
        while True:
            await self._skip()
            header = await self._next_header()
            if header is None:
                await self._source.check_rest()
                return None
            self._start(header.size if header.type not in _WITHOUT_DATA else 0, header.name)
            if header.type in _EXTENSIONS:
                extension = _extend(extension, header, await self._read_extension())
                continue
            member = _member(header, extension)
            self._start(member.size, member.name)
            return member

    async def read(self, max_bytes: int = PIECE) -> bytes:
        """Return up to ``max_bytes`` of the current member, ``b""`` at its end.

        :raises InvalidArgumentError: if the archive is damaged or truncated
        """
        if not self._left:
            return b""
        piece = await self._source.receive(min(max_bytes, self._left))
        if not piece:
            raise InvalidArgumentError(f"the archive is truncated inside of {self._member!r}")
        self._left -= len(piece)
        return piece

    async def read_all(self) -> bytes:
        """Return what is left of the current member, which the caller knows to be small enough.

        :raises InvalidArgumentError: if the archive is damaged or truncated
        """
        parts: list[bytes] = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts)

    def _start(self, size: int, name: str) -> None:
        self._member, self._left, self._padding = name, size, -size % _BLOCK

    async def _skip(self) -> None:
        while await self.read():
            pass
        # The padding of the last member may be missing: nothing of the content is.
        await self._source.receive_exactly(self._padding)
        self._padding = 0

    async def _next_header(self) -> tarfile.TarInfo | None:
        block = await self._source.receive_exactly(_BLOCK)
        if not block.strip(b"\0"):  # a block of zeros ends an archive, and so does its mere end, as in tar(1)
            if self._seen:
                return None
            raise InvalidArgumentError("the archive is empty")
        self._seen += 1
        if self._seen > self._max_members:
            raise InvalidArgumentError(f"the archive has more than {self._max_members} members")
        try:
            header = tarfile.TarInfo.frombuf(block, encoding="utf-8", errors="surrogateescape")
        except tarfile.HeaderError as error:
            if self._seen == 1:
                raise InvalidArgumentError(
                    "this is not an archive: neither a tar nor a tar with gzip"
                ) from error
            after = f"after {self._member!r}"
            raise InvalidArgumentError(f"the archive is damaged or truncated {after}: {error}") from error
        if header.size < 0:
            raise InvalidArgumentError(f"the archive is damaged: {header.name!r} has a negative size")
        return header

    async def _read_extension(self) -> bytes:
        if self._left > _MAX_EXTENSION:
            raise InvalidArgumentError(f"the archive has an extended header of {self._left} bytes")
        return await self.read_all()


@dataclass(frozen=True, slots=True)
class _Extension:
    """What extended headers say about the member that follows them."""

    name: str | None = None
    target: str | None = None
    size: int | None = None


_EXTENSIONS: Final = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
)
_KINDS: Final = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
}
_WITHOUT_DATA: Final = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
_REFUSED: Final = {
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def _extend(extension: _Extension, header: tarfile.TarInfo, data: bytes) -> _Extension:
    if header.type == tarfile.XGLTYPE:
        return extension  # about the whole archive (git puts its commit there); it names no member
    if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        return _extend_pax(extension, data)
    text = _decode(data.partition(b"\0")[0])
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return replace(extension, name=text)
    return replace(extension, target=text)


def _extend_pax(extension: _Extension, data: bytes) -> _Extension:
    """Read pax records: ``<length> <key>=<value>\\n``, the length in decimal and counting itself."""
    damaged = InvalidArgumentError("the archive is damaged: a pax header does not add up")
    start = 0
    while start < len(data):
        digits, space, _ = data[start : start + 20].partition(b" ")
        if not space or not digits.isdigit():
            raise damaged
        end = start + int(digits)
        record, start = data[start + len(digits) + 1 : end], end
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or end > len(data):
            raise damaged
        if key == b"path":
            extension = replace(extension, name=_decode(value))
        elif key == b"linkpath":
            extension = replace(extension, target=_decode(value))
        elif key == b"size":
            if not value.isdigit() or len(value) > 19:
                raise damaged
            extension = replace(extension, size=int(value))
        elif key.startswith(b"GNU.sparse."):
            raise InvalidArgumentError("the archive has a sparse file; make it with tar's ordinary format")
    return extension


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"the archive has a name that is not UTF-8: {text[:100]!r}") from error


def _checked(text: str) -> str:
    return _decode(text.encode(errors="surrogateescape"))


def _member(header: tarfile.TarInfo, extension: _Extension) -> Member:
    """Return the member that a header and its extensions describe.

    :raises InvalidArgumentError: if an image archive must not have it
    """
    raw = extension.name if extension.name is not None else header.name
    kind = _KINDS.get(header.type)
    if kind is None:
        what = _REFUSED.get(header.type, f"of an unknown type ({header.type!r})")
        raise InvalidArgumentError(f"the archive's member {raw!r} is {what}, which no image archive has")
    if kind is Kind.FILE and raw.endswith("/"):
        kind = Kind.DIRECTORY  # how the first tars spelled one
    size = extension.size if extension.size is not None else header.size
    return Member(
        name=inside_path(_checked(raw), about=f"the archive's member {raw!r}"),
        kind=kind,
        size=size if header.type not in _WITHOUT_DATA else 0,
        target=_checked(extension.target if extension.target is not None else header.linkname),
    )


def inside_path(path: str, *, about: str, start: str = "") -> str:
    """Return a path of an archive in its clean form, taken from the directory ``start`` of it.

    :raises InvalidArgumentError: if it leads outside of the archive, or cannot be a path; ``about`` names it
    """
    if "\0" in path or path.startswith("/"):
        raise InvalidArgumentError(f"{about} leads outside of the archive")
    parts: list[str] = []
    for part in (*start.split("/"), *path.split("/")):
        if part == "..":
            if not parts:
                raise InvalidArgumentError(f"{about} leads outside of the archive")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
