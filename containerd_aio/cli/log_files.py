"""Where the output of detached containers goes: one file for each, on containerd's host, written by its shim.

Which file it is, containerd tells, as long as the task is there. The label is for people, and never opened: other
clients copy an image's labels to its containers, so an image could name any file there. What is opened, and
removed, without a task is only the file at the place that is ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from containerd_aio.errors import InvalidArgumentError

LOG_FILE_LABEL: Final = "containerd-aio/log-file"
DIRECTORY: Final = Path("/var/log/containerd-aio")
VARIABLE: Final = "CONTAINERD_AIO_LOG_DIR"


def default_log_file(namespace: str, container_id: str) -> Path:
    """Return the log file of a container for which none was named; both are containerd's identifiers."""
    return Path(os.environ.get(VARIABLE) or DIRECTORY).absolute() / namespace / f"{container_id}.log"


def make_log_file(path: Path) -> None:
    """Make an empty file that only its owner reads, in the place of one that an earlier container has left.

    The shim would make one that everybody reads.

    :raises InvalidArgumentError: if it cannot be made
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        _create(path, os.O_EXCL)
    except OSError as error:
        raise InvalidArgumentError(
            f"cannot make the log file {str(path)!r} ({error.strerror}); --log FILE or ${VARIABLE} name another place"
        ) from error


def add_to_log_file(path: Path) -> None:
    """See to it that a file that the user named is there; output is added to its end.

    :raises InvalidArgumentError: if it is no file, or cannot be made
    """
    try:
        if not path.exists():
            _create(path, 0)
    except OSError as error:
        raise InvalidArgumentError(f"--log: cannot make {str(path)!r}: {error.strerror}") from error
    if not path.is_file():
        raise InvalidArgumentError(f"--log: {str(path)!r} is no file")


def _create(path: Path, flags: int) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600))
