"""The layers of an overlay as one tree, seen by descriptors and without mounting it.

The reader is likely root, and the tree was written by an image, or is being written by a running container. So
every name is opened alone, relative to the directory that it lies in, and never through a link. What is opened is
first held without being opened for reading (``O_PATH``), so that it is known what it is before anything of a device
or a FIFO is touched.

The layers are merged as the kernel does it (its overlayfs.rst): the uppermost layer that has a name decides,
directories of one name are one, a whiteout hides what lies below, an opaque directory all of it. A single
directory is a tree of one layer, in which nothing is marked.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from containerd_aio.spec.layers import NotReadable, layers_of
from containerd_aio.types import Mount

_HOLD: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_CAP_SYS_ADMIN: Final = 1 << 21
_INITIAL_USER_NAMESPACE: Final = 0xEFFFFFFD  # PROC_USER_INIT_INO in the kernel's linux/proc_ns.h


class LayeredDirectories:
    """Directories of the host as one tree, the uppermost first; ``marks`` as in `Layers`.

    The descriptors stay the caller's.
    """

    def __init__(self, directories: Sequence[int], marks: str = "") -> None:
        self._directories = tuple(directories)
        self._marks = marks

    @classmethod
    @contextmanager
    def of(cls, mounts: Sequence[Mount]) -> Generator[Self]:
        """Open what ``mounts``, a snapshotter's answer, will show, for the length of the block.

        :raises NotReadable: if they are not made of directories that can be read here; the message tells why
        """
        with ExitStack() as opened:
            try:
                layers = layers_of(mounts)
                if layers.marks.startswith("trusted.") and not trusted_attributes_shown(*_own_privileges()):
                    raise NotReadable("only root of the host can see what an overlay hides")
                directories: list[int] = []
                for path in layers.directories:
                    directories.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                    opened.callback(os.close, directories[-1])
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                raise NotReadable(str(error)) from error
            yield cls(directories, layers.marks)

    def open(self, names: Sequence[str]) -> Node | None:
        """Hold what is at ``names``, counted from the root; ``None``: nothing. A link among them leads nowhere.

        :raises NotReadable: if the layers do not say what is there
        :raises OSError: as the kernel has it
        """
        node: Node | None = self.root()
        for name in names:
            if node is None:
                break
            with node as directory:
                node = directory.child(name)
        return node

    def root(self) -> Node:
        """Hold the root."""
        with ExitStack() as opened:
            descriptors: list[int] = []
            for directory in self._directories:
                descriptors.append(os.dup(directory))
                opened.callback(os.close, descriptors[-1])
            return Node(descriptors, self._marks, opened.pop_all())


class Node:
    """A file or directory of the tree, held until the block ends."""

    def __init__(self, descriptors: Sequence[int], marks: str, opened: ExitStack) -> None:
        self._descriptors = (
            descriptors  # what the layers have of it, the uppermost first; several: a directory
        )
        self._marks = marks
        self._opened = opened
        self.status: Final = os.fstat(descriptors[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def path(self) -> str:
        """A name by which it can be opened again, whatever has happened to its own since.

        A descriptor that only holds a file can neither be read nor changed; by this name the same file can.
        """
        return f"/proc/self/fd/{self._descriptors[0]}"

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    def link_target(self) -> str | None:
        """Return where a link leads, ``None`` if it is none."""
        if not stat.S_ISLNK(self.status.st_mode):
            return None
        return os.readlink("", dir_fd=self._descriptors[0])

    def child(self, name: str) -> Node | None:
        """Hold what a directory has at ``name``; ``None``: nothing, or this is no directory."""
        if not self.is_directory:
            return None
        with ExitStack() as opened:
            shown: list[int] = []
            for directory in self._descriptors:
                try:
                    entry = os.open(name, _HOLD, dir_fd=directory)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                opened.callback(os.close, entry)
                status = os.fstat(entry)
                is_directory = stat.S_ISDIR(status.st_mode)
                if self._is_whiteout(status) or (shown and not is_directory):
                    break
                shown.append(entry)
                if not is_directory or self._hides_lower(entry):
                    break
            return Node(shown, self._marks, opened.pop_all()) if shown else None

    def names(self) -> list[str]:
        """Return the names that the layers have in a directory; those that are hidden have no `child`."""
        found: set[str] = set()
        for descriptor in self._descriptors:
            listed = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                found.update(os.listdir(listed))
            finally:
                os.close(listed)
        return sorted(found)

    def mark(self, name: str) -> bytes | None:
        """Return a mark that overlayfs has put on it."""
        return self._mark(self._descriptors[0], name)

    def _is_whiteout(self, status: os.stat_result) -> bool:
        return bool(self._marks) and stat.S_ISCHR(status.st_mode) and status.st_rdev == 0

    def _hides_lower(self, directory: int) -> bool:
        if self._mark(directory, "redirect") is not None:
            raise NotReadable("the overlay has renamed directories, redirect_dir")
        return self._mark(directory, "opaque") == b"y"

    def _mark(self, entry: int, name: str) -> bytes | None:
        if not self._marks:
            return None
        try:
            return os.getxattr(f"/proc/self/fd/{entry}", self._marks + name)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise


def trusted_attributes_shown(process_status: str, user_namespace: int) -> bool:
    """Return whether the kernel shows ``trusted.*`` attributes to a process with this ``/proc/PID/status``.

    It wants CAP_SYS_ADMIN in the initial user namespace, and says "no such attribute" to all others.
    """
    effective = next(
        (line.split()[1] for line in process_status.splitlines() if line.startswith("CapEff:")), "0"
    )
    return user_namespace == _INITIAL_USER_NAMESPACE and bool(int(effective, 16) & _CAP_SYS_ADMIN)


def _own_privileges() -> tuple[str, int]:
    return Path("/proc/self/status").read_text(), os.stat("/proc/self/ns/user").st_ino
