"""This process's own terminal while a container's terminal is shown on it: raw mode, and its size."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from containerd_aio._transport.completion import completed
from containerd_aio._transport.supervise import Background
from containerd_aio.errors import ContainerdError, InvalidArgumentError
from containerd_aio.stdio.raw import raw_terminal
from containerd_aio.stdio.signals import listen

Resize = Callable[[int, int], Awaitable[None]]


class Console:
    """Where keys come from and output is shown; what of the two is no terminal is left alone."""

    def __init__(self, keys: int | None, screen: int) -> None:
        """``keys`` is the descriptor that is read, ``None`` if none is; ``screen`` the one that is written."""
        self._keys = keys
        self._screen = screen
        self._resize: Resize | None = None
        self._leave: Callable[[], None] | None = None
        self._following: Background | None = None

    def on_resize(self, resize: Resize) -> None:
        """Have ``resize(width, height)`` called with the size, at first and when it changes."""
        self._resize = resize

    def size(self) -> tuple[int, int] | None:
        """The width and height in characters, ``None`` where they are not known."""
        return terminal_size(self._screen, self._keys)

    def enter(self, *, redraw: bool = False) -> None:
        """Switch to raw mode (every key goes to the container, also Ctrl-C) and begin to follow the size.

        ``redraw`` has what runs there show itself again: it is told of another size for a moment.
        """
        if self._leave is None and self._keys is not None and os.isatty(self._keys):
            self._leave = raw_terminal(self._keys)
        if self._following is None and self._resize is not None and self.size() is not None:
            resize = self._resize
            self._following = Background.start(
                lambda: self._follow(resize, redraw=redraw),
                name="terminal size",
                crashed=lambda _: None,  # the log has it; nothing depends on it
            )

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._leave is not None:
            self._leave()

    async def aclose(self) -> None:
        """Stop following the size and give the terminal back."""
        try:
            if self._following is not None:
                await self._following.aclose()
        finally:
            self.leave()

    async def _follow(self, resize: Resize, *, redraw: bool) -> None:
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed; this is called in the middle of anything
                loop.call_soon_threadsafe(changed.set)

        stop = listen(signal.SIGWINCH, wake)
        try:
            while True:
                changed.clear()
                # A size that cannot be told or set is not worth the process; the next change tries again.
                with suppress(ContainerdError):
                    if (size := self.size()) is not None:
                        if redraw:
                            await completed(partial(_redrawn, resize, *size))
                        else:
                            await resize(*size)
                redraw = False
                await changed.wait()
        finally:
            stop()


async def _redrawn(resize: Resize, width: int, height: int) -> None:
    """Set the size in two steps: one that stays as it was tells nobody to draw itself again."""
    await resize(width, height + 1)
    await resize(width, height)


def terminal_size(*descriptors: int | None) -> tuple[int, int] | None:
    """Return the width and height of the first that is a terminal and has a size, ``None`` if none does."""
    for descriptor in descriptors:
        if descriptor is not None:
            with suppress(OSError):
                width, height = os.get_terminal_size(descriptor)
                if width and height:
                    return width, height
    return None


def check_terminal_size(width: int, height: int) -> None:
    """:raises InvalidArgumentError: for a size that no terminal has"""
    if not (0 < width < 65536 and 0 < height < 65536):
        raise InvalidArgumentError(f"a terminal cannot have {width} columns and {height} rows")
