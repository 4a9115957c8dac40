"""Cancel a coroutine at its n-th await, whichever that is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _Interrupted(Awaitable[T]):
    """A coroutine, driven by hand: at the given await, ``interrupt`` is called."""

    def __init__(self, work: Coroutine[Any, Any, T], at: int, interrupt: Callable[[], object]) -> None:
        self._work = work
        self._at = at
        self._interrupt = interrupt
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._work.send
        argument: Any = None
        while True:
            try:
                pending = step(argument)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            if self.awaits == self._at:
                self._interrupt()
            self.awaits += 1
            try:
                argument, step = (yield pending), self._work.send
            except BaseException as error:
                argument, step = error, self._work.throw


async def cancelled_by_scope(work: Coroutine[Any, Any, T], at: int) -> bool:
    """Run it, cancelled by a scope round it at its ``at``-th await; tell whether it was."""
    with anyio.CancelScope() as scope:
        await _Interrupted(work, at, scope.cancel)
    return scope.cancelled_caught


async def cancelled_by_task(work: Coroutine[Any, Any, T], at: int) -> bool:
    """Run it as an asyncio task that is cancelled once, at its ``at``-th await; tell whether it was."""

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        await _Interrupted(work, at, task.cancel)

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if task.cancelled():
        return True
    task.result()
    return False


WAYS = [cancelled_by_scope, cancelled_by_task]
"""Both ways in which a coroutine is cancelled: anyio's, at each await from then on, and asyncio's, once."""


async def cancelled_anywhere(
    work: Callable[[], Coroutine[Any, Any, object]],
    then: Callable[[], Awaitable[object]],
    *,
    undo: Callable[[], Awaitable[object]] | None = None,
    step: int = 1,
) -> int:
    """Cancel ``work()`` at its first, second, … await, in both ways, and call ``then`` after each time.

    When it was not cancelled any more, ``undo`` is called. Return how many awaits there were, at least.
    """
    awaits = []
    for cancelled in WAYS:
        at = 0
        while await cancelled(work(), at):
            await then()
            at += step
        awaits.append(at)
        if undo is not None:
            await undo()
    return min(awaits)
