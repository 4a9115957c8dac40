"""Calls and cleanups that are let come to their end although their caller was cancelled.

A cancelled call is reset, but containerd may be in the middle of it, and go on: a snapshot would appear just after
the cleanup found none. So a call that makes something is not given up in the middle: it is waited for a little
longer, and what it made is then known, and undone.

``anyio.CancelScope(shield=True)`` alone holds off the cancellation of scopes, not ``asyncio.Task.cancel()``, which
``asyncio.timeout()`` and others use. Here the work runs in a task of its own, in a group that waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from containerd_aio.errors import ContainerdError

T = TypeVar("T")

# The shim waits up to 10 s for the output of what a process left behind (2 s before 1.7.29): a cleanup must
# outlast it.
CLEANUP_SECONDS = 15.0


async def completed(call: Callable[[], Awaitable[T]]) -> T:
    """Await ``call()`` and return its result. If cancelled, it may go on for up to 15 s before that takes effect.

    Let ``call`` itself note what it made: when this is cancelled its result is not returned.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    ended = anyio.Event()
    bound = anyio.CancelScope(shield=True, deadline=math.inf)

    async def run() -> None:
        with bound:
            try:
                results.append(await call())
            except Exception as error:
                failures.append(error)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            await ended.wait()
        finally:
            bound.deadline = anyio.current_time() + CLEANUP_SECONDS
    if failures:
        raise failures[0]
    return results[0]


async def shielded(cleanup: Callable[[], Awaitable[None]]) -> bool:
    """Run a cleanup to its end, for 15 s at most, whoever is cancelled meanwhile; tell whether it ended in time.

    What it raises is raised here. A cancellation takes effect afterwards.
    """
    failures: list[Exception] = []
    scope = anyio.CancelScope(shield=True)

    async def run() -> None:
        scope.deadline = anyio.current_time() + CLEANUP_SECONDS
        with scope:
            try:
                await cleanup()
            except Exception as error:
                failures.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if failures:
        raise failures[0]
    return not scope.cancelled_caught


async def cleaned_up(
    cleanup: Callable[[], Awaitable[None]], error: BaseException | None, what_failed: str
) -> None:
    """Run the cleanup at the end of a block, as ``shielded()`` does.

    What fails in it becomes a note on the error that ended the block; without one it is raised itself. A cancellation
    that takes effect now hides both: it is given the notes, too.
    """
    outcome: list[Exception | None] = []

    async def run() -> None:
        try:
            await cleanup()
        except Exception as problem:
            outcome.append(problem)
        else:
            outcome.append(None)

    cancelled: BaseException | None = None
    try:
        await shielded(run)
    except BaseException as raised:
        cancelled = raised
    failure = outcome[0] if outcome else ContainerdError(f"{what_failed} within {CLEANUP_SECONDS:.0f} s")
    if failure is not None:
        ended_by = error or cancelled
        if ended_by is None:
            raise failure
        _note(ended_by, f"{what_failed}: {failure}")
    if cancelled is not None:
        if error is not None:
            for note in getattr(error, "__notes__", ()):
                _note(cancelled, note)
        raise cancelled


def _note(error: BaseException, text: str) -> None:
    """Note it once: a cleanup that has failed is tried again by that of the block around it."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)
