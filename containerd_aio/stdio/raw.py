"""A terminal of this process's user in raw mode: every key is passed on as it is, also Ctrl-C.

The hard part is giving it back: a shell in raw mode is of no use to anybody. It is restored when the last who
wanted it raw leaves, by ``atexit`` where a program ends without that, and by the signals that end or stop a
program without a word (a handler of the program's own is trusted to leave). Stopped and continued (SIGTSTP, SIGCONT)
it is raw again. Nothing helps against SIGKILL: then ``stty sane`` or ``reset`` does.
"""

from __future__ import annotations

import atexit
import os
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from containerd_aio.stdio.signals import listen

_ENDS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class _RawTerminal:
    """One terminal, and how many want it raw."""

    def __init__(self, descriptor: int) -> None:
        self._saved: list[Any] = termios.tcgetattr(descriptor)  # as termios has it
        self._descriptor = os.dup(descriptor)  # the program may close its own first
        self.users = 0
        self._unheard = [listen(number, self.restore) for number in _ENDS if _by_default(number)]
        if _by_default(signal.SIGTSTP):
            # It does not stop who could not be continued, in a session without a shell.
            self._unheard.append(listen(signal.SIGTSTP, self.restore, survived=self.make_raw))
        self._unheard.append(listen(signal.SIGCONT, self.make_raw))
        atexit.register(self.restore)

    def make_raw(self) -> None:
        with suppress(termios.error):
            if self._ours():
                # Now, not when the output has drained: that waits for whoever reads the terminal.
                tty.setraw(self._descriptor, termios.TCSANOW)

    def restore(self) -> None:
        with suppress(termios.error):  # it may be gone: its window was closed
            if self._ours():
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._saved)

    def release(self) -> None:
        for stop in self._unheard:
            stop()
        atexit.unregister(self.restore)
        self.restore()
        os.close(self._descriptor)

    def _ours(self) -> bool:
        """Whether we may change it now: in the background the terminal is the shell's, and changing it would
        stop us."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return True  # it controls no job of ours


_raw: dict[int, _RawTerminal] = {}  # by device: several descriptors may be open on one


def raw_terminal(descriptor: int) -> Callable[[], None]:
    """Switch the terminal at ``descriptor`` to raw mode, and return what gives it back; call that once or more.

    Several may have one terminal raw: it is given back by the last.

    :raises termios.error: if it is no terminal
    """
    device = os.fstat(descriptor).st_rdev
    terminal = _raw.get(device)
    if terminal is None:
        terminal = _raw[device] = _RawTerminal(descriptor)
        terminal.make_raw()
    terminal.users += 1
    left = False

    def leave() -> None:
        nonlocal left
        if left:
            return
        left = True
        terminal.users -= 1
        if not terminal.users:
            del _raw[device]
            terminal.release()

    return leave


def _by_default(number: int) -> bool:
    return signal.getsignal(number) == signal.SIG_DFL
