"""The kernel's word on how a process ended, for when containerd has forgotten it.

A pidfd outlives its process. From Linux 6.15 on, ``PIDFD_GET_INFO`` with ``PIDFD_INFO_EXIT`` tells the wait
status of a process that is gone and reaped, also to somebody who is not its parent
(include/uapi/linux/pidfd.h). containerd from 1.7.0 on removes, when it starts, every task whose init has ended,
and the status with it: then this is the only place where the code still stands.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import itertools
import os
import re
import resource
import signal
import struct
from pathlib import Path

import anyio

# struct pidfd_info, version 0: mask, cgroupid; pid, tgid, ppid, eight user and group ids; exit_code.
_INFO = struct.Struct("=QQ11Ii")
_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
_EXIT = 1 << 3  # PIDFD_INFO_EXIT


class Witness:
    """A pidfd of one process, kept until its exit is known."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    @classmethod
    def open(cls, pid: int, namespace: str, container_id: str) -> Witness | None:
        """Watch a process of a container, or return ``None``: it is gone, not visible here, not certainly the one
        that is meant, or descriptors run short.

        A pid alone proves nothing: a client in another pid namespace than containerd (the socket mounted into a
        container) finds a stranger by it, and so does one that comes after the pid was used again. So its parent
        must be the container's shim, while the process is still there.

        No witness takes a descriptor beyond half of RLIMIT_NOFILE: the other half is the application's.
        """
        try:
            witness = cls(os.pidfd_open(pid))
        except OSError:
            return None
        if (
            witness.fileno() < resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
            and _is_child_of_shim(pid, namespace, container_id)
            and witness.sees_it()
        ):
            return witness
        witness.close()
        return None

    def fileno(self) -> int:
        """Return the descriptor, -1 once it is closed."""
        return -1 if self._fd is None else self._fd

    def sees_it(self) -> bool:
        """Tell whether the process still has its pid: it runs, or nobody has reaped it yet."""
        try:
            signal.pidfd_send_signal(self.fileno(), 0)
        except PermissionError:
            return True
        except OSError:
            return False
        return True

    async def reaped(self) -> None:
        """Wait until the process has ended and its parent knows: not before has the kernel its exit code.

        Returns at once when this is closed; may take for ever where nobody reaps the process.
        """
        try:
            descriptor = os.dup(self.fileno())  # ours may be closed meanwhile, and its number be used again
        except OSError:
            return
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        pause = 0.001
        while (
            self.sees_it()
        ):  # readable means ended; of its being reaped, which follows, a reader is not told
            await anyio.sleep(pause)
            pause = min(2 * pause, 0.1)

    def exit_code(self) -> int | None:
        """Return the exit code as containerd counts it (128 and the signal), ``None`` while the kernel has none."""
        if self._fd is None:
            return None
        status = _wait_status(self._fd)
        if status is None:
            return None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@functools.cache
def supported() -> bool:
    """Tell whether this kernel keeps the status of a process that is gone (Linux 6.15 and later)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(re.sub(r"\D.*", "", minor) or 0)) >= (6, 15)


def _is_child_of_shim(pid: int, namespace: str, container_id: str) -> bool:
    """Tell whether a process's parent is called as containerd calls the shim of this container.

    A container of a pod is run by the shim of the pod's first one; there it says no.
    """
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        arguments = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, IndexError):
        return False
    given = set(itertools.pairwise(arguments))
    return {(b"-namespace", namespace.encode()), (b"-id", container_id.encode())} <= given


def _wait_status(fd: int) -> int | None:
    info = bytearray(_INFO.size)
    _INFO.pack_into(info, 0, _EXIT, *(0,) * 13)
    try:
        fcntl.ioctl(fd, _GET_INFO, info)
    except OSError:
        return None  # ESRCH: gone, and this kernel kept nothing; ENOTTY: before Linux 6.13
    mask, *_, status = _INFO.unpack(info)
    return status if mask & _EXIT else None
