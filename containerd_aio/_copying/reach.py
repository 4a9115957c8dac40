"""Where the files of a container are on its host, now.

While its task is there, they are what its init sees: ``/proc/PID/root``, with all that is mounted into it. When the
task has ended and is not deleted, its overlay is mounted still, and may be written to only there; without a task it
lies in layers.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from containerd_aio._copying.mount_table import (
    MountEntry,
    is_rootfs,
    mounted_overlays,
    parse_mount_table,
    pseudo_devices,
)
from containerd_aio._copying.owners import Owners, owners_of_process
from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.types import Mount

_HOLD: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_OPEN_TREE: Final = 428  # open_tree(2) has one number on all architectures, and no function in Python
_OPEN_TREE_CLONE: Final = 1
_AT_FDCWD: Final = -100


class UnreachableError(Exception):
    """The files cannot be reached in this way; the message tells why. No user sees it."""


@dataclass(frozen=True, slots=True)
class Root:
    """The root of a container's process: a directory that shows all files of the container."""

    descriptor: int
    owners: Owners
    pseudo: frozenset[int]

    @property
    def directories(self) -> LayeredDirectories:
        """Return it to be read."""
        return LayeredDirectories([self.descriptor])


def root_of_process(held: ExitStack, pid: int, mounts: Sequence[Mount]) -> Root:
    """Hold what a container's process has as its root.

    :raises UnreachableError: if it cannot be seen, or is not certainly the container's, whose snapshot has ``mounts``
    """
    try:
        # Everything is taken from one directory of /proc, which stays that of one process: its pid may be another's
        # any time.
        process = os.open(f"/proc/{pid}", _HOLD)
        held.callback(os.close, process)
        root = os.open("root", _HOLD, dir_fd=process)
        held.callback(os.close, root)
        table = parse_mount_table(_content(process, "mountinfo"))
        owners = owners_of_process(
            _content(process, "uid_map").decode(), _content(process, "gid_map").decode()
        )
    except (FileNotFoundError, ProcessLookupError) as error:
        raise UnreachableError(f"its process {pid} is not to be seen here") from error
    except PermissionError as error:
        raise UnreachableError(f"this process may not look into its process {pid}; it takes root") from error
    if not is_rootfs(root, table, mounts):
        raise UnreachableError(f"process {pid} has a root that is not the container's")
    return Root(root, owners, pseudo_devices(table))


def mounted_root(held: ExitStack, mounts: Sequence[Mount], *, writing: bool) -> int | None:
    """Hold the overlay of a container where it is mounted on this host, ``None`` if it is not to be found.

    Who holds a mount keeps it busy, and a task cannot be deleted then. For ``writing`` that is as it must be: the
    next task would mount the same directories once more. To read, a mount of our own is held.
    """
    for entry in mounted_overlays(_own_table(), mounts):
        try:
            root = os.open(entry.point, _HOLD) if writing else _own_mount(entry.point)
        except OSError:
            continue  # hidden, unmounted since
        held.callback(os.close, root)
        if os.fstat(root).st_dev == entry.device:
            return root
    return None


def _own_mount(path: str) -> int:
    """Mount what is mounted at ``path`` once more, for as long as the descriptor is open; with less than root, hold it.

    :raises OSError: if it is not there
    """
    descriptor: int = _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if descriptor >= 0:
        return descriptor
    if (number := ctypes.get_errno()) in (errno.EPERM, errno.ENOSYS):
        return os.open(path, _HOLD)
    raise OSError(number, os.strerror(number), path)


def _own_table() -> list[MountEntry]:
    with open("/proc/self/mountinfo", "rb") as file:
        return parse_mount_table(file.read())


def _content(directory: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory), "rb") as file:
        return file.read()
