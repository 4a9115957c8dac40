"""Reading a file of a container's root filesystem from the host, without mounting it and without trusting it.

The reader is likely root, and the tree was written by an image, or is being written by a running container. So
every name is opened alone, relative to the directory that it lies in, and never through a link: links are
followed here, by hand, and start again at the root of the tree. What is opened is first held without being opened
for reading (``O_PATH``), so that it is known to be a regular file before anything of a device or a FIFO is
touched.

For an overlay the layers are merged as the kernel does it (its overlayfs.rst): the uppermost layer that has a name
decides, directories of one name are one, a whiteout hides what lies below, an opaque directory all of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.layers import NotReadable, layers_of
from containerd_aio.types import Mount

MAX_FILE_SIZE: Final = 10 * 2**20
MAX_LINKS: Final = 40
# Names looked up for one read: a real path takes some twenty, a hostile tree of links could keep us busy for long.
MAX_LOOKUPS: Final = 1000

_HOLD: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_CAP_SYS_ADMIN: Final = 1 << 21
_INITIAL_USER_NAMESPACE: Final = 0xEFFFFFFD  # PROC_USER_INIT_INO in the kernel's linux/proc_ns.h


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
        yield _opened(mounts, opened)


def _opened(mounts: Sequence[Mount], opened: ExitStack) -> Rootfs:
    try:
        layers = layers_of(mounts)
        if layers.marks.startswith("trusted.") and not trusted_attributes_shown(*_own_privileges()):
            return UnreadableRootfs("only root of the host can see what an overlay hides")
        directories: list[int] = []
        for path in layers.directories:
            directories.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.callback(os.close, directories[-1])
    except (NotReadable, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        return UnreadableRootfs(str(error))
    return _LayeredRootfs(directories, layers.marks)


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


class _LayeredRootfs:
    """Directories of the host as one tree; ``marks`` as in `Layers`."""

    def __init__(self, directories: Sequence[int], marks: str) -> None:
        self._layers = list(directories)
        self._marks = marks

    def read(self, path: str) -> bytes | None:
        try:
            names = self._resolved(path)
            if names is None:
                return None
            with self._entry(names) as found:
                return self._content(path, found[0]) if found else None
        except (NotReadable, PermissionError) as error:
            return UnreadableRootfs(str(error)).read(path)
        except OSError as error:
            # What a hostile tree can cause is the tree's fault; the others (no descriptors left) are not.
            if error.errno not in (errno.ELOOP, errno.ENAMETOOLONG):
                raise
            raise InvalidArgumentError(f"{path} of the container leads nowhere: {error.strerror}") from error

    def _resolved(self, path: str) -> list[str] | None:
        """Return the names that lead to ``path`` from the root, with no link among them; ``None``: no such file."""
        pending = path.split("/")[::-1]
        walked: list[str] = []
        links = lookups = 0
        while pending:
            name = pending.pop()
            if name in ("", ".", ".."):
                if not self._is_directory(walked):
                    return None  # nothing lies behind a file's name, not even itself
                if name == "..":
                    del walked[-1:]
                continue
            lookups += len(walked) + 1
            if links > MAX_LINKS or lookups > MAX_LOOKUPS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            with self._entry([*walked, name]) as found:
                if not found:
                    return None
                target = _link_target(found[0])
            if target is None:
                walked.append(name)
                continue
            links += 1
            pending += target.split("/")[::-1]
            if target.startswith("/"):
                walked.clear()
        return walked

    def _is_directory(self, names: Sequence[str]) -> bool:
        if not names:
            return True
        with self._entry(names) as found:
            return bool(found) and stat.S_ISDIR(os.fstat(found[0]).st_mode)

    @contextmanager
    def _entry(self, names: Sequence[str]) -> Generator[list[int], None, None]:
        """Give what the layers have at ``names``, the uppermost first: one file, or directories; empty: nothing."""
        found, opened = self._layers, ExitStack()
        try:
            for name in names:
                parents = opened
                found, opened = self._step(found, name)
                parents.close()
            yield found
        finally:
            opened.close()

    def _step(self, directories: Sequence[int], name: str) -> tuple[list[int], ExitStack]:
        with ExitStack() as opened:
            shown: list[int] = []
            for directory in directories:
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
            return shown, opened.pop_all()

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
            return os.getxattr(_again(entry), self._marks + name)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise

    def _content(self, path: str, entry: int) -> bytes:
        status = os.fstat(entry)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgumentError(f"{path} of the container is not a regular file")
        if self._mark(entry, "metacopy") is not None:
            raise NotReadable("the overlay keeps the file's data elsewhere, metacopy")
        with open(_again(entry), "rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
        if len(content) > MAX_FILE_SIZE:
            raise InvalidArgumentError(f"{path} of the container is larger than {MAX_FILE_SIZE} bytes")
        return content


def _link_target(entry: int) -> str | None:
    if not stat.S_ISLNK(os.fstat(entry).st_mode):
        return None
    return os.readlink("", dir_fd=entry)


def _again(entry: int) -> str:
    # A descriptor that only holds a file cannot be read; opened by this name it is the same file, whatever has
    # happened to its path since.
    return f"/proc/self/fd/{entry}"
