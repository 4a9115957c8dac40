"""Blocking work that must come to its end, whatever happens to the coroutine that asked for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio


async def to_the_end(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread and return when it has ended.

    Cancelling, by a scope or by ``Task.cancel()`` (which no shield holds off; asyncio.run does it on Ctrl-C),
    does not cut it short: the cancellation is raised after it. Where even that is broken off, by a second
    Ctrl-C, the interpreter waits for the thread before it exits. What ``work`` raises is raised here.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    thread = threading.Thread(target=_run, args=(work, loop, done), name="containerd-aio-cleanup")
    thread.start()
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                cancelled = error
    thread.join()
    if cancelled is not None:
        done.exception()  # told by the caller's own cancellation from here on
        raise cancelled
    done.result()


def _run(work: Callable[[], None], loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    def settle(error: BaseException | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    outcome: BaseException | None = None
    try:
        work()
    except BaseException as error:
        outcome = error
    try:
        loop.call_soon_threadsafe(settle, outcome)
    except RuntimeError:  # the loop is closed: nobody waits any more
        if outcome is not None:
            raise outcome from None
