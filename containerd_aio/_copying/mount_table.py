"""``/proc/PID/mountinfo``: what is mounted where, and whether it is the snapshot that is meant.

A pid proves nothing: in another pid namespace it is a stranger's, and a runtime that puts containers into virtual
machines, or sandboxes system calls, reports a process whose root is not the container's. What is mounted tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from containerd_aio.types import Mount

_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")

# Filesystems whose files are the kernel's talk: of no size, without end, or different at each reading.
_PSEUDO: Final = frozenset(
    [
        "autofs",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "efivarfs",
        "fusectl",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tracefs",
    ]
)


@dataclass(frozen=True, slots=True)
class MountEntry:
    """A line of the table. ``device`` is the ``st_dev`` of what is mounted; ``options`` are the filesystem's."""

    device: int
    root: str
    point: str
    type: str
    source: str
    options: dict[str, str]


def parse_mount_table(text: bytes) -> list[MountEntry]:
    """Return the entries of a mountinfo, in their order: a later one lies over an earlier one of the same point."""
    # By newlines alone: splitlines() also splits at a carriage return, which the kernel leaves in the name of a mount
    # point as it is.
    return [_entry(line) for line in text.split(b"\n") if line]


def pseudo_devices(table: Iterable[MountEntry]) -> frozenset[int]:
    """Return the ``st_dev`` of the filesystems that hold nothing which can be copied."""
    return frozenset(entry.device for entry in table if entry.type in _PSEUDO)


def is_rootfs(root: int, table: Sequence[MountEntry], mounts: Sequence[Mount]) -> bool:
    """Return whether the directory held as ``root``, of a process with this table, is what ``mounts`` describe."""
    at_root = [entry for entry in table if entry.point == "/"]
    if len(mounts) != 1 or not at_root:
        return False
    (mount,) = mounts
    if mount.type in ("bind", "rbind"):
        return _same_directory(root, mount.source)
    top = at_root[-1]  # with a root of its own, a part of the snapshot is mounted there
    return top.root == "/" and _describes(top, mount) and os.fstat(root).st_dev == top.device


def mounted_overlays(table: Iterable[MountEntry], mounts: Sequence[Mount]) -> list[MountEntry]:
    """Return where the overlay that ``mounts`` describe is mounted as a whole."""
    if len(mounts) != 1 or mounts[0].type != "overlay":
        return []
    return [entry for entry in table if entry.root == "/" and _describes(entry, mounts[0])]


def _describes(entry: MountEntry, mount: Mount) -> bool:
    if entry.type != mount.type:
        return False
    if mount.type != "overlay":
        return entry.source == mount.source
    wanted = {name: value for name, _, value in (option.partition("=") for option in mount.options)}
    # Two overlays of one upperdir exclude each other; without one, the layers tell as much as there is to know.
    key = "upperdir" if "upperdir" in wanted else "lowerdir"
    return key in wanted and entry.options.get(key) == re.sub(r"\\(.)", r"\1", wanted[key])


def _same_directory(root: int, path: str) -> bool:
    try:
        wanted = os.stat(path)
    except OSError:
        return False
    found = os.fstat(root)
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _entry(line: bytes) -> MountEntry:
    before, _, after = line.partition(b" - ")
    _, _, device, root, point, *_ = before.split(b" ")
    type_, source, options = after.split(b" ", 2)
    major, minor = map(int, device.split(b":"))
    pairs = [option.partition(b"=") for option in options.split(b",")]
    return MountEntry(
        device=os.makedev(major, minor),
        root=_text(root),
        point=_text(point),
        type=_text(type_),
        source=_text(source),
        options={_text(key): _text(value) for key, _, value in pairs},
    )


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
