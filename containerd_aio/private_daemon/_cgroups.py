"""The control groups of containers: on cgroup v2 one directory, on v1 one for each controller."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path

from containerd_aio.private_daemon._mounts import mount_points


def cgroups(name: str) -> list[Path]:
    """The directories of the control group ``/<name>``, one in each hierarchy that has it."""
    hierarchies = dict.fromkeys(mount.path for mount in mount_points() if mount.type in ("cgroup", "cgroup2"))
    return [path for hierarchy in hierarchies if (path := hierarchy / name).is_dir()]


def members(group: Path) -> set[int]:
    """The pids in the group and in those below it."""
    pids: set[int] = set()
    for directory, _, _ in os.walk(group):
        try:
            pids.update(int(pid) for pid in Path(directory, "cgroup.procs").read_text().split())
        except OSError:  # removed meanwhile; or a threaded group of v2, whose parent lists its processes
            continue
    return pids


def thaw(group: Path) -> None:
    """Let frozen processes run on: in the freezer of cgroup v1 they do not even die of SIGKILL."""
    for directory, _, files in os.walk(group):
        if "freezer.state" in files:
            try:
                Path(directory, "freezer.state").write_text("THAWED")
            except OSError:  # removed meanwhile
                continue


def remove_groups(groups: Iterable[Path], *, seconds: float) -> list[str]:
    """Remove the groups and those below them; a line for each that stays.

    Where a group still holds a process, which may be one that is dying, it is tried again for ``seconds``.
    """
    deadline = time.monotonic() + seconds
    left: list[str] = []
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):
            error = _rmdir(directory)
            while error == errno.EBUSY and time.monotonic() < deadline:
                time.sleep(0.01)
                error = _rmdir(directory)
            if error not in (0, errno.ENOENT):
                left.append(f"cannot remove control group {directory}: {os.strerror(error)}")
    return left


def _rmdir(directory: str) -> int:
    """The errno, 0 for success."""
    try:
        os.rmdir(directory)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
