"""This process's own terminal while a container's terminal is shown on it: raw mode, and its size.

The hard part is giving it back: a shell in raw mode is of no use to anybody. The settings are restored when the
streams close, and by ``atexit`` where a program ends without closing them.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import termios
import tty
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from containerd_aio._transport.supervise import Background
from containerd_aio.errors import ContainerdError

Resize = Callable[[int, int], Awaitable[None]]


class Console:
    """The terminal at ``descriptor``; one at a time in a process. What is no terminal is left alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] | None = None  # as termios has it
        self._resize: Resize | None = None
        self._following: Background | None = None

    def on_resize(self, resize: Resize) -> None:
        """Have ``resize(width, height)`` called with the size, at first and when it changes."""
        self._resize = resize

    def enter(self) -> None:
        """Switch to raw mode (every key goes to the container, also Ctrl-C) and begin to follow the size."""
        if self._saved is not None or not os.isatty(self._descriptor):
            return
        self._saved = termios.tcgetattr(self._descriptor)
        atexit.register(self.leave)
        # Now, not when the output has drained: that waits for whoever reads the terminal.
        tty.setraw(self._descriptor, termios.TCSANOW)
        if self._resize is not None:
            self._following = Background.start(
                self._follow,
                name="terminal size",
                crashed=lambda _: None,  # the log has it; nothing depends on it
            )

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        atexit.unregister(self.leave)
        with suppress(termios.error):  # it may be gone: its window was closed
            termios.tcsetattr(self._descriptor, termios.TCSANOW, saved)

    async def aclose(self) -> None:
        """Stop following the size and give the terminal back."""
        try:
            if self._following is not None:
                await self._following.aclose()
        finally:
            self.leave()

    async def _follow(self) -> None:
        assert self._resize is not None
        changed = asyncio.Event()
        with _window_changes(changed):
            while True:
                changed.clear()
                # A size that cannot be told or set is not worth the process; the next change tries again.
                with suppress(ContainerdError, OSError):
                    await self._resize(*os.get_terminal_size(self._descriptor))
                await changed.wait()


@contextmanager
def _window_changes(changed: asyncio.Event) -> Generator[None]:
    """Set ``changed`` on SIGWINCH. Only the main thread can; in another one sizes are not followed."""
    previous = signal.getsignal(signal.SIGWINCH)
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGWINCH, changed.set)
    except (RuntimeError, ValueError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
        signal.signal(signal.SIGWINCH, previous)
