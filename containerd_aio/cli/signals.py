"""The signals that a command gets while it runs.

A signal ends the command, and what it has made is removed on the way out: Ctrl-C, SIGTERM and SIGHUP alike. While
a process of a container runs in the foreground, whoever watches over it takes the signals instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from signal import SIG_IGN, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, Signals, getsignal, signal
from typing import Final

import anyio

CAUGHT: Final = (SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2)


class SignalsCaught:
    """Who gets the signals of this command."""

    def __init__(self) -> None:
        self.ended_by: Signals | None = None
        self._scope: anyio.CancelScope | None = None
        self._taker: Callable[[Signals], None] = self.end

    def end(self, number: Signals) -> None:
        """End the command, as this signal would have it: the block of ``ending()`` is cancelled."""
        if self.ended_by is None:
            self.ended_by = number
            if self._scope is not None:
                self._scope.cancel()

    @contextmanager
    def ending(self) -> Generator[None]:
        """Run the block; a signal that nobody takes cancels it. Once, in the main thread.

        What we were started to ignore stays ignored: SIGHUP after ``nohup``, SIGINT in the background of a script.
        """
        loop = asyncio.get_running_loop()
        former = {number: getsignal(number) for number in CAUGHT}
        caught = [number for number in CAUGHT if former[number] is not SIG_IGN]
        for number in caught:
            loop.add_signal_handler(number, self._arrived, number)
        try:
            with anyio.CancelScope() as self._scope:
                yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
                signal(number, former[number])  # for Ctrl-C the loop would leave what makes a traceback

    @contextmanager
    def taken(self, taker: Callable[[Signals], None]) -> Generator[None]:
        """Have ``taker`` called with each signal that comes during the block."""
        former, self._taker = self._taker, taker
        try:
            yield
        finally:
            self._taker = former

    def _arrived(self, number: Signals) -> None:
        self._taker(number)
