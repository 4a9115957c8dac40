"""What of an archive is taken: into a container, and onto this host, where the container is not trusted."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from anyio.lowlevel import checkpoint

from containerd_aio._copying.attributes import to_host
from containerd_aio._copying.landing import Names, names_of
from containerd_aio._copying.owners import Owners
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.source import ArchiveBytes
from containerd_aio.errors import InvalidArgumentError

Batch: TypeAlias = list[Member | bytes]
"""Members of an archive, each followed by the pieces of its content."""

_BATCH_SIZE: Final = 1024 * 1024
_MEMBER_WEIGHT: Final = 4096
_PIECE_WEIGHT: Final = 64
_MAJORS: Final = 1 << 12  # what a number of a device is made of in Linux
_MINORS: Final = 1 << 20
_SPECIAL: Final = {
    Kind.CHARACTER_DEVICE: "a device",
    Kind.BLOCK_DEVICE: "a device",
    Kind.FIFO: "a FIFO",
}


class Check(Protocol):
    """Decides over a member."""

    def __call__(self, member: Member, /) -> Member | None:
        """Return the member as it is to be written, ``None`` if it is left out.

        :raises InvalidArgumentError: if the archive must not have it
        """


@dataclass(frozen=True, slots=True)
class IntoContainer:
    """Takes members for a container, below the names ``prefix``.

    They belong to ``owner``, or to whom the archive says; ``owners`` tells the host's ids. With ``special``, devices
    and FIFOs are taken too.
    """

    prefix: Names = ()
    owner: tuple[int, int] | None = None
    owners: Owners = field(default_factory=Owners)
    special: bool = False

    def __call__(self, member: Member, /) -> Member | None:
        """Return the member as it is on the host; the directory that all is copied to is left out."""
        if member.kind in _SPECIAL:
            self._check_special(member)
        names = (*self.prefix, *_names(member))
        if not names:
            return None
        uid, gid = self.owner or (member.uid, member.gid)
        return replace(
            member,
            name="/".join(names),
            target=self._target(member),
            uid=self.owners.uids.to_host(uid),
            gid=self.owners.gids.to_host(gid),
            xattrs=to_host(member.xattrs, self.owners),
        )

    def _check_special(self, member: Member) -> None:
        if not self.special:
            raise _refused(member, f"is {_SPECIAL[member.kind]}; devices=True takes devices and FIFOs too")
        major, minor = member.device
        if not (0 <= major < _MAJORS and 0 <= minor < _MINORS):
            raise _refused(member, f"is the device {major}:{minor}, which Linux cannot have")

    def _target(self, member: Member) -> str:
        if member.kind is not Kind.HARDLINK:
            return member.target
        return "/".join((*self.prefix, *_linked_names(member)))


@dataclass(frozen=True, slots=True)
class OntoHost:
    """Takes members for a directory of this host, as ``tarfile``'s filter ``data`` does, and links more strictly.

    The copy is what the archive has below ``prefix``: nothing is taken beside it, and no link leads out of it.
    """

    prefix: Names
    skip_unsafe: bool = False

    def __call__(self, member: Member, /) -> Member | None:
        """Return the member with permissions that are harmless here; owners and attributes count for nothing."""
        names = _names(member)
        if not names:
            return None
        self._check_inside(member, names)
        if (problem := self._problem(member, names)) is not None:
            if self.skip_unsafe:
                return None
            raise _refused(member, f"{problem}; skip_unsafe=True leaves such members out")
        mode = member.mode & 0o755 | 0o600
        if member.kind is Kind.DIRECTORY:
            mode |= 0o700
        elif not mode & 0o100:
            mode &= ~0o011
        return replace(member, mode=mode, xattrs={})

    def _check_inside(self, member: Member, names: Names) -> None:
        places = (names, _linked_names(member)) if member.kind is Kind.HARDLINK else (names,)
        if any(place[: len(self.prefix)] != self.prefix for place in places):
            raise _refused(member, "lies beside what is copied")

    def _problem(self, member: Member, names: Names) -> str | None:
        if member.kind in _SPECIAL:
            return f"is {_SPECIAL[member.kind]}"
        if member.kind is Kind.SYMLINK and not self._stays_inside(
            member.target, len(names) - 1 - len(self.prefix)
        ):
            return f"is a link that leads outside of the copy, to {member.target!r}"
        return None

    def _stays_inside(self, target: str, steps_to_top: int) -> bool:
        # Up first, over directories that are none but directories, and then only down: a ".." behind a name
        # could start from wherever a link of that name leads.
        names = [name for name in target.split("/") if name not in ("", ".")]
        ups = next((at for at, name in enumerate(names) if name != ".."), len(names))
        return not target.startswith("/") and ".." not in names[ups:] and ups <= steps_to_top


def archive_of(chunks: AsyncIterator[bytes], *, max_size: int | None = None) -> TarReader:
    """Return the members of an archive that comes in pieces, plain or with gzip, however many they are.

    Reading fails with `InvalidArgumentError` beyond ``max_size`` bytes.
    """
    size = sys.maxsize if max_size is None else max_size
    return TarReader(ArchiveBytes(chunks, max_size=size), max_members=sys.maxsize)


async def batches(archive: TarReader, check: Check) -> AsyncGenerator[Batch]:
    """Read an archive, and give the members that are taken in handy portions."""
    batch: Batch = []
    weight = 0
    async for item in _items(archive, check):
        batch.append(item)
        weight += _weight_of(item)
        if weight >= _BATCH_SIZE:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


async def _items(archive: TarReader, check: Check) -> AsyncGenerator[Member | bytes]:
    seen = _Seen()
    while (found := await archive.next_member()) is not None:
        await checkpoint()  # a megabyte in memory may hold a thousand members: others have their turn between
        member = check(seen.meant_by(found))
        if member is None:
            continue
        yield member
        while member.kind is Kind.FILE and (piece := await archive.read()):
            yield piece


def _weight_of(item: Member | bytes) -> int:
    if isinstance(item, bytes):
        return _PIECE_WEIGHT + len(item)
    attributes = sum(map(len, item.xattrs.values()))
    return _MEMBER_WEIGHT + len(item.name) + len(item.target) + attributes


class _Seen:
    """What an archive's hard links may mean that are none of a file: ``cp -al`` makes such links of links."""

    def __init__(self) -> None:
        self._others: dict[Names, Member] = {}

    def meant_by(self, member: Member) -> Member:
        """Return a hard link to something else than a file as that thing once more: it is checked at its own place."""
        if member.kind is Kind.HARDLINK:
            other = self._others.get(_linked_names(member))
            if other is not None:
                member = replace(other, name=member.name)
        names = _names(member)
        if member.kind is Kind.SYMLINK or member.kind in _SPECIAL:
            self._others[names] = member
        else:
            self._others.pop(names, None)
        return member


def _names(member: Member) -> Names:
    names = names_of(member.name, about=f"the archive's member {member.name!r}")
    if not names and member.kind is not Kind.DIRECTORY:
        raise _refused(member, "has the name of the directory that it is copied to")
    if member.kind is Kind.SYMLINK and (not member.target or "\0" in member.target):
        raise _refused(member, f"is a link that cannot lead anywhere: {member.target!r}")
    return names


def _linked_names(member: Member) -> Names:
    return names_of(member.target, about=f"the target of the archive's hard link {member.name!r}")


def _refused(member: Member, text: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"the archive's member {member.name!r} {text}")
