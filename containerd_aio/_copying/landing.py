"""Where the members of an archive land below a directory, and which of them must not.

The archive is not trusted: no name goes up, and no link that it brings is ever a way for what follows. A link that
was there before it is followed, as a process of the container would follow it: ``/lib`` is one in most images, and
an archive with ``lib/x`` means what lies behind it.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Final, TypeAlias

from containerd_aio._copying.faults import Naming
from containerd_aio._tar.member import Kind, Member
from containerd_aio.errors import FailedPreconditionError, InvalidArgumentError
from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.spec.resolution import Found, Look, Place, resolve

Names: TypeAlias = tuple[str, ...]

_MAX_LOOKUPS: Final = 20_000
_MAX_KNOWN: Final = 1000
_MAX_DEPTH: Final = (
    2048  # a path of PATH_MAX bytes has no more names; a kilobyte of gzip could have half a million
)


def look_into(directories: LayeredDirectories) -> Look:
    """Return what tells of the files of a tree."""

    def look(names: Names) -> Found | None:
        node = directories.open(names)
        if node is None:
            return None
        with node:
            return Found(node.is_directory, node.link_target())

    return look


def names_of(path: str, *, about: str) -> Names:
    """Return the names that a member's name or a hard link's target has, counted from the top of the archive.

    A name that begins with a slash is counted from there too, as tar(1) does; ``about`` is what has the name.

    :raises InvalidArgumentError: if it goes up, or cannot be a name
    """
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if ".." in names or "\0" in path:
        raise InvalidArgumentError(f"{about} leads outside: {path!r}")
    if len(names) > _MAX_DEPTH:
        raise InvalidArgumentError(
            f"{about[:200]}... lies in {len(names)} directories; {_MAX_DEPTH} are the most"
        )
    return names


class Landing:
    """Where members land below the directory ``base``.

    ``look`` tells what is there now; ``hidden`` are the places where the container has something mounted that this
    does not show. With ``follow_links`` false, nothing goes through any link.
    """

    def __init__(
        self,
        look: Look,
        base: Names,
        named: Naming,
        *,
        follow_links: bool = True,
        hidden: frozenset[Names] = frozenset(),
    ) -> None:
        self._look = look
        self._base = base
        self._named = named
        self._follow_links = follow_links
        self._hidden = hidden
        self._brought: set[Names] = set()
        self._known: dict[Names, Names] = {}

    def parent(self, member: Names) -> Place:
        """Return the directory that a member lands in: the part that is there, and what is to be made.

        :raises InvalidArgumentError: if a link of the archive is on the way to it
        :raises FailedPreconditionError: if something on the way is no directory, or the place is hidden
        """
        wanted = member[:-1]
        if (known := self._known.get(wanted)) is not None:
            return Place(known)
        place = self._resolved(wanted, member)
        check_shown((*place.names, *place.missing), self._hidden)
        if not place.missing:
            self.made(wanted, place.names)
        return place

    def made(self, wanted: Names, names: Names) -> None:
        """Remember where the directory ``wanted`` of the archive is."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[wanted] = names

    def link_brought(self, names: Names) -> None:
        """Remember a link that the archive has brought."""
        self._brought.add(names)

    def keeps(self, kind: Kind, names: Names, member: Names) -> bool:
        """Return whether what is at ``names`` stays: a directory for a directory, or a link that leads to one.

        :raises FailedPreconditionError: if a directory would take the place of a file, or the other way round, or
            the place is hidden
        """
        with self._named(path_of(names)):
            found = self._look(names)
            if found is not None and kind is Kind.DIRECTORY:
                if not found.is_directory and not self._leads_to_directory(names, found, member):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                return True
            if found is not None and found.is_directory:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        check_shown(names, self._hidden)
        return False

    def _leads_to_directory(self, names: Names, found: Found, member: Names) -> bool:
        if found.target is None or not self._follow_links or names in self._brought:
            return False
        place = self._resolved(member, member)
        behind = None if place.missing else self._look(place.names)
        return behind is not None and behind.is_directory

    def _resolved(self, wanted: Names, member: Names) -> Place:
        shown = "/".join(member)

        def look(names: Names) -> Found | None:
            found = self._look(names)
            if found is None or found.target is None:
                return found
            if names in self._brought:
                raise InvalidArgumentError(
                    f"the archive's member {shown!r} lies behind the link {path_of(names)!r}, which the archive brought"
                )
            if not self._follow_links:
                raise InvalidArgumentError(
                    f"the archive's member {shown!r} lies behind a link: {path_of(names)!r}"
                )
            return found

        path = "".join(f"{name}/" for name in wanted)  # the last slash: what is there must be a directory
        with self._named(path_of((*self._base, *wanted))):
            return resolve(look, path, start=self._base, max_lookups=_MAX_LOOKUPS)


def path_of(names: Names) -> str:
    """Return names, counted from the root, as a path."""
    return "/" + "/".join(names)


def implied(member: Member) -> Member:
    """Return the directory that a member is in, and the archive does not have."""
    return Member("", Kind.DIRECTORY, mode=0o755, uid=member.uid, gid=member.gid, mtime_ns=time.time_ns())


def check_shown(place: Names, hidden: frozenset[Names]) -> None:
    """Refuse a place that is, or is in, one of those that are ``hidden``.

    :raises FailedPreconditionError: if it is
    """
    point = next((place[:depth] for depth in range(1, len(place) + 1) if place[:depth] in hidden), None)
    if point is not None:
        raise FailedPreconditionError(
            f"{path_of(place)!r} lies in the mount {path_of(point)!r} of the container, which is there only while its"
            " task is; make the task first"
        )
