"""Telling those who wait for a process why it does not end: its output is full, and nobody reads it.

That is back-pressure, and wanted; but who forgot to read waits for ever, and nothing shows why. So while somebody
waits, the outputs are looked at now and then, and what stands still is logged once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from containerd_aio.stdio.receive import FifoReceiveStream

_log: Final = logging.getLogger("containerd_aio.stdio")

PATIENCE: Final = 10.0
"""Seconds that an output must have been full, and nothing taken from it, before that is told."""


class Stall:
    """Looks at the outputs of one process while somebody waits for it."""

    def __init__(
        self,
        piped: Sequence[FifoReceiveStream],
        copied: Sequence[FifoReceiveStream],
        call_later: Callable[..., asyncio.TimerHandle] | None = None,
    ) -> None:
        """``piped`` are read by the user; of the others the bytes are copied to where they may wait, too.

        ``call_later`` is the event loop's if left out.
        """
        self._call_later = call_later
        self._piped = piped
        self._copied = copied
        self._waiting: set[asyncio.Future[Any]] = set()
        self._taken: dict[FifoReceiveStream, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    @property
    def full(self) -> tuple[str, ...]:
        """The names of the outputs that take no more until somebody reads."""
        return tuple(stream.name for stream in (*self._piped, *self._copied) if stream.full)

    def awaited(self, future: asyncio.Future[Any], name: str) -> None:
        """Look at the outputs until ``future`` is done; ``name`` is what the process is called."""
        if self._told or future.done() or not (self._piped or self._copied):
            return
        self._waiting.add(future)
        future.add_done_callback(self._left)
        if self._timer is None:
            self._look_later(name)

    def stop(self) -> None:
        """Look no more."""
        self._told = True
        self._cancel()

    def _left(self, future: asyncio.Future[Any]) -> None:
        self._waiting.discard(future)
        if not self._waiting:
            self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self, name: str) -> None:
        self._taken = {stream: stream.taken for stream in (*self._piped, *self._copied)}
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(PATIENCE, self._look, name)

    def _look(self, name: str) -> None:
        for stream, taken in self._taken.items():
            if stream.taken == taken and stream.full:
                what, way_out = (
                    ("nobody reads its", f"receive from process.{stream.name}, or close it")
                    if stream in self._piped
                    else (
                        "nothing takes what is copied from its",
                        "read where it goes to, or kill the process",
                    )
                )
                _log.warning(
                    "%s is waited for, but cannot go on: %s %s, and the FIFO is full; %s",
                    name,
                    what,
                    stream.name,
                    way_out,
                )
                self._told = True
        if self._told:
            self._timer = None
        else:
            self._look_later(name)
