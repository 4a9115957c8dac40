"""What is mounted, and how to get rid of it."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path

# umount2(2)
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A line of /proc/self/mountinfo."""

    path: Path
    type: str


def mount_points() -> list[MountPoint]:
    """All of this mount namespace, in the order in which they were mounted."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())


def parse_mountinfo(text: bytes) -> list[MountPoint]:
    """The lines of a mountinfo file (proc(5))."""
    # id, parent, device, root, mount point, options, any number of tags, "-", type, source, options
    found: list[MountPoint] = []
    # by space and newline only, which the kernel escapes in paths: split() would take a carriage return as well
    for line in text.removesuffix(b"\n").split(b"\n"):
        before, _, after = line.partition(b" - ")
        path = os.fsdecode(_unescaped(before.split(b" ")[4]))
        found.append(MountPoint(Path(path), after.split(b" ")[0].decode()))
    return found


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)


def unmount_below(directory: Path) -> list[str]:
    """Unmount all below ``directory``, the last first; busy ones are detached. A line for each that stays."""
    left: list[str] = []
    for mount in reversed([mount for mount in mount_points() if directory in mount.path.parents]):
        if _umount(mount.path, _UMOUNT_NOFOLLOW) != 0:
            error = _umount(mount.path, _UMOUNT_NOFOLLOW | _MNT_DETACH)
            if error != 0:
                left.append(f"cannot unmount {mount.path}: {os.strerror(error)}")
    return left


def _umount(path: Path, flags: int) -> int:
    """The errno, 0 for success."""
    if _libc.umount2(os.fsencode(path), flags) == 0:
        return 0
    return ctypes.get_errno()
