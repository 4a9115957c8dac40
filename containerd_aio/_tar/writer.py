"""A member as the bytes that stand in front of its content; the stdlib encodes them (``TarInfo.tobuf``, pax)."""

from __future__ import annotations

import tarfile
from typing import Final

from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.pax import XATTR, text_of

END: Final = bytes(2 * tarfile.BLOCKSIZE)
"""What an archive ends with."""

_TYPES: Final = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
    Kind.CHARACTER_DEVICE: tarfile.CHRTYPE,
    Kind.BLOCK_DEVICE: tarfile.BLKTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
}


def header_of(member: Member, *, comment: str = "") -> bytes:
    """Return a member's header; ``size`` bytes of content follow, and ``padding_of(size)``.

    A ``comment`` is a record of its own, which readers pass over.
    """
    info = _info(member)
    # A float, which TarInfo would take as time, does not hold nanoseconds.
    records = {XATTR + name: text_of(value) for name, value in member.xattrs.items()}
    if member.mtime_ns < 0 or member.mtime_ns % 10**9:
        records["mtime"] = _decimal(member.mtime_ns)
    if comment:
        records["comment"] = comment
    info.pax_headers = records
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def gnu_header_of(member: Member) -> bytes:
    """Return a member's header for tars that know no pax, as busybox's: whole seconds, and no attributes."""
    return _info(member).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _info(member: Member) -> tarfile.TarInfo:
    info = tarfile.TarInfo(member.name)
    info.type = _TYPES[member.kind]
    info.size = member.size
    info.linkname = member.target
    info.mode = member.mode
    info.uid, info.gid = member.uid, member.gid
    info.devmajor, info.devminor = member.device
    info.mtime = max(0, member.mtime_ns // 10**9)
    return info


def padding_of(size: int) -> bytes:
    """Return what fills the last block of a content of ``size`` bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


def _decimal(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{rest:09}"
