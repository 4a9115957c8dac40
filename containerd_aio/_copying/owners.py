"""User and group ids as a container counts them, and as its host does.

A container in a user namespace has ids of its own; a tar holds those, and its files on the host have others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec

MAX_ID: Final = 2**32 - 2
_NOBODY: Final = 65534  # what the kernel shows for an id that has no name in the namespace


@dataclass(frozen=True, slots=True)
class IdRange:
    """``size`` ids that are counted from ``inside`` in the container, and from ``outside`` on its host."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class IdMap:
    """Ids of one kind; no range: they are the same on both sides.

    ``complete`` tells whether what no range has on the host is nobody's in the container. It is not where the
    files are not mounted: layers of an image may have their ids not shifted yet, and those are as the container
    will see them.
    """

    ranges: Sequence[IdRange] = ()
    complete: bool = True

    def to_host(self, number: int) -> int:
        """Return the host's id for one of the container.

        :raises InvalidArgumentError: if the container's user namespace has no such id
        """
        if not 0 <= number <= MAX_ID:
            raise InvalidArgumentError(f"{number} is no user or group id: 0 to {MAX_ID}")
        if not self.ranges:
            return number
        for each in self.ranges:
            if each.inside <= number < each.inside + each.size:
                return number - each.inside + each.outside
        raise InvalidArgumentError(
            f"the container's user namespace has no id {number}; give owner= with ids that it has"
        )

    def to_container(self, number: int) -> int:
        """Return the container's id for one of the host."""
        if not self.ranges:
            return number
        for each in self.ranges:
            if each.outside <= number < each.outside + each.size:
                return number - each.outside + each.inside
        return _NOBODY if self.complete else number


@dataclass(frozen=True, slots=True)
class Owners:
    """The user and group ids of a container."""

    uids: IdMap = IdMap()
    gids: IdMap = IdMap()

    def host_root(self) -> int:
        """Return the host's id of the container's root; the host's own root where the container has none."""
        return next((each.outside for each in self.uids.ranges if each.inside == 0), 0)


def owners_of_process(uid_map: str, gid_map: str) -> Owners:
    """Return what ``/proc/PID/uid_map`` and ``gid_map`` say."""
    return Owners(IdMap(_ranges(uid_map)), IdMap(_ranges(gid_map)))


def owners_of_spec(spec: Spec) -> Owners:
    """Return what a container's spec says, for files that no process of it shows."""
    linux = spec.get("linux") or {}
    maps = [
        [IdRange(each.get("containerID", 0), each.get("hostID", 0), each.get("size", 0)) for each in mappings]
        for mappings in (linux.get("uidMappings") or (), linux.get("gidMappings") or ())
    ]
    return Owners(*(IdMap(_shifting(ranges), complete=False) for ranges in maps))


def _ranges(text: str) -> Sequence[IdRange]:
    return _shifting(IdRange(*map(int, line.split())) for line in text.splitlines())


def _shifting(ranges: Iterable[IdRange]) -> Sequence[IdRange]:
    found = tuple(ranges)
    every = IdRange(0, 0, 2**32 - 1)
    return () if found == (every,) else found
