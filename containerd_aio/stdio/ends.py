"""Our ends of one process's FIFOs, and what belongs to them: what they are copied to, the terminal, the keys to leave.

``OpenStdio`` says when what is done with them.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field

from containerd_aio.stdio.console import Console
from containerd_aio.stdio.pump import Pump
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.stdio.send import FifoSendStream


@dataclass(frozen=True, slots=True)
class StdioPaths:
    """What Create and Exec are told: paths of FIFOs or log URIs, ``""`` for what is not connected."""

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""


@dataclass(slots=True)
class Ends:
    """Our ends of the FIFOs and what they are copied to or from; ``release`` closes all of it.

    Of the ``readers``, those in ``piped`` are the user's to read; each other one has a pump in ``outputs``.
    """

    release: ExitStack
    readers: list[FifoReceiveStream] = field(default_factory=list[FifoReceiveStream])
    piped: list[FifoReceiveStream] = field(default_factory=list[FifoReceiveStream])
    writer: FifoSendStream | None = None
    outputs: list[Pump] = field(default_factory=list[Pump])
    input: Pump | None = None
    console: Console | None = None
    detached: asyncio.Event = field(default_factory=asyncio.Event)

    def detach(self) -> None:
        """The user has typed the keys to leave: the terminal is theirs again."""
        self.detached.set()
        if self.console is not None:
            self.console.leave()

    @property
    def nothing_to_show(self) -> bool:
        """Whether there was output to be copied, and is no more."""
        return bool(self.outputs) and all(pump.finished.is_set() for pump in self.outputs)

    def no_more_to_show(self) -> None:
        """The process's terminal is gone: what is typed now is for whoever comes after it."""
        if self.console is not None:
            self.console.leave()
            if self.input is not None:
                self.input.cancel()

    @property
    def pumps(self) -> list[Pump]:
        """All that is copied, outputs first."""
        return self.outputs if self.input is None else [*self.outputs, self.input]
