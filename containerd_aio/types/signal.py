"""Signals, by number or by name."""

from __future__ import annotations

import re
import signal as signals
from typing import Final

from containerd_aio.errors import InvalidArgumentError

STOP_SIGNAL_LABEL: Final = "io.containerd.image.config.stop-signal"
"""The label of a container that says what signal its image wants to be stopped with; Go's client has it too."""

_LAST: Final = 64
# The numbers that Linux images count with: glibc's first two of them are its own.
_RTMIN: Final = 34
_REAL_TIME: Final = re.compile(r"SIGRT(?:MIN(?:\+(\d{1,2}))?|MAX(?:-(\d{1,2}))?)", re.ASCII)


def signal_number(signal: int | str) -> int:
    """Return the number of a signal given by number, ``signal.Signals`` or name (``SIGTERM``, ``term``, ``15``,
    ``RTMIN+3``).

    :raises InvalidArgumentError: if there is no such signal
    """
    number = _named(signal) if isinstance(signal, str) else int(signal)
    if number is None or not 1 <= number <= _LAST:
        raise InvalidArgumentError(f"there is no signal {signal!r}; give SIGTERM, TERM or 15")
    return number


def known_signal(name: str) -> int | None:
    """Return the number of a signal that somebody else has named, ``None`` where there is no such signal."""
    try:
        return signal_number(name)
    except InvalidArgumentError:
        return None


def _named(name: str) -> int | None:
    if re.fullmatch("[0-9]{1,2}", name):
        return int(name)
    name = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    if real_time := _REAL_TIME.fullmatch(name):
        up, down = real_time.groups(default="0")
        number = _RTMIN + int(up) if name.startswith("SIGRTMIN") else _LAST - int(down)
        return number if number >= _RTMIN else None
    try:
        return int(signals.Signals[name])
    except KeyError:
        return None
