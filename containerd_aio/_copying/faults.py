"""What the kernel says of a container's file, in the words of this library."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeAlias

from containerd_aio.errors import (
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
)
from containerd_aio.spec.layers import NotReadable

Naming: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Gives a block in which an `OSError` is told with a path that counts from the top of the tree."""

_NOT_TAKEN: Final = "has a name or an attribute that its filesystem does not take"
_FAULTS: Final[dict[int, tuple[type[ContainerdError], str]]] = {
    errno.ENOENT: (NotFoundError, "is not there"),
    errno.ESRCH: (NotFoundError, "is not there any more: its process has ended"),
    errno.ENOTDIR: (FailedPreconditionError, "is not a directory, or lies behind something that is none"),
    errno.EISDIR: (FailedPreconditionError, "is a directory"),
    errno.EEXIST: (FailedPreconditionError, "was made by somebody else at the same moment"),
    errno.ESTALE: (FailedPreconditionError, "was removed at the same moment"),
    errno.EROFS: (
        FailedPreconditionError,
        "cannot be written: its filesystem is read-only; copy before the container has a task, or to a mount"
        " that can be written",
    ),
    errno.EBUSY: (
        FailedPreconditionError,
        "is a mount point, which cannot be replaced; write to what is mounted there",
    ),
    errno.EXDEV: (FailedPreconditionError, "cannot be linked to: it is on another filesystem"),
    errno.EACCES: (PermissionDeniedError, "cannot be reached with the permissions of this process"),
    errno.EPERM: (PermissionDeniedError, "cannot be changed with the permissions of this process"),
    errno.ENOSPC: (ResourceExhaustedError, "does not fit: there is no space left"),
    errno.EDQUOT: (ResourceExhaustedError, "does not fit: the quota is used up"),
    errno.EFBIG: (ResourceExhaustedError, "is too large: more than its filesystem, or a copy of it, takes"),
    errno.EMLINK: (ResourceExhaustedError, "has too many hard links"),
    errno.ELOOP: (InvalidArgumentError, "leads through too many links"),
    errno.ENAMETOOLONG: (InvalidArgumentError, "has a name that is too long"),
    errno.EINVAL: (InvalidArgumentError, _NOT_TAKEN),
    errno.ERANGE: (InvalidArgumentError, _NOT_TAKEN),
    errno.E2BIG: (InvalidArgumentError, _NOT_TAKEN),
    errno.EOVERFLOW: (
        FailedPreconditionError,
        "is on a filesystem that was mounted in the container's user namespace, where this process is nobody; write"
        " it by a process of the container: task.run(), with input=",
    ),
    errno.EAGAIN: (FailedPreconditionError, "is held by a process with a lease (fcntl) on it; copy again"),
    errno.EOPNOTSUPP: (InvalidArgumentError, "is, or has, something that its filesystem does not take"),
    errno.ENXIO: (FailedPreconditionError, "is a device or FIFO with nothing behind it"),
    errno.EIO: (FailedPreconditionError, "cannot be read: the filesystem reports an input/output error"),
}


def in_container(container_id: str) -> Naming:
    """Return what names the files of a container in errors."""

    @contextmanager
    def named(path: str) -> Generator[None]:
        what = about(container_id, path)
        try:
            yield
        except NotReadable as error:
            raise FailedPreconditionError(
                f"{what} cannot be read without a task ({error}); make its task first", subject=what
            ) from error
        except OSError as error:
            kind, text = _FAULTS.get(error.errno or 0, (None, ""))
            if kind is None:
                raise
            raise kind(f"{what} {text}", subject=what) from error

    return named


def on_this_host(directory: str) -> Naming:
    """Return what names files below a directory of this host: they are the caller's, and stay an `OSError`."""

    @contextmanager
    def named(path: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is None:
                raise
            shown = os.path.join(directory, path.lstrip("/"))
            raise OSError(error.errno, os.strerror(error.errno), shown) from error

    return named


def about(container_id: str, path: str) -> str:
    """Return how a file of a container is called in messages."""
    return f"{path!r} in container '{container_id}'"  # a path of the container may hold what a terminal obeys
