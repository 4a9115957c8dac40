"""Signals, by number or by name."""

from __future__ import annotations

import signal as signals

from containerd_aio.errors import InvalidArgumentError


def signal_number(signal: int | str) -> int:
    """Return the number of a signal given by number, ``signal.Signals`` or name (``SIGTERM``, ``term``).

    :raises InvalidArgumentError: if there is no such signal
    """
    if isinstance(signal, str):
        name = signal.upper() if signal.upper().startswith("SIG") else f"SIG{signal.upper()}"
        try:
            return int(signals.Signals[name])
        except KeyError:
            raise InvalidArgumentError(f"there is no signal {signal!r}; give SIGTERM, TERM or 15") from None
    if not 1 <= signal <= 64:
        raise InvalidArgumentError(f"there is no signal {signal}; signals are 1 to 64")
    return int(signal)
