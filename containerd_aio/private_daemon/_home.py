"""The private directory of a daemon: where everything of it lies, and who owns it.

The owner holds a lock on a file in it for as long as it lives, so a directory whose lock is free was left by
a process that was killed. A pid in a file could not tell that: pids are used again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "containerd-aio-"
SOCKET = "containerd.sock"
LOCK = "owner.lock"

# A unix socket's path has 107 bytes at most, and containerd appends ".ttrpc" to make a second one.
LONGEST_SOCKET_PATH = 100


class Home:
    """``path`` (mode 0700) with the socket, the state directory and, unless given, the root directory."""

    def __init__(self, path: Path, *, root: Path | None = None, lock: int) -> None:
        self.path = path
        self.root = path / "root" if root is None else root
        self.state = path / "state"
        self.socket = path / SOCKET
        self.temporary = path / "tmp"
        self.fifos = path / "fifo"
        self._lock = lock

    @classmethod
    def make(cls, *, root: Path | None = None) -> Home:
        """A new one, in the first temporary directory that is short enough for a socket's path.

        :raises OSError: if it cannot be made; nothing is left
        """
        place = next(_places(), None)
        if place is None:
            raise FileNotFoundError(
                "no temporary directory is writable and short enough for a socket: set TMPDIR"
            )
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        try:
            home = cls(path, root=root, lock=_take_lock(path))
        except OSError:
            shutil.rmtree(path)
            raise
        try:
            for directory in (home.root, home.state, home.temporary, home.fifos):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            home.remove()
            raise
        return home

    @classmethod
    def abandoned(cls, *places: str) -> Iterator[Home]:
        """The directories whose owner is gone, in these places or in all; each is ours from then on."""
        for place in dict.fromkeys(places or _places()):
            for path in Path(place).glob(f"{PREFIX}*/"):
                if (lock := _lock_of_nobody(path)) is not None:
                    yield cls(path, lock=lock)

    @property
    def log(self) -> Path:
        """What containerd writes to stdout and stderr."""
        return self.path / "containerd.log"

    def read_log(self) -> str:
        """The log's text so far."""
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def remove(self) -> None:
        """Remove the directory and what is in it; a root directory that was given stays.

        :raises OSError: if something in it cannot be removed; the lock is given up all the same
        """
        try:
            for entry in list(self.path.iterdir()):
                # the lock last: what is left half-way must be found as abandoned
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != LOCK:
                    entry.unlink()
            shutil.rmtree(self.path)
        finally:
            self.release()

    def release(self) -> None:
        """Give the lock up and leave the directory where it is."""
        if self._lock != -1:
            os.close(self._lock)
            self._lock = -1


def _places() -> Iterator[str]:
    """Directories for a home, best first: the temporary one of this process lies on a disk, mostly."""
    for place in (tempfile.gettempdir(), "/tmp", "/run"):
        # mkdtemp appends eight characters
        path = os.path.join(place, PREFIX + "x" * 8, SOCKET)
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and os.access(place, os.W_OK | os.X_OK):
            yield place


def _take_lock(path: Path) -> int:
    # made under another name, so that nobody can find it before it is locked
    new = path / f"{LOCK}.new"
    lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(path / LOCK)
    return lock


def _lock_of_nobody(path: Path) -> int | None:
    """The lock of ``path``, taken; ``None`` where its owner lives, or it is no home of this user's."""
    try:
        if path.lstat().st_uid != os.geteuid():
            return None
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
