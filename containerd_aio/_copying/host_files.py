"""A container's files, reached as files of this host."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

from containerd_aio._copying.checks import Batch
from containerd_aio._copying.directory import DirectoryWriter
from containerd_aio._copying.files import Located, place_of
from containerd_aio._copying.landing import Names, look_into
from containerd_aio._copying.owners import Owners
from containerd_aio._copying.packing import Packing, Tree
from containerd_aio._copying.reach import mounted_root
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._copying.worker import Worker


class HostFiles:
    """The files of one container, held open in ``worker``.

    They are written to below ``target``: a directory that shows them all, or the snapshot; where that is mounted,
    through the mount. At the places that are ``hidden`` the container has other files than the tree shows.
    """

    def __init__(
        self,
        container_id: str,
        worker: Worker,
        tree: Tree,
        target: int | Snapshot,
        *,
        hidden: frozenset[Names] = frozenset(),
    ) -> None:
        self.container_id = container_id
        self._worker = worker
        self._tree = tree
        self._look = look_into(tree.directories)
        self._target = target
        self._hidden = hidden

    @property
    def owners(self) -> Owners:
        """The host's ids of the container's users."""
        return self._tree.owners

    async def locate(self, path: str) -> Located:
        """Follow a path, as `Files` says."""
        return await self._worker.run(partial(self._locate, path))

    async def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
        """Read an archive, as `Files` says."""
        packing = Packing(self._tree, names, prefix)
        self._worker.held.callback(packing.close)
        while piece := await self._worker.run(packing.next):
            yield piece

    async def write(self, base: Names, members: AsyncIterator[Batch]) -> None:
        """Write members, as `Files` says."""
        root = await self._root_to_write()
        if isinstance(root, Snapshot):
            await root.write(
                self._look, base, members, self._worker, named=self._tree.named, hidden=self._hidden
            )
            return
        writer = DirectoryWriter(root, base, self._tree.named, hidden=self._hidden)
        self._worker.held.callback(writer.close)
        async for batch in members:
            await self._worker.run(partial(writer.take, batch))
        await self._worker.run(writer.finish)

    async def _root_to_write(self) -> int | Snapshot:
        target = self._target
        if not isinstance(target, Snapshot):
            return target
        found = partial(mounted_root, self._worker.held, target.mounts, writing=True)
        mounted = await self._worker.run(found)
        return target if mounted is None else mounted

    def _locate(self, path: str) -> Located:
        with self._tree.named(path):
            place = place_of(self._look, path, self._hidden)
            node = None if place.missing else self._tree.directories.open(place.names)
            if node is None:
                return Located(place, None)
            with node:
                return Located(place, self._tree.member(node, path))
