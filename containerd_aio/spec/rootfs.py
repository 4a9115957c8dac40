"""Reading a file of a container's root filesystem from the host, without mounting it and without trusting it.

How it is confined stands in ``layered`` (names) and ``resolution`` (links).
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.layered import LayeredDirectories, Node
from containerd_aio.spec.layers import NotReadable
from containerd_aio.spec.resolution import Found, resolve
from containerd_aio.types import Mount

MAX_FILE_SIZE: Final = 10 * 2**20


class Rootfs(Protocol):
    """A container's files."""

    def read(self, path: str) -> bytes | None:
        """Return the content of the regular file at ``path``, ``None`` where there is none.

        :raises RootfsUnreadableError: if the container's files cannot be read from here
        :raises InvalidArgumentError: if it is no regular file, is too big, or links lead nowhere in the end
        """


class RootfsUnreadableError(InvalidArgumentError):
    """The container's files cannot be read from here, whatever the image: give ``uid:gid`` instead of a name."""


class UnreadableRootfs:
    """A root filesystem that cannot be read from here, and why: it is on another host, or not of directories."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def read(self, path: str) -> bytes | None:
        """Refuse.

        :raises RootfsUnreadableError: always
        """
        raise RootfsUnreadableError(
            f"{path} of the container cannot be read from here ({self.reason}); give uid:gid"
        )


@contextmanager
def open_rootfs(mounts: Sequence[Mount]) -> Generator[Rootfs, None, None]:
    """Give the files that ``mounts``, a snapshotter's answer, will show, for the length of the block.

    It does not fail where the files cannot be read: reading one then does, with the reason.
    """
    with ExitStack() as opened:
        try:
            tree = opened.enter_context(LayeredDirectories.of(mounts))
        except NotReadable as error:
            yield UnreadableRootfs(str(error))
        else:
            yield LayeredRootfs(tree)


class LayeredRootfs:
    """The files of a tree that can be read here."""

    def __init__(self, tree: LayeredDirectories) -> None:
        self._tree = tree

    def read(self, path: str) -> bytes | None:
        """Return a file's content, as `Rootfs` says."""
        try:
            names = self._resolved(path)
            node = None if names is None else self._tree.open(names)
            if node is None:
                return None
            with node:
                return _content(path, node)
        except (NotReadable, PermissionError) as error:
            return UnreadableRootfs(str(error)).read(path)
        except OSError as error:
            # What a hostile tree can cause is the tree's fault; the others (no descriptors left) are not.
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                raise
            raise InvalidArgumentError(f"{path} of the container leads nowhere: {error.strerror}") from error

    def _resolved(self, path: str) -> Sequence[str] | None:
        try:
            place = resolve(self._look, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if place.missing else place.names

    def _look(self, names: Sequence[str]) -> Found | None:
        node = self._tree.open(names)
        if node is None:
            return None
        with node:
            return Found(node.is_directory, node.link_target())


def _content(path: str, node: Node) -> bytes:
    if not stat.S_ISREG(node.status.st_mode):
        raise InvalidArgumentError(f"{path} of the container is not a regular file")
    if node.mark("metacopy") is not None:
        raise NotReadable("the overlay keeps the file's data elsewhere, metacopy")
    with open(node.path, "rb") as file:
        content = file.read(MAX_FILE_SIZE + 1)
    if len(content) > MAX_FILE_SIZE:
        raise InvalidArgumentError(f"{path} of the container is larger than {MAX_FILE_SIZE} bytes")
    return content
