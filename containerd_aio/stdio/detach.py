"""Keys that end the user's part in a session, and not the process: as ``ctrl-p,ctrl-q`` does elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.pump import Source

_CONTROL: Final = "ctrl-"
_CONTROLLED: Final = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes that a terminal sends for keys as ``"ctrl-p,ctrl-q"`` or ``"ctrl-@,x"``; none for ``""``.

    :raises InvalidArgumentError: if one is neither a character of ASCII nor ``ctrl-`` and one of a-z @ [ \\ ] ^ _
    """
    return b"".join(map(_byte, text.split(","))) if text else b""


def _byte(key: str) -> bytes:
    if key.startswith(_CONTROL):
        controlled = key.removeprefix(_CONTROL).lower()
        if len(controlled) == 1 and controlled in _CONTROLLED:
            return bytes([_CONTROLLED.index(controlled)])
    elif len(key) == 1 and key.isascii():
        return key.encode()
    raise InvalidArgumentError(f"the detach key {key!r} is neither one character nor ctrl- and a letter")


class DetachableSource(ByteReceiveStream):
    """Passes on what is typed until the keys come; then calls ``detached()`` and passes nothing more, no end either.

    The beginning of the keys is held back until it is clear that the rest does not follow.
    """

    def __init__(self, source: Source, keys: bytes, detached: Callable[[], None]) -> None:
        self._source = source
        self._keys = keys
        self._detached = detached
        self._held = b""
        self._found = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while True:
            if self._found:
                self._detached()
                await anyio.sleep_forever()
            try:
                typed = self._held + await self._source.receive()
            except anyio.EndOfStream:
                typed, self._held = self._held, b""
                if not typed:
                    raise
                return typed
            passed = self._without_keys(typed)
            if passed:
                return passed

    async def aclose(self) -> None:
        """Nothing: what it reads is closed by whoever opened it."""

    def _without_keys(self, typed: bytes) -> bytes:
        passed, found, _ = typed.partition(self._keys)
        self._found = bool(found)
        self._held = b"" if found else self._beginning_at_the_end(typed)
        return passed[: len(passed) - len(self._held)]

    def _beginning_at_the_end(self, typed: bytes) -> bytes:
        lengths = range(min(len(self._keys) - 1, len(typed)), 0, -1)
        return next((self._keys[:n] for n in lengths if typed.endswith(self._keys[:n])), b"")
