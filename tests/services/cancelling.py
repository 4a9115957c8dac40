"""Waiting for what comes true by itself: a server that notices that its client went away, say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel

Cancel: TypeAlias = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]
"""One of ``tests.interrupt.WAYS``: run a coroutine, cancel it at its n-th await, tell whether it was cancelled."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    with anyio.fail_after(60):
        while not condition():
            await anyio.lowlevel.checkpoint()
