"""A container's files where only the daemon can reach them, and no task has them mounted.

The daemon packs the whole snapshot into one archive, as a difference to nothing (tried on 1.6, 1.7 and 2.1, on
overlayfs and native). That costs time and room of the size of the image, and works from everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from containerd_aio._copying.attributes import to_container
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.faults import Naming
from containerd_aio._copying.files import Located, place_of
from containerd_aio._copying.index import SnapshotIndex
from containerd_aio._copying.landing import Names
from containerd_aio._copying.owners import Owners
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._copying.worker import Worker
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.writer import END, header_of, padding_of


class SnapshotFiles:
    """The files of one container in an archive of its snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        worker: Worker,
        index: SnapshotIndex,
        named: Naming,
        owners: Owners,
        *,
        hidden: frozenset[Names],
    ) -> None:
        self.container_id = snapshot.container_id
        self.owners = owners
        self._snapshot = snapshot
        self._worker = worker
        self._index = index
        self._named = named
        self._hidden = hidden

    async def locate(self, path: str) -> Located:
        """Follow a path, as `Files` says."""
        with self._named(path):
            place = place_of(self._index.look, path, self._hidden)
        if place.missing:
            return Located(place, None)
        return Located(place, self._as_in_container(self._index.file(place.names).member))

    async def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
        """Read an archive, as `Files` says."""
        first_names: dict[Names, str] = {}
        for each in self._index.below(names):
            name = "/".join((*filter(None, [prefix]), *each[len(names) :])) or "./"
            file = self._index.file(each)
            member = replace(self._as_in_container(file.member), name=name)
            first = first_names.setdefault(file.names, name)
            if first != name:
                yield header_of(replace(member, kind=Kind.HARDLINK, target=first, size=0, xattrs={}))
                continue
            yield header_of(member)
            async with aclosing(self._index.content(file)) as pieces:
                async for piece in pieces:
                    yield piece
            yield padding_of(member.size)
        yield END

    def _as_in_container(self, member: Member) -> Member:
        uid, gid = self.owners.uids.to_container(member.uid), self.owners.gids.to_container(member.gid)
        return replace(member, uid=uid, gid=gid, xattrs=to_container(member.xattrs, self.owners))

    async def write(self, base: Names, members: AsyncIterator[Batch]) -> None:
        """Write members, as `Files` says."""
        await self._snapshot.write(
            self._index.look, base, members, self._worker, named=self._named, hidden=self._hidden
        )
