"""Members of an archive as a layer, for a snapshot that nothing has mounted: containerd's differ applies it.

An overlay's differ writes to the upper directory alone, and sees nothing of the layers below: a link that one of
them has would become a directory, and what a whiteout hides would come back with the directory that takes its
place. So the layer names every file by where it lies in the merged tree, makes each new directory opaque, and has
no entry for a directory that is there (containerd copies it up with its own mode and owner; tried on 1.6, 1.7 and
2.1, as the other facts here).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from containerd_aio._copying.faults import Naming
from containerd_aio._copying.landing import Landing, Names, implied, names_of, path_of
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.writer import END, header_of, padding_of
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.resolution import Found, Look

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class LayerWriter:
    """Makes the layer that puts members below the directory ``base``.

    ``look`` tells what the snapshot has; ``hidden`` are the places where the container has something mounted. In an
    ``overlay`` a new directory is opaque. Elsewhere nothing can come back with it, and to be opaque would mean that
    what another copy put there meanwhile is removed.
    """

    def __init__(
        self,
        look: Look,
        base: Names,
        named: Naming,
        *,
        hidden: frozenset[Names] = frozenset(),
        overlay: bool = True,
    ) -> None:
        self._snapshot = look
        self._landing = Landing(self._look, base, named, hidden=hidden)
        self._overlay = overlay
        self._planned: dict[Names, Found] = {}
        self._hard_linkable: set[Names] = set()
        self._padding = b""
        # It gives the layer a digest that no other blob has, so that the blob can be removed at the end.
        self._comment = secrets.token_hex(16)

    def take(self, items: Iterable[Member | bytes]) -> bytes:
        """Return the part of the layer that these items make. This blocks.

        :raises InvalidArgumentError: or another error, if one must not be written
        """
        parts: list[bytes] = []
        for item in items:
            if isinstance(item, Member):
                parts.append(self._padding)
                self._padding = padding_of(item.size)
                parts += self._entries(item)
            else:
                parts.append(item)
        return b"".join(parts)

    def end(self) -> bytes:
        """Return what ends the layer."""
        return self._padding + END

    def _entries(self, member: Member) -> list[bytes]:
        names = names_of(member.name, about=f"the archive's member {member.name!r}")
        parent = self._landing.parent(names)
        entries: list[bytes] = []
        place = parent.names
        for name in parent.missing:
            place = (*place, name)
            entries += self._directory(place, implied(member))
        self._landing.made(names[:-1], place)
        place = (*place, names[-1])
        if self._landing.keeps(member.kind, place, names):
            return entries
        self._check_place(place)
        if member.kind is Kind.CHARACTER_DEVICE and member.device == (0, 0):
            raise InvalidArgumentError(
                f"{path_of(place)!r} cannot be copied to a container without a task: in a layer a device 0:0 means that"
                " a file is removed"
            )
        if member.kind is Kind.DIRECTORY:
            self._landing.made(names, place)
            return entries + self._directory(place, member)
        if member.kind is Kind.SYMLINK:
            self._landing.link_brought(place)
        target = "/".join(self._linked(member)) if member.kind is Kind.HARDLINK else member.target
        self._planned[place] = Found(False, member.target if member.kind is Kind.SYMLINK else None)
        if member.kind in (Kind.FILE, Kind.HARDLINK):
            self._hard_linkable.add(place)
        return [*entries, self._header(replace(member, name="/".join(place), target=target))]

    def _directory(self, place: Names, member: Member) -> list[bytes]:
        self._check_place(place)
        self._planned[place] = Found(True)
        name = "/".join(place)
        entries = [self._header(replace(member, name=name))]
        if self._overlay:
            entries.append(self._header(Member(f"{name}/{_OPAQUE}", Kind.FILE)))
        return entries

    def _linked(self, member: Member) -> Names:
        about = f"the target of the archive's hard link {member.name!r}"
        names = names_of(member.target, about=about)
        if names:
            directory = self._landing.parent(names)
            place = (*directory.names, names[-1])
            if not directory.missing and place in self._hard_linkable:
                return place
        raise InvalidArgumentError(
            f"{about} is not a file that the archive brought before: {member.target!r}"
        )

    def _header(self, member: Member) -> bytes:
        comment, self._comment = self._comment, ""
        return header_of(member, comment=comment)

    def _look(self, names: Names) -> Found | None:
        for depth in range(len(names), 0, -1):
            planned = self._planned.get(names[:depth])
            if planned is not None:
                return planned if depth == len(names) else None
        return self._snapshot(names)

    def _check_place(self, place: Names) -> None:
        whiteout = next((name for name in place if name.startswith(_WHITEOUT)), None)
        if whiteout is not None:
            raise InvalidArgumentError(
                f"{path_of(place)!r} cannot be copied to a container without a task: in a layer {whiteout!r} means"
                " that a file is removed"
            )
