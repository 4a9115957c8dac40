"""Find and kill processes without ever hitting a stranger that got the pid of one that is gone."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process as /proc showed it; ``pid`` and ``started`` (clock ticks since boot) together are unique."""

    pid: int
    started: int
    parent: int
    arguments: tuple[bytes, ...]

    @property
    def command(self) -> str:
        """Its command line, for a message."""
        return b" ".join(self.arguments).decode(errors="replace")

    @classmethod
    def read(cls, pid: int) -> RunningProcess | None:
        """What /proc tells now; ``None`` where it is gone, or is a zombie, which nothing ends but its parent."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                stat = file.read()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                arguments = tuple(file.read().split(b"\0")[:-1])
        except (FileNotFoundError, ProcessLookupError):
            return None
        # after the name, which may hold spaces and parentheses: state (field 3 of proc(5)), parent, ...
        state, parent, *rest = stat[stat.rindex(b")") + 2 :].split()
        if state in (b"Z", b"X"):
            return None
        return cls(pid, int(rest[17]), int(parent), arguments)


def running_processes() -> dict[int, RunningProcess]:
    """All that run on this host (in this pid namespace), by pid."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return {pid: process for pid in pids if (process := RunningProcess.read(pid)) is not None}


def with_descendants(pids: Iterable[int], processes: dict[int, RunningProcess]) -> list[RunningProcess]:
    """The processes of these pids and all below them, the deepest first."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[int, RunningProcess] = {}
    level = list(pids)
    while level:
        found.update((pid, processes[pid]) for pid in level if pid in processes and pid not in found)
        level = [child for pid in level for child in children.get(pid, ()) if child not in found]
    return list(reversed(found.values()))


def kill_and_wait(processes: Iterable[RunningProcess], *, seconds: float) -> None:
    """SIGKILL them, in this order, and wait until they have ended; ``seconds`` at most."""
    deadline = time.monotonic() + seconds
    with ExitStack() as descriptors:
        poll = select.poll()
        waiting = 0
        for process in processes:
            try:
                pidfd = os.pidfd_open(process.pid)
            except ProcessLookupError:
                continue
            descriptors.callback(os.close, pidfd)
            now = RunningProcess.read(process.pid)
            if now is None or now.started != process.started:
                continue
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poll.register(pidfd, select.POLLIN)
            waiting += 1
        while waiting and (left := deadline - time.monotonic()) > 0:
            for pidfd, _ in poll.poll(left * 1000):
                poll.unregister(pidfd)
                waiting -= 1
