"""A tree of files as a tar archive, made piece by piece by blocking calls.

The tree may change while it is read. What vanishes before it is opened is left out; a file that grows is cut at
the size that its header has; one that shrinks is an error, for an archive cannot take its header back.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from containerd_aio._copying.attributes import to_container, travels
from containerd_aio._copying.faults import Naming
from containerd_aio._copying.landing import Names, path_of
from containerd_aio._copying.owners import Owners
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.source import PIECE
from containerd_aio._tar.writer import END, header_of, padding_of
from containerd_aio.errors import FailedPreconditionError
from containerd_aio.spec.layered import LayeredDirectories, Node
from containerd_aio.spec.layers import NotReadable

_BATCH: Final = 256 * 1024
_MAX_PSEUDO_FILE: Final = 16 * 1024 * 1024
# They are in the header, in memory. A tmpfs lets a container give one file half a gigabyte of them.
_MAX_ATTRIBUTES: Final = 256 * 1024

_KINDS: Final = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
}


@dataclass(frozen=True, slots=True)
class Tree:
    """Files to be read: of a container, or of this host.

    ``pseudo`` are the filesystems (``st_dev``) whose directories count as empty, unless one is asked for by name.
    """

    directories: LayeredDirectories
    named: Naming
    owners: Owners = field(default_factory=Owners)
    pseudo: frozenset[int] = frozenset()

    def member(self, node: Node, name: str) -> Member | None:
        """Return what a tar says of a file; ``None`` for a socket, which none can have."""
        status = node.status
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return None
        is_device = kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)
        return Member(
            name=name,
            kind=kind,
            size=status.st_size if kind is Kind.FILE else 0,
            target=node.link_target() or "",
            mode=stat.S_IMODE(status.st_mode),
            uid=self.owners.uids.to_container(status.st_uid),
            gid=self.owners.gids.to_container(status.st_gid),
            mtime_ns=status.st_mtime_ns,
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
            xattrs=to_container(_xattrs(node), self.owners) if kind in (Kind.FILE, Kind.DIRECTORY) else {},
        )


class Packing:
    """The archive of what a tree has at ``names``; there it is called ``prefix``.

    With an empty prefix a directory's entries stand at the top of the archive, and itself as ``./``.
    """

    def __init__(self, tree: Tree, names: Names, prefix: str) -> None:
        self._tree = tree
        self._pieces = self._pack(names, prefix)
        self._first_names: dict[tuple[int, int], str] = {}
        self._closed_to = tree.pseudo

    def close(self) -> None:
        """Let go of what is being read."""
        self._pieces.close()

    def next(self) -> bytes:
        """Return the next bytes, ``b""`` at the end.

        :raises NotFoundError: or another error, as the tree names it, if a file cannot be read
        """
        batch: list[bytes] = []
        size = 0
        for piece in self._pieces:
            batch.append(piece)
            size += len(piece)
            if size >= _BATCH:
                break
        return b"".join(batch)

    def _pack(self, names: Names, prefix: str) -> Generator[bytes]:
        # Each directory is opened anew, by its names, when its turn comes: a tree may be deeper than there are
        # descriptors, and nothing depends on where it was moved meanwhile.
        pending = [(names, prefix)]
        while pending:
            place, name = pending.pop()
            with self._tree.named(path_of(place)):
                node = self._tree.directories.open(place)
                if node is None and place == names:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if node is None:
                continue
            with node:
                if place == names:
                    self._closed_to -= {node.status.st_dev}
                yield from self._entry(node, place, name)
                if node.is_directory and node.status.st_dev not in self._closed_to:
                    pending += (yield from self._directory(node, place, name))[::-1]
        yield END

    def _directory(
        self, directory: Node, place: Names, name: str
    ) -> Generator[bytes, None, list[tuple[Names, str]]]:
        """Give the files of a directory, and return its directories."""
        inner: list[tuple[Names, str]] = []
        with self._tree.named(path_of(place)):
            listed = directory.names()
        for each in listed:
            child_place, child_name = (*place, each), f"{name}/{each}" if name else each
            with self._tree.named(path_of(child_place)):
                node = directory.child(each)
            if node is None:
                continue
            with node:
                if node.is_directory:
                    inner.append((child_place, child_name))
                else:
                    yield from self._entry(node, child_place, child_name)
        return inner

    def _entry(self, node: Node, place: Names, name: str) -> Iterator[bytes]:
        with self._tree.named(path_of(place)):
            member = self._tree.member(node, name or "./")
        if member is None:
            return
        if member.kind is Kind.FILE and node.status.st_nlink > 1:
            first = self._first_names.setdefault((node.status.st_dev, node.status.st_ino), member.name)
            if first != member.name:
                yield header_of(replace(member, kind=Kind.HARDLINK, target=first, size=0, xattrs={}))
                return
        if member.kind is Kind.FILE:
            yield from self._file(node, place, member)
        else:
            yield header_of(member)

    def _file(self, node: Node, place: Names, member: Member) -> Iterator[bytes]:
        with self._tree.named(path_of(place)):
            if node.mark("metacopy") is not None:
                raise NotReadable("the overlay keeps the file's data elsewhere, metacopy")
            # It is known to be a regular file; opened without waiting all the same, for the sake of /proc/kmsg.
            descriptor = os.open(node.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if node.status.st_dev in self._tree.pseudo:
                with self._tree.named(path_of(place)):
                    content = read_pseudo_file(descriptor)
                yield header_of(replace(member, size=len(content))) + content + padding_of(len(content))
                return
            yield header_of(member)
            yield from self._content(descriptor, place, member.size)
            yield padding_of(member.size)
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, place: Names, size: int) -> Iterator[bytes]:
        left = size
        while left:
            with self._tree.named(path_of(place)):
                piece = os.read(descriptor, min(PIECE, left))
                if not piece:
                    raise FailedPreconditionError(
                        f"{path_of(place)!r} became smaller while it was copied; pause the task for a copy of one"
                        " moment: async with task.paused()"
                    )
            left -= len(piece)
            yield piece


def read_pseudo_file(descriptor: int) -> bytes:
    """Read a file whose size is told by nothing but its end.

    :raises OSError: with EFBIG if it has more than 16 MiB: it may be without end
    """
    parts: list[bytes] = []
    size = 0
    with suppress(BlockingIOError):  # one that goes on for ever, and has no more for now
        while part := os.read(descriptor, PIECE):
            parts.append(part)
            size += len(part)
            if size > _MAX_PSEUDO_FILE:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return b"".join(parts)


def _xattrs(node: Node) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    try:
        for name in filter(travels, os.listxattr(node.path)):
            found[name] = os.getxattr(node.path, name)
            size += len(found[name])
            if size > _MAX_ATTRIBUTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENODATA):
            return {}  # a filesystem without any; one removed in between
        raise
    return found
