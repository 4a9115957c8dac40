"""Where a copy goes: the rules of ``docker cp``, which are those of ``cp -r``.

A file is copied into a directory that is there, under its own name, and otherwise becomes the path itself. A
directory is copied into one that is there, under its own name, and otherwise becomes the path; with ``/.`` at the
end of the source its contents go into the directory that is there.
"""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass
from typing import Final

from containerd_aio._copying.faults import about
from containerd_aio._copying.files import Located
from containerd_aio._copying.landing import Names
from containerd_aio._tar.member import Kind
from containerd_aio.errors import FailedPreconditionError, NotFoundError

_DIRECTORY_ENDS: Final = ("/", "/.")


@dataclass(frozen=True, slots=True)
class Source:
    """What is copied: its ``name``, ``""`` if only its contents are meant, and whether it is a directory.

    With ``into`` it goes into a directory, and never becomes one that is missing unless its parents would.
    """

    name: str
    is_directory: bool
    into: bool = False


@dataclass(frozen=True, slots=True)
class Destination:
    """The directory ``base``, which is there, and the names of the copy below it; none: its contents go there."""

    base: Names
    names: Names


def name_of(path: str) -> str:
    """Return the name that what is at ``path`` is copied under; ``""`` for the contents of a directory."""
    last = path.rstrip("/").rpartition("/")[2]
    return "" if last in (".", "..") else last


def in_container(
    container_id: str, path: str, located: Located, source: Source, *, parents: bool
) -> Destination:
    """Return where in a container ``source`` goes.

    :raises NotFoundError: if directories are missing, and shall not be made
    :raises FailedPreconditionError: if a file would take the place of a directory, or of a device, or a directory
        that of a file
    """
    place, found = located.place, located.member
    what = about(container_id, path)
    if place.missing:
        names = place.missing
        if not source.is_directory and path.endswith(_DIRECTORY_ENDS):
            names = (*names, source.name)
        needed = names if source.into else names[:-1]
        if needed and not parents:
            shown = "/" + "/".join((*place.names, *needed))
            raise NotFoundError(
                f"there is no directory {about(container_id, shown)}; `parents` makes it", subject=what
            )
        return Destination(place.names, names)
    if found is not None and found.kind is Kind.DIRECTORY:
        return Destination(place.names, (source.name,) if source.name else ())
    if source.is_directory:
        raise FailedPreconditionError(f"{what} is not a directory", subject=what)
    if found is None or found.kind is not Kind.FILE:
        raise FailedPreconditionError(f"{what} is neither a file nor a directory, and stays", subject=what)
    return Destination(place.names[:-1], place.names[-1:])


def on_host(target: str | os.PathLike[str], source: Source) -> tuple[str, Names]:
    """Return the directory of this host that a copy goes to, and its names there.

    :raises OSError: if the target cannot take it, as ``open()`` would say
    """
    text = os.fspath(target)
    real = os.path.realpath(text)
    if os.path.isdir(real):
        return real, (source.name,) if source.name else ()
    if os.path.lexists(real):
        if source.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), text)
        if not os.path.isfile(real):  # such as /dev/null, which a file must not take the place of
            raise FileExistsError(
                errno.EEXIST, "There is something else than a file or directory, and it stays", text
            )
    if not source.is_directory and text.endswith(_DIRECTORY_ENDS):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), text)
    parent, name = posixpath.split(real)
    if not os.path.isdir(parent):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), parent)
    return parent, (name,)
