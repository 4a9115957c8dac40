"""A person at a terminal: a pty, and a program of this library's that runs on it as a shell would run it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

_HEAD = """
import asyncio, fcntl, os, signal, sys, termios
import anyio
from containerd_aio import Client, attach, inherit, pipes

fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the terminal is ours, as a shell's child has it

async def main(address, namespace, fifo_dir, *args):
    async with Client(address, namespace=namespace, fifo_dir=fifo_dir) as client:
        told = asyncio.Event()  # by the test, with SIGUSR1
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
"""
# A shell without a prompt: it runs the program as a job, says when that is stopped, and on SIGUSR1 continues it.
_JOB = """
signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else who is in the background is stopped by tcsetpgrp()
if (job := os.fork()) == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
else:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.setpgid(job, job)
    os.tcsetpgrp(0, job)
    while os.WIFSTOPPED(ended := os.waitpid(job, os.WUNTRACED)[1]):
        os.tcsetpgrp(0, os.getpgrp())
        os.write(1, b"stopped\\n")
        signal.sigwait([signal.SIGUSR1])
        os.tcsetpgrp(0, job)
        os.kill(job, signal.SIGCONT)
        os.write(1, b"continued")
    os._exit(os.waitstatus_to_exitcode(ended))
"""
_TAIL = """
asyncio.run(main(*sys.argv[1:]))
"""

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


CTRL_C = b"\x03"

FALL_ASLEEP = b"sh -c 'echo asleep $((40 + 2)); exec sleep 3600'\r"
"""To be typed into a shell: a child that Ctrl-C is for, from when ``ASLEEP`` is shown on.

It must be the child who says so. What the shell echoes before it is shown too early: the keys' signals are still the
shell's own then, who does not hand them on.
"""
ASLEEP = b"asleep 42\r\n"


def until_size(rows_and_columns: bytes) -> bytes:
    """To be typed into a shell: it shows the terminal's size on a line of its own when it has become this one."""
    return b"until stty size | grep '%s'; do usleep 1000; done\r" % rows_and_columns


class Terminal:
    """A pty and its settings, and what a person does with it: type, look, change the size of the window."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self._window, self.descriptor = pty.openpty()
        os.set_blocking(self._window, False)
        self.resize(width, height)
        self.screen = b""
        """All that was shown."""
        self._seen = 0

    def close(self) -> None:
        os.close(self._window)
        os.close(self.descriptor)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.descriptor)

    @property
    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.descriptor)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    @property
    def foreground(self) -> int:
        """The process group that the keys' signals go to."""
        return os.tcgetpgrp(self._window)

    def resize(self, width: int, height: int) -> None:
        """The kernel tells what runs in the foreground by SIGWINCH."""
        termios.tcsetwinsize(self._window, (height, width))

    async def types(self, keys: bytes) -> None:
        rest = memoryview(keys)
        while rest:
            await anyio.wait_writable(self._window)
            rest = rest[os.write(self._window, rest) :]

    async def shows(self, text: bytes, seconds: float = 20) -> bytes:
        """Wait until ``text`` is shown, after what was waited for before; return what came up to it."""
        while (at := self.screen.find(text, self._seen)) < 0:
            try:
                with anyio.fail_after(seconds):
                    await anyio.wait_readable(self._window)
            except TimeoutError:
                raise AssertionError(f"{text!r} is not shown, but {self.screen[self._seen :]!r}") from None
            self.screen += os.read(self._window, 65536)
        shown = self.screen[self._seen : at]
        self._seen = at + len(text)
        return shown

    @contextmanager
    def program(self, body: str, *args: str, job: bool = False) -> Generator[subprocess.Popen[bytes]]:
        """A program with an open ``client`` that does ``body``; killed if it has not ended with the block.

        ``args`` are the address of containerd, the namespace, the directory for FIFOs, and what else it takes.
        As a ``job`` it is the child of a shell, which is what is returned.
        """
        source = _HEAD + textwrap.indent(textwrap.dedent(body), " " * 8) + (_JOB if job else "") + _TAIL
        with self._running([sys.executable, "-W", "error", "-c", source, *args], os.environ) as process:
            yield process

    @contextmanager
    def command(self, *args: str, env: Mapping[str, str]) -> Generator[subprocess.Popen[bytes]]:
        """The command line with these arguments; killed if it has not ended with the block."""
        typed = [sys.executable, "-m", "containerd_aio", *args]
        with self._running([sys.executable, "-c", _TAKE_TERMINAL, *typed], {**os.environ, **env}) as process:
            yield process

    @contextmanager
    def _running(self, argv: Sequence[str], env: Mapping[str, str]) -> Generator[subprocess.Popen[bytes]]:
        tty = self.descriptor
        process = subprocess.Popen(argv, stdin=tty, stdout=tty, stderr=tty, start_new_session=True, env=env)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    async def ends(self, process: subprocess.Popen[bytes], seconds: float = 20) -> int:
        """Wait for the program's end and return its code; what it shows meanwhile is read."""
        pidfd = os.pidfd_open(process.pid)
        try:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as group:
                    group.start_soon(self._look)
                    await anyio.wait_readable(pidfd)
                    group.cancel_scope.cancel()
        finally:
            os.close(pidfd)
        code = process.poll()
        assert code is not None, f"it does not end; shown is {self.screen[self._seen :]!r}"
        return code

    async def _look(self) -> None:
        while True:
            await anyio.wait_readable(self._window)
            self.screen += os.read(self._window, 65536)


def tell(process: subprocess.Popen[bytes]) -> None:
    """Let the program go on that waits for ``told``."""
    process.send_signal(signal.SIGUSR1)
