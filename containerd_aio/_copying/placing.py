"""A file is made under a name of its own, and renamed to its place at the end: it is there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def made_beside(parent: int, name: str) -> Generator[str]:
    """Give a name to make something under, and rename it to ``name`` at the end; if that fails, remove it."""
    temporary = temporary_name()
    try:
        yield temporary
        put_in_place(temporary, name, parent)
    finally:
        # After a failure; and rename(2) leaves both names of one file as they are.
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)


def put_in_place(temporary: str, name: str, parent: int) -> None:
    """Rename a file to its name.

    :raises OSError: with EBUSY if something is mounted there. Only in its own mount namespace would rename(2) say so;
        from outside of the container it succeeds, and the mount is gone (since Linux 3.18)
    """
    with suppress(FileNotFoundError):
        there = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if _mount_of(there) != _mount_of(parent):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        finally:
            os.close(there)
    os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _mount_of(descriptor: int) -> str:
    """Return the id of the mount that a descriptor is on."""
    with open(f"/proc/self/fdinfo/{descriptor}") as file:
        return next(line for line in file if line.startswith("mnt_id:"))


def temporary_name() -> str:
    """Return a name for what is not finished."""
    return f".containerd-aio-{secrets.token_hex(8)}"
