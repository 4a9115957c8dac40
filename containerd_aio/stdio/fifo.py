"""FIFOs by path: made in a private directory, opened without waiting, removed again.

The hard part is the other side. The shim opens its ends while Create or Start runs, so ours must be there
before, and neither side may wait for the other in open(2). Each end is therefore opened non-blocking together
with a *stand-in*: an end of our own for the side that the shim will take. While the stand-in is held, reading
finds no false end of file and writing no missing reader; it is dropped when the shim is known to have come.
After that, ``b""`` from the FIFO is the true end: Linux reports a hang-up only once a writer has been there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from containerd_aio.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from containerd_aio.types.identifier import check_identifier

DEFAULT_FIFO_DIR: Final = "/run/containerd/fifo"
"""Where containerd's own clients make their FIFOs."""

FIFO_SIZE: Final = 512 * 1024
"""What a FIFO is grown to, in bytes. With it, all that a process can leave behind when it exits (this, the
64 KiB of the pipe between runc and the shim, the shim's buffer) fits into what is kept of a stream."""


class FifoDirectory:
    """A directory of mode 0700 for the FIFOs of one process, and what is in it."""

    def __init__(self, path: str, process_id: str) -> None:
        self.path = path
        self._process_id = process_id
        self._fifos: list[str] = []

    @classmethod
    def make(cls, fifo_dir: str, process_id: str) -> FifoDirectory:
        """Make a new directory below ``fifo_dir``, which is made too where it is missing.

        :raises InvalidArgumentError: if ``process_id`` is no identifier (it becomes part of file names), or
            ``fifo_dir`` is relative: containerd would look for it elsewhere
        :raises PermissionDeniedError: if this user may not write there
        :raises OSError: if the file system fails in another way
        """
        check_identifier("process id", process_id)
        if not os.path.isabs(fifo_dir):
            raise InvalidArgumentError(f"the FIFO directory {fifo_dir!r} is not absolute")
        try:
            os.makedirs(fifo_dir, mode=0o700, exist_ok=True)
            return cls(tempfile.mkdtemp(prefix="aio-", dir=fifo_dir), process_id)
        except PermissionError as error:
            raise PermissionDeniedError(
                f"cannot make FIFOs in {fifo_dir}: {error.strerror};"
                " give fifo_dir= a directory that both you and containerd can reach"
            ) from error

    def add(self, stream: str) -> str:
        """Make the FIFO of ``stream`` (``"stdin"``, ``"stdout"``, ``"stderr"``) and return its path."""
        path = os.path.join(self.path, f"{self._process_id}-{stream}")
        os.mkfifo(path, 0o600)
        self._fifos.append(path)
        return path

    def remove(self) -> None:
        """Remove the FIFOs, and the directory unless somebody put something else there."""
        remove_fifos(self._fifos)
        with suppress(OSError):
            os.rmdir(self.path)


def remove_fifos(paths: Iterable[str]) -> None:
    """Remove those paths that are FIFOs, and their directories where that leaves them empty.

    Nothing else is touched. containerd reports whatever a client once gave it, and that may be ``/dev/null``:
    a client that removed "the directory of the FIFOs" has deleted ``/dev`` (containerd issue 4019).
    """
    directories: set[str] = set()
    for path in paths:
        with suppress(FileNotFoundError):
            if stat.S_ISFIFO(os.lstat(path).st_mode):
                os.unlink(path)
                directories.add(os.path.dirname(path))
    for directory in directories:
        with suppress(OSError):
            os.rmdir(directory)


def reported_fifo(text: str) -> str | None:
    """Return the path of the FIFO that containerd's word for a stream names, ``None`` if it names none.

    Streams can also be log URIs (``file://``, ``binary://``), devices and plain files; a path that does not
    exist any more counts as a FIFO, so that opening it tells what is missing.
    """
    path = text.removeprefix("fifo://")
    if not os.path.isabs(path):
        return None
    with suppress(FileNotFoundError):
        if not stat.S_ISFIFO(os.lstat(path).st_mode):
            return None
    return path


def open_reader(path: str) -> tuple[int, int]:
    """Open a FIFO to read from it: the read end, and the stand-in for the writer.

    :raises NotFoundError: if there is no such path
    :raises InvalidArgumentError: if it is not a FIFO
    """
    reader = _open(path, os.O_RDONLY)
    try:
        writer = _open(path, os.O_WRONLY)
    except BaseException:
        os.close(reader)
        raise
    _grow(reader)
    return reader, writer


def open_writer(path: str) -> tuple[int, int]:
    """Open a FIFO to write to it: the write end, and the stand-in for the reader.

    :raises NotFoundError: if there is no such path
    :raises InvalidArgumentError: if it is not a FIFO
    """
    reader, writer = open_reader(path)
    return writer, reader


def open_stand_in_reader(path: str) -> int:
    """Open a read end that nothing reads from, so that the FIFO has a reader.

    :raises NotFoundError: if there is no such path
    """
    return _open(path, os.O_RDONLY)


def has_reader(path: str) -> bool:
    """Tell whether anybody holds a read end of the FIFO; one that is gone has none."""
    try:
        os.close(_open(path, os.O_WRONLY))
    except NotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False
        raise
    return True


def is_full(reader: int) -> bool:
    """Tell whether the FIFO that this read end belongs to takes no more until somebody reads.

    How many bytes are in it does not tell: small writes take a page each.
    """
    writer = os.open(f"/proc/self/fd/{reader}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(writer, select.POLLOUT)
        return not poll.poll(0)
    finally:
        os.close(writer)


def _open(path: str, flags: int) -> int:
    """Open one end, non-blocking, and only if it is a FIFO.

    The path is looked up once, by a descriptor that opens nothing: to open a device, even only to look at
    it, may do something.
    """
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise NotFoundError(f"the FIFO {path} does not exist") from error
    try:
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise InvalidArgumentError(f"{path} is not a FIFO")
        return os.open(f"/proc/self/fd/{handle}", flags | os.O_NONBLOCK)
    finally:
        os.close(handle)


def _grow(descriptor: int) -> None:
    """Make room in the FIFO, so that the shim seldom waits for us.

    Only for root: other users share a budget of pipe pages (pipe-user-pages-soft), and whoever uses it up
    gets pipes of two pages everywhere.
    """
    if os.geteuid() == 0 and fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < FIFO_SIZE:
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, FIFO_SIZE)
