"""Listening to signals beside whoever listens already: the program's handlers go on as they were.

The event loop's own ``add_signal_handler`` has one place for each signal, and would take it from the program. A
handler of Python's calls on the one before it; and where there was none, the signal does what it does by default.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

Heard = Callable[[], object]
_Listener = tuple[Heard, Heard | None]

_listeners: dict[int, list[_Listener]] = {}
_before: dict[int, Callable[[int, FrameType | None], object] | int] = {}


def listen(number: int, heard: Heard, *, survived: Heard | None = None) -> Callable[[], None]:
    """Have ``heard()`` called at each such signal, before its handler or its default; return what ends that.

    ``survived()`` is called when the default was done, and has not ended this process.
    It is called in the main thread, between any two of its steps. Only the main thread can listen: in another
    one, and where the handler is none of Python's, nothing is ever heard.
    """
    if number not in _listeners and not _installed(number):
        return lambda: None
    listener = (heard, survived)
    _listeners.setdefault(number, []).append(listener)

    def stop() -> None:
        listeners = _listeners.get(number, [])
        if listener in listeners:
            listeners.remove(listener)
            if not listeners:
                _removed(number)

    return stop


def _installed(number: int) -> bool:
    before = signal.getsignal(number)
    if before is None:
        return False
    try:
        signal.signal(number, _received)
    except ValueError:  # not the main thread
        return False
    _before[number] = before
    return True


def _removed(number: int) -> None:
    del _listeners[number]
    before = _before.pop(number)
    if signal.getsignal(number) == _received:  # else the program has put its own in this place meanwhile
        signal.signal(number, before)


def _received(number: int, frame: FrameType | None) -> None:
    before = _before.get(number, signal.SIG_DFL)
    for heard, _ in list(_listeners.get(number, ())):
        heard()
    if callable(before):
        before(number, frame)
    elif before == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)  # here the process ends, or stops
        if number in _listeners:
            signal.signal(number, _received)
        for _, survived in list(_listeners.get(number, ())):
            if survived is not None:
                survived()
