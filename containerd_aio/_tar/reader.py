"""Tar archives, read member by member while they come in.

The stdlib decodes the header blocks (``TarInfo.frombuf``); the walk from one to the next is here, since
``tarfile`` itself wants a blocking file, and a stream has none. ustar, pax and GNU long names are read. Nothing
is ever written to a path here: a member's name is only text, and whoever uses it has to check where it leads.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from typing import Final

from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.pax import Extension, text_of
from containerd_aio._tar.source import PIECE, ArchiveBytes
from containerd_aio.errors import InvalidArgumentError

_BLOCK: Final = tarfile.BLOCKSIZE
_MAX_EXTENSION: Final = 1024 * 1024
_MAX_TIME: Final = (
    10**12 * 10**9
)  # as much as a pax header's; the fields of a header could hold what no clock can
MAX_MEMBERS: Final = 100_000


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

        :raises InvalidArgumentError: if the archive is no tar, damaged or truncated, or has a member of a kind
            that is not read here: a sparse file
        """
        extension, room = Extension(), _MAX_EXTENSION
        while True:
            await self._skip()
            header = await self._next_header()
            if header is None:
                await self._source.check_rest()
                return None
            self._start(0 if header.type in _WITHOUT_DATA else header.size, header.name)
            if header.type in _EXTENSIONS:
                # There may be several, and an archive can have them without end.
                room -= self._left + _BLOCK
                if room < 0:
                    raise InvalidArgumentError(
                        f"the archive has extended headers of more than {_MAX_EXTENSION} bytes for one member"
                    )
                extension = _extend(extension, header, await self.read_all())
                continue
            member, size = _member(header, extension)
            self._start(size, member.name)
            if member.kind is not Kind.FILE:
                await self._skip()  # content of something that has none must not be taken for its members
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
    tarfile.CHRTYPE: Kind.CHARACTER_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}
_DEVICES: Final = (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
# Only a file has content, whatever the size field of the others says (a hard link's may be that of the file).
_WITHOUT_DATA: Final = tuple(type for type, kind in _KINDS.items() if kind is not Kind.FILE)


def _extend(extension: Extension, header: tarfile.TarInfo, data: bytes) -> Extension:
    if header.type == tarfile.XGLTYPE:
        return extension  # about the whole archive (git puts its commit there); it names no member
    if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
        return extension.with_records(data)
    text = text_of(data.partition(b"\0")[0])
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return replace(extension, name=text)
    return replace(extension, target=text)


def _member(header: tarfile.TarInfo, extension: Extension) -> tuple[Member, int]:
    """Return the member, and how many bytes follow its header."""
    kind = _KINDS.get(header.type)
    if kind is None:
        what = "a sparse file" if header.type == tarfile.GNUTYPE_SPARSE else f"of type {header.type!r}"
        raise InvalidArgumentError(f"the archive's member {header.name!r} is {what}, which is not read here")
    member = extension.applied_to(
        Member(
            name=header.name,
            kind=kind,
            size=header.size,
            target=header.linkname,
            mode=header.mode & 0o7777,
            uid=header.uid,
            gid=header.gid,
            mtime_ns=int(header.mtime) * 10**9,
            device=(header.devmajor, header.devminor) if kind in _DEVICES else (0, 0),
        )
    )
    if abs(member.mtime_ns) >= _MAX_TIME:
        raise InvalidArgumentError(f"the archive is damaged: {header.name!r} has a time that none can have")
    size = 0 if header.type in _WITHOUT_DATA else member.size
    if member.kind is Kind.FILE and member.name.endswith("/"):
        member = replace(member, kind=Kind.DIRECTORY)  # how the first tars spelled one
    return replace(member, size=size if member.kind is Kind.FILE else 0), size
