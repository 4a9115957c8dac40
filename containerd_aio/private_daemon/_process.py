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
    def status(self) -> str:
        """How it ended, in words."""
        code = self._popen.returncode
        if code is None:
            return "still runs"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self.running:
            signal.pidfd_send_signal(self._pidfd, number)

    async def wait(self) -> None:
        """Wait until it has ended. Cancelling changes nothing."""
        await self._ended.wait()

    async def end(self, *, grace: float) -> None:
        """SIGTERM, and SIGKILL after ``grace`` seconds; returns when it has ended.

        When cancelled it may run on; call again.
        """
        self.send_signal(signal.SIGTERM)
        with anyio.move_on_after(grace):
            await self.wait()
        self.send_signal(signal.SIGKILL)
        await self.wait()

    def end_blocking(self, *, grace: float) -> None:
        """The same from another thread, without the loop, which may be gone."""
        try:
            self._popen.terminate()
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._popen.wait()
        os.close(self._pidfd)
        self._ended.set()
