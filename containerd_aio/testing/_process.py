"""One process: an init or an exec. It has a state, an end, and between them what its script says."""

from __future__ import annotations

import asyncio
import signal as signals
import time
from collections.abc import Callable
from dataclasses import dataclass

from grpclib.exceptions import GRPCError

from containerd_aio.testing._scripts import Script
from containerd_aio.testing._shim import ShimStreams
from containerd_aio.testing._statuses import unknown
from containerd_aio.types import ProcessState

_HARMLESS = frozenset(
    {signals.SIGCHLD, signals.SIGCONT, signals.SIGURG, signals.SIGWINCH, signals.SIGSTOP, signals.SIGTSTP}
)


@dataclass(frozen=True, slots=True)
class Streams:
    """What Create or Exec said of a process's streams: paths, or ``""`` for none."""

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


class FakeProcess:
    """A process. ``ended`` is called with it when it has ended, and decides what else happens then."""

    __slots__ = (
        "_alarm",
        "_ended",
        "_io",
        "_waiters",
        "args",
        "code",
        "exec_id",
        "exited_at_ns",
        "failed",
        "frozen",
        "life",
        "pid",
        "script",
        "state",
        "streams",
    )

    def __init__(
        self,
        exec_id: str,
        args: tuple[str, ...],
        script: Script,
        streams: Streams,
        ended: Callable[[FakeProcess, int], None],
    ) -> None:
        self.exec_id = exec_id
        self.args = args
        self.script = script
        self.streams = streams
        self.pid = 0
        self.state = ProcessState.CREATED
        self.code = 0
        self.exited_at_ns: int | None = None
        self.failed = False
        self.frozen: list[int] = []
        self._ended = ended
        self._io: ShimStreams | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self.life: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Open the shim's ends of its streams; waits until somebody reads the outputs."""
        streams = self.streams
        if streams.stdin or streams.stdout or streams.stderr:
            io = ShimStreams(streams.stdin, streams.stdout, streams.stderr, terminal=streams.terminal)
            await io.open()
            self._io = io

    def run(self) -> None:
        """Begin the script."""
        self.state = ProcessState.RUNNING
        script = self.script
        if script.stdout or script.stderr or script.echo:
            self.life = asyncio.get_running_loop().create_task(self._live(), name=f"fake process {self.pid}")
        elif script.seconds is not None:
            self._alarm = asyncio.get_running_loop().call_later(
                script.seconds, self._ended, self, script.code
            )

    def take(self, signal: int) -> int | None:
        """Return the code that a signal ends the process with, ``None`` if it does not."""
        if signal == 0 or (
            signal != signals.SIGKILL and (signal in _HARMLESS or signal in self.script.ignores)
        ):
            return None
        return 128 + signal

    def finish(self, code: int, exited_at_ns: int | None = None) -> None:
        """The process has ended: its streams close, and whoever waits is told."""
        self.code = code
        self.exited_at_ns = time.time_ns() if exited_at_ns is None else exited_at_ns
        self.state = ProcessState.STOPPED
        self.vanish()

    def vanish(self, error: GRPCError | None = None) -> None:
        """Let go of everything; who waits gets the error, if there is one."""
        if self.life is not None and self.life is not asyncio.current_task():
            self.life.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        self.life = self._alarm = None
        if self._io is not None:
            self._io.close()
            self._io = None
        waiters, self._waiters = self._waiters or (), None
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None) if error is None else waiter.set_exception(error)

    async def exited(self) -> None:
        """Wait until it has ended."""
        if self.state is ProcessState.STOPPED or self.failed:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        await waiter

    async def write(self, data: bytes, *, stderr: bool) -> None:
        """Write something."""
        if self._io is not None:
            await (self._io.stderr if stderr else self._io.stdout).write(data)

    def close_io(self) -> None:
        """End the shim's own writer of stdin."""
        if self._io is not None:
            self._io.stdin.close_io()

    def refuse_to_start(self) -> None:
        """Fail as the runtime does when the script says so.

        :raises GRPCError: UNKNOWN, with the runtime's words
        """
        if self.script.fails:
            name = self.args[0] if self.args else ""
            raise unknown(f'unable to start container process: exec: "{name}": {self.script.fails}')

    async def _echo(self, io: ShimStreams) -> None:
        """Copy stdin to stdout to its end, which is typed at a terminal."""
        while data := await io.stdin.read():
            typed, end, _ = data.partition(b"\4") if self.streams.terminal else (data, b"", b"")
            await io.stdout.write(typed)
            if end:
                return

    async def _live(self) -> None:
        io, script = self._io, self.script
        if io is not None:
            await io.stdout.write(script.stdout)
            await io.stderr.write(script.stderr)
            if script.echo:
                await self._echo(io)
        if script.seconds is not None:
            await asyncio.sleep(script.seconds)
            self._ended(self, script.code)
