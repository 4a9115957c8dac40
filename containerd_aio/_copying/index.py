"""All of a snapshot as one archive that the daemon made, and where in it each file is."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from anyio.lowlevel import checkpoint

from containerd_aio._copying.landing import Names, names_of, path_of
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._images.blobs import fresh_ref
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.source import ArchiveBytes
from containerd_aio._transport.completion import completed
from containerd_aio.errors import DataLossError
from containerd_aio.services import Services
from containerd_aio.spec.resolution import Found
from containerd_aio.types import Descriptor

LAYER: Final = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file in the archive, and where its content begins."""

    names: Names
    member: Member
    offset: int


class SnapshotIndex:
    """What there is in a snapshot, by name, in the order of the archive."""

    def __init__(self, services: Services, digest: str) -> None:
        self._services = services
        self._digest = digest
        self._files: dict[Names, IndexedFile] = {
            (): IndexedFile((), Member("./", Kind.DIRECTORY, mode=0o755), 0)
        }

    async def read(self) -> None:
        """Read the archive through."""
        async with self._services.content.read(self._digest) as chunks:
            source = ArchiveBytes(chunks, max_size=sys.maxsize)
            archive = TarReader(source, max_members=sys.maxsize)
            while (member := await archive.next_member()) is not None:
                await checkpoint()
                names = names_of(member.name, about=f"the snapshot's file {member.name!r}")
                self._files[names] = IndexedFile(names, member, source.position)

    def look(self, names: Names) -> Found | None:
        """Tell what there is at ``names``."""
        found = self._files.get(names)
        if found is None:
            return None
        member = found.member
        return Found(member.kind is Kind.DIRECTORY, member.target if member.kind is Kind.SYMLINK else None)

    def file(self, names: Names) -> IndexedFile:
        """Return what is at ``names``, by its first name if it has several.

        :raises DataLossError: if nothing is there
        """
        found = self._files.get(names)
        if found is not None and found.member.kind is Kind.HARDLINK:
            about = f"the target of the snapshot's hard link {found.member.name!r}"
            found = self._files.get(names_of(found.member.target, about=about))
        if found is None or found.member.kind is Kind.HARDLINK:
            raise DataLossError(f"the snapshot's archive has nothing at {path_of(names)!r}")
        return found

    def below(self, names: Names) -> Iterator[Names]:
        """Give the names of what is at ``names``, and below it."""
        return (each for each in self._files if each[: len(names)] == names)

    async def content(self, file: IndexedFile) -> AsyncGenerator[bytes]:
        """Read the content of a file."""
        size = file.member.size
        if not size:
            return
        async with self._services.content.read(self._digest, offset=file.offset, size=size) as chunks:
            async for chunk in chunks:
                yield chunk


@asynccontextmanager
async def opened_index(snapshot: Snapshot) -> AsyncGenerator[SnapshotIndex]:
    """Have the daemon pack a snapshot that has no task; the archive is gone when the block ends."""
    services = snapshot.services
    async with services.leases.hold(sync=True):
        layer: Descriptor = await completed(
            partial(services.diff.diff, [], snapshot.mounts, media_type=LAYER, ref=fresh_ref())
        )
        index = SnapshotIndex(services, layer.digest)
        await index.read()
        yield index
