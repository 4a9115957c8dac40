"""How a process is, and how it ended."""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, TypeAlias

from containerd_aio.errors import ProcessFailedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OutputName: TypeAlias = Literal["stdout", "stderr"]
"""Which of its outputs a process wrote to; with a terminal all is stdout."""


class ProcessState(StrEnum):
    """The state of a process, in containerd's words."""

    UNKNOWN = "unknown"
    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    PAUSING = "pausing"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended.

    ``code`` is its exit code, or 128 and the signal's number where a signal ended it. ``exited_at_ns`` is the
    time in nanoseconds since 1970, ``None`` where nobody knows it (containerd stores "none" as year 1).
    """

    code: int
    exited_at_ns: int | None = None

    @property
    def exited_at(self) -> datetime | None:
        """The time of the exit, aware, in UTC; microseconds, while ``exited_at_ns`` is exact."""
        if self.exited_at_ns is None:
            return None
        return _EPOCH + timedelta(microseconds=self.exited_at_ns // 1000)

    @property
    def signal(self) -> signals.Signals | None:
        """The signal that the code stands for by the shell's convention, ``None`` for plain codes.

        runc reports both an ``exit 137`` and a SIGKILL as 137: the two cannot be told apart.
        """
        try:
            return signals.Signals(self.code - 128)
        except ValueError:
            return None

    def check(self) -> ExitStatus:
        """Return this status if the code is 0.

        :raises ProcessFailedError: for every other code
        """
        if self.code != 0:
            raise ProcessFailedError(f"the process {self}", exit_status=self)
        return self

    def __str__(self) -> str:
        if self.signal is not None:
            return f"ended with code {self.code} ({self.signal.name})"
        return f"ended with code {self.code}"


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a process; ``exit_status`` is ``None`` unless the state is ``STOPPED``."""

    state: ProcessState
    exit_status: ExitStatus | None = None


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """What containerd knows of a process: its answer to ``Tasks.Get`` and each entry of ``Tasks.List``.

    ``exec_id`` is empty for a container's init. ``pid`` is 0 where containerd could not tell it. ``stdin``,
    ``stdout`` and ``stderr`` are paths of FIFOs or log URIs, empty where not connected.
    """

    container_id: str
    exec_id: str
    pid: int
    status: Status
    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """A process inside a container; ``exec_id`` is ``None`` for those that no exec started."""

    pid: int
    exec_id: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of what a process wrote, and to which output: what ``process.output()`` and ``lines()`` yield."""

    stream: OutputName
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text, with U+FFFD for what is no UTF-8. A chunk may begin or end within a character; of
        ``lines()`` only a line that is too long does."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Completed:
    """What ``run()`` returns: how the process ended and what it wrote.

    ``output_complete`` is ``False`` where a process left behind still held an output open when containerd
    gave up waiting for it.
    """

    exit_status: ExitStatus
    stdout: bytes
    stderr: bytes
    output_complete: bool = True

    def check(self) -> Completed:
        """Return this if the code is 0.

        :raises ProcessFailedError: for every other code; its message ends with the end of stderr
        """
        if self.exit_status.code != 0:
            tail = self.stderr[-1000:].decode(errors="replace").strip()
            message = f"the process {self.exit_status}" + (f": {tail}" if tail else "")
            raise ProcessFailedError(message, exit_status=self.exit_status, stderr=self.stderr)
        return self
