"""An entry of a tar archive, and where its name leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from containerd_aio.errors import InvalidArgumentError


class Kind(Enum):
    """What a member is."""

    FILE = auto()
    DIRECTORY = auto()
    SYMLINK = auto()
    HARDLINK = auto()
    CHARACTER_DEVICE = auto()
    BLOCK_DEVICE = auto()
    FIFO = auto()


@dataclass(frozen=True, slots=True)
class Member:
    """An entry of an archive, as the archive has it: nothing of it is checked.

    ``target`` is what a link points to; ``size`` (bytes) that of a file's content, 0 for all else; ``mode`` the permissions, with
    setuid, setgid and the sticky bit; ``device`` the major and minor number of a device. Bytes of a name that are
    not UTF-8 are surrogates in it, as in all of Python's file names.
    """

    name: str
    kind: Kind
    size: int = 0
    target: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def inside_path(path: str, *, about: str, start: str = "") -> str:
    """Return a path of an archive in its clean form, taken from the directory ``start`` of it.

    It is relative, and has no ``.``, no ``..`` and no doubled slash.

    :raises InvalidArgumentError: if it leads outside of the archive, or cannot be a path; ``about`` names it
    """
    if "\0" in path or path.startswith("/"):
        raise InvalidArgumentError(f"{about} leads outside of the archive")
    parts: list[str] = []
    for part in (*start.split("/"), *path.split("/")):
        if part == "..":
            if not parts:
                raise InvalidArgumentError(f"{about} leads outside of the archive")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
