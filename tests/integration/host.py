"""Processes as this host sees them: which state they are in, and how they are stopped for a while.

A signal takes its time: what was sent SIGSTOP runs on until one of its threads has taken it, and answers calls.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def state_of(pid: int) -> str:
    """The letter of its state; ``""`` where there is no such process."""
    return _state(Path(f"/proc/{pid}/stat"))


def is_gone(pid: int) -> bool:
    """Whether it has ended and was reaped."""
    return state_of(pid) == ""


def runs(pid: int) -> bool:
    """Whether it is there and no zombie, which waits for its parent only."""
    return state_of(pid) not in ("", "Z")


def name_of(pid: int) -> str:
    """What it runs, of 15 characters at most; ``""`` where there is no such process."""
    return _read(Path(f"/proc/{pid}/comm")).strip()


def is_runc(pid: int) -> bool:
    """Whether a process of a container is still what makes it: start() is answered a moment before the exec.

    Until then it has threads, and takes signals in ways of its own.
    """
    return name_of(pid).startswith("runc")


def freeze(pid: int) -> None:
    """Send it SIGSTOP, and return when all of its threads have stopped."""
    os.kill(pid, signal.SIGSTOP)
    stopped: set[str] = set()
    while True:
        states = {path.parent.name: _state(path) for path in Path(f"/proc/{pid}/task").glob("*/stat")}
        # Twice the same: a thread that was made while the first were looked at is seen the second time.
        if set(states.values()) == {"T"} and states.keys() == stopped:
            return
        stopped = {thread for thread, state in states.items() if state == "T"}
        time.sleep(0.001)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """It gets no processor in the block; what is sent to it waits in its sockets."""
    try:
        freeze(pid)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _state(stat: Path) -> str:
    return _read(stat).rpartition(")")[2][1:2]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended, in the second case while it was read
        return ""
