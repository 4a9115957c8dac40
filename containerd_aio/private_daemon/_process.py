"""A child process whose end is an event of the loop.

asyncio's own subprocesses need a child watcher, which on Python 3.11 is a thread for each; a pidfd needs none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import anyio


class ChildProcess:
    """Owns a started ``Popen``: reaps it when it ends. Made on the event loop that waits for it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._killed = False
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            self._pidfd = os.pidfd_open(popen.pid)
        except OSError:  # no descriptor left
            popen.kill()
            popen.wait()
            raise
        self._loop.add_reader(self._pidfd, self._on_end)

    @property
    def pid(self) -> int:
        """The pid; meaningless once it has ended."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as the loop has seen."""
        return not self._ended.is_set()

    @property
    def killed(self) -> bool:
        """Whether ``kill()`` was called: its end is near."""
        return self._killed

    @property
    def status(self) -> str:
        """How it ended, in words."""
        code = self._popen.returncode
        if code is None:
            return "still runs"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def kill(self) -> None:
        """SIGKILL; nothing happens when it has ended."""
        self._killed = True
        self._send(signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until it has ended. Cancelling changes nothing."""
        await self._ended.wait()

    async def end(self, *, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; returns when it has ended.

        If cancelled it may run on; call again.
        """
        self._send(signal.SIGTERM)
        with anyio.move_on_after(grace):
            await self.wait()
        if self.running:
            self.kill()
            await self.wait()

    def end_blocking(self, *, grace: float) -> None:
        """As ``end()``, from another thread and without the loop, which may be gone."""
        self._popen.terminate()
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def close(self) -> None:
        """Give back what is held to see its end; it has ended."""
        if self.running:
            self._on_end()

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            signal.pidfd_send_signal(self._pidfd, number)

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._popen.wait()
        os.close(self._pidfd)
        self._ended.set()
