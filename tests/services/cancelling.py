"""Cancelling a call at each of its awaits, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel


async def cancelled_after(turns: int, run: Callable[[], Awaitable[object]]) -> bool:
    """Run something, cancel it after so many turns of the event loop; return whether it was finished by then.

    Counting up from 0 until that is so cancels it at every place where it can be.
    """
    scope = anyio.CancelScope()
    finished = False

    async def job() -> None:
        nonlocal finished
        with scope:
            await run()
            finished = True

    async with anyio.create_task_group() as group:
        group.start_soon(job)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    return finished


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes true by itself, in the server, say."""
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()
