"""A path of a container, followed through its links: they start again at the container's root, never at ours."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_LINKS: Final = 40
_MAX_LOOKUPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What there is at a name: a directory, a link to ``target``, or something else."""

    is_directory: bool
    target: str | None = None


Look: TypeAlias = Callable[[tuple[str, ...]], Found | None]
"""Tells what there is at names that count from the root, and have no link among them but the last."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads: the ``names`` that are there, with no link among them, and those that are ``missing``."""

    names: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/" + "/".join((*self.names, *self.missing))


def resolve(
    look: Look,
    path: str,
    *,
    start: Sequence[str] = (),
    follow_last: bool = True,
    max_lookups: int = _MAX_LOOKUPS,
) -> Place:
    """Return where ``path`` leads from the directory ``start``.

    Each name looked up counts as often as it is deep. A real path takes some twenty; a hostile tree of links could
    keep us busy for long.

    :raises NotADirectoryError: if a directory is needed where there is something else
    :raises FileNotFoundError: if it goes up again from a directory that is missing
    :raises OSError: with ELOOP for too many links
    """
    pending = path.split("/")[::-1]
    walked = [] if path.startswith("/") else [*start]
    links = lookups = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del walked[-1:]
            continue
        lookups += len(walked) + 1
        if links > MAX_LINKS or lookups > max_lookups:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        found = look((*walked, name))
        if found is None:
            return Place(tuple(walked), _missing(name, pending))
        if found.target is not None and (pending or follow_last):
            links += 1
            pending += found.target.split("/")[::-1]
            if found.target.startswith("/"):
                walked.clear()
            continue
        walked.append(name)
        if pending and not found.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return Place(tuple(walked))


def _missing(name: str, pending: Sequence[str]) -> tuple[str, ...]:
    names = [name, *(each for each in reversed(pending) if each not in ("", "."))]
    if ".." in names:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return tuple(names)
