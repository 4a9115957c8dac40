"""Which directories of the host a container's root filesystem is made of, as its mounts say; no file is touched.

Snapshotters hand out an overlay of directories, or one directory to bind: the native snapshotter always, overlayfs
where there is only one layer. Everything else (a block device, an erofs image, what a mount plugin has to prepare)
has no directory to look into before it is mounted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from containerd_aio.types import Mount


class NotReadable(Exception):  # noqa: N818 - an answer inside of the library, no user sees it
    """The mounts do not say, or do not say enough, where the files are; the message tells why."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Directories, the uppermost first, and how an overlay marks what is hidden in those below.

    ``marks`` is the prefix of overlayfs's extended attributes: ``trusted.overlay.``, or ``user.overlay.`` with the
    mount option ``userxattr``. The kernel looks at no others, so neither must we: an image can bring attributes of
    the other kind with it. It is ``""`` for a single directory that is bound, where nothing is marked.
    """

    directories: tuple[str, ...]
    marks: str = ""


def layers_of(mounts: Sequence[Mount]) -> Layers:
    """Return what ``mounts``, a snapshotter's answer, are made of.

    :raises NotReadable: if it is not one bind or overlay mount of absolute paths
    """
    if len(mounts) != 1 or mounts[0].target not in ("", "/"):
        raise NotReadable(f"{len(mounts)} mounts make it up")
    (mount,) = mounts
    if mount.type in ("bind", "rbind"):
        layers = Layers((mount.source,))
    elif mount.type == "overlay":
        layers = _overlay(mount.options)
    else:
        raise NotReadable(f"mounts of type {mount.type!r} are not made of directories")
    for directory in layers.directories:
        if not directory.startswith("/") or "\0" in directory:
            raise NotReadable(f"{directory!r} is not an absolute path")
    return layers


def _overlay(options: Sequence[str]) -> Layers:
    values = {name: value for name, _, value in (option.partition("=") for option in options)}
    if "lowerdir" not in values or {"lowerdir+", "datadir+"} & values.keys():
        raise NotReadable("the overlay does not list its layers as lowerdir=")
    lowers = _lower_directories(values["lowerdir"])
    uppers = (re.sub(r"\\(.)", r"\1", values["upperdir"]),) if "upperdir" in values else ()
    return Layers(uppers + lowers, "user.overlay." if "userxattr" in values else "trusted.overlay.")


def _lower_directories(text: str) -> tuple[str, ...]:
    # A colon that belongs to a path, and a backslash, have a backslash in front (the kernel's overlayfs.rst).
    paths = [""]
    characters = iter(text)
    for character in characters:
        if character == ":":
            paths.append("")
        else:
            paths[-1] += next(characters, "") if character == "\\" else character
    return tuple(paths)
