"""What options read of the host that they are made on: small files, and which device a node is.

They are read when the option is made, never when it is applied (`option` says why). So what cannot be read is
refused at once, in the option's words, and it is this host that is read, also where containerd runs on another.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.arguments import check_flag, check_path, check_text, invalid

MAX_FILE_SIZE: Final = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Device:
    """A device node: ``kind`` is ``c`` (character) or ``b`` (block), ``mode`` its permissions."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


def read_file(option: str, path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file of this host; a relative path starts at the working directory.

    :raises InvalidArgumentError: if there is none, it cannot be read, or it has more than 10 MiB
    """
    plain = check_text(option, os.fspath(path) if isinstance(path, os.PathLike) else path)
    try:
        with open(plain, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise invalid(option, plain, "is not a regular file")
            content = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise unreadable(option, plain, error) from error
    if len(content) > MAX_FILE_SIZE:
        raise invalid(option, plain, f"has more than {MAX_FILE_SIZE} bytes")
    return content


def device_at(option: str, path: str | os.PathLike[str], *, follow_links: bool = False) -> Device:
    """Return the device node at ``path``, under that path also where it is a link.

    :raises InvalidArgumentError: if there is none, it is no device, or it is a link and they are not followed
    """
    place = check_path(option, path)
    try:
        found = os.stat(place, follow_symlinks=check_flag(option, follow_links))
    except OSError as error:
        raise unreadable(option, place, error) from error
    if stat.S_ISLNK(found.st_mode):
        raise invalid(option, place, f"is a link to {os.readlink(place)!r}; give that, or follow_links=True")
    if stat.S_ISDIR(found.st_mode):
        raise invalid(option, place, "is a directory; devices() takes all that is in it")
    node = as_device(place, found)
    if node is None:
        raise invalid(option, place, "is not a device")
    return node


def as_device(path: str, found: os.stat_result) -> Device | None:
    """Return the device that ``found`` tells of, as a node at ``path``; ``None`` if it is none."""
    if stat.S_ISCHR(found.st_mode):
        kind = "c"
    elif stat.S_ISBLK(found.st_mode):
        kind = "b"
    else:
        return None
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return Device(path, kind, major, minor, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _open_at_once(path: str, flags: int) -> int:
    # Without waiting: a FIFO would hold up the event loop until somebody writes to it.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def unreadable(option: str, path: str, error: OSError) -> InvalidArgumentError:
    """Return the refusal of a path of this host that the kernel does not give to us."""
    return invalid(option, path, f"cannot be read on this host: {error.strerror}")
