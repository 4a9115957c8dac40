"""What an image archive holds, brought into the content store while it is read.

Two kinds of archive are known: an OCI image layout (``index.json``, ``blobs/``) and what ``docker save`` writes
(``manifest.json``, layers under names of its own). Which one it is shows only at the end, since members come in
any order, and a stream cannot be read twice. So every file goes straight into the content store, hashed on its
way, and the index is looked at afterwards; what nothing refers to is taken by the next collection, once the
caller's lease is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from containerd_aio._images.blobs import fresh_ref
from containerd_aio._images.manifest import MAX_DOCUMENT
from containerd_aio._tar.member import Kind, Member, inside_path
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.source import ArchiveBytes, ArchiveSource, open_source
from containerd_aio.errors import DataLossError, InvalidArgumentError
from containerd_aio.types.digest import Digester

if TYPE_CHECKING:
    from containerd_aio.services.content import Content

OCI_LAYOUT: Final = "oci-layout"
OCI_INDEX: Final = "index.json"
DOCKER_MANIFEST: Final = "manifest.json"

_DOCUMENTS: Final = frozenset({OCI_LAYOUT, OCI_INDEX, DOCKER_MANIFEST})
_BLOBS: Final = "blobs/sha256/"
_REFUSED: Final = {
    Kind.CHARACTER_DEVICE: "a device",
    Kind.BLOCK_DEVICE: "a device",
    Kind.FIFO: "a FIFO",
}
_MAX_LINKS: Final = 40
_HEAD: Final = 8


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of an archive that is a blob now; ``head`` is its first bytes, which tell a compression."""

    digest: str
    size: int
    head: bytes


@dataclass(slots=True)
class Archive:
    """What was in an archive: the documents that describe it, its files by their names, and its links."""

    documents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    files: dict[str, StoredFile] = field(default_factory=dict[str, StoredFile])
    links: dict[str, str] = field(default_factory=dict[str, str])

    def find(self, name: str, *, about: str) -> StoredFile:
        """Return the file of that name, through links; ``about`` names what refers to it.

        :raises InvalidArgumentError: if there is none, or the name or a link leads outside of the archive
        """
        path = inside_path(name, about=f"{about}: {name!r}")
        for _ in range(_MAX_LINKS):
            if path in self.files:
                return self.files[path]
            if path not in self.links:
                raise InvalidArgumentError(f"{about}: the archive has no file {path!r}")
            path = self.links[path]
        raise InvalidArgumentError(f"{about}: {name!r} is a link that leads to itself")

    def sizes(self) -> dict[str, int]:
        """Return the size of each blob that the archive brought, by digest."""
        return {file.digest: file.size for file in self.files.values()}


async def store_archive(content: Content, source: ArchiveSource, *, max_size: int) -> Archive:
    """Read an archive to its end and write its files to the content store. The caller holds a lease.

    If this fails or is cancelled, no ingest is left; blobs that were complete are left to the caller's lease.

    :raises InvalidArgumentError: if this is no tar, plain or in gzip; if it is damaged, truncated or larger than
        ``max_size`` bytes; or if a member leads outside, or is no part of an image archive
    """
    archive = Archive()
    async with open_source(source) as chunks:
        tar = TarReader(ArchiveBytes(chunks, max_size=max_size))
        while (found := await tar.next_member()) is not None:
            member = _checked(found)
            if member.kind is Kind.FILE:
                await _store_file(content, archive, tar, member)
            elif member.kind is not Kind.DIRECTORY:
                archive.links[member.name] = _link_target(member)
    return archive


def _checked(member: Member) -> Member:
    """Return a member under its clean name.

    :raises InvalidArgumentError: if an image archive must not have it: a device, a name that leads outside
    """
    what = _REFUSED.get(member.kind)
    if what is not None:
        raise InvalidArgumentError(
            f"the archive's member {member.name!r} is {what}, which no image archive has"
        )
    for text in (member.name, member.target):
        if any("\udc80" <= character <= "\udcff" for character in text):
            raise InvalidArgumentError(f"the archive has a name that is not UTF-8: {text[:100]!r}")
    return replace(member, name=inside_path(member.name, about=f"the archive's member {member.name!r}"))


async def _store_file(content: Content, archive: Archive, tar: TarReader, member: Member) -> None:
    if member.name in _DOCUMENTS:
        if member.name in archive.documents:
            raise InvalidArgumentError(f"the archive has two members {member.name!r}")
        archive.documents[member.name] = await _read_document(tar, member)
        return
    stored = await _store_blob(content, tar, member)
    if archive.files.setdefault(member.name, stored).digest != stored.digest:
        raise InvalidArgumentError(f"the archive has two different members {member.name!r}")


async def _read_document(tar: TarReader, member: Member) -> bytes:
    if member.size > MAX_DOCUMENT:
        raise InvalidArgumentError(
            f"{member.name!r} in the archive has {member.size} bytes; at most {MAX_DOCUMENT} are taken"
        )
    return await tar.read_all()


async def _store_blob(content: Content, tar: TarReader, member: Member) -> StoredFile:
    data = _MemberBytes(tar)
    expected = _digest_in_name(member.name)
    if not member.size:  # no image refers to an empty file
        return StoredFile(Digester().digest, 0, b"")
    try:
        digest = await content.write_blob(fresh_ref(), data, size=member.size, expected=expected)
    except DataLossError as error:
        raise InvalidArgumentError(f"{member.name!r} in the archive is damaged: {error}") from error
    return StoredFile(digest, member.size, data.head)


class _MemberBytes:
    """The bytes of a tar's current member, the first of them remembered."""

    def __init__(self, tar: TarReader) -> None:
        self._tar = tar
        self.head = b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._tar.read()
        if not piece:
            raise StopAsyncIteration
        if len(self.head) < _HEAD:
            self.head += piece[:_HEAD]
        return piece


def _digest_in_name(name: str) -> str | None:
    """Return the digest that a member's name promises."""
    digits = name.removeprefix(_BLOBS)
    if name.startswith(_BLOBS) and len(digits) == 64 and set(digits) <= set("0123456789abcdef"):
        return f"sha256:{digits}"
    return None


def _link_target(member: Member) -> str:
    """Return where in the archive a link leads: a symlink's target counts from its directory, a hard link's
    from the top."""
    start = member.name.rpartition("/")[0] if member.kind is Kind.SYMLINK else ""
    about = f"the archive's link {member.name!r} to {member.target!r}"
    return inside_path(member.target, about=about, start=start)
