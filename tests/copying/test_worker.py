"""Blocking calls in a thread: let finish, and closed after the last."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest

from containerd_aio._copying.worker import working
from containerd_aio._transport import completion
from tests.interrupt import WAYS

Cancel = Callable[[Coroutine[Any, Any, object], int], Awaitable[bool]]


async def test_a_call_answers_from_another_thread() -> None:
    async with working() as worker:
        assert await worker.run(threading.get_ident) != threading.get_ident()


async def test_what_a_call_raises_is_raised_here() -> None:
    def fail() -> None:
        raise OSError(28, "full")

    async with working() as worker:
        with pytest.raises(OSError, match="full"):
            await worker.run(fail)


@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_cancelled_call_has_ended_before_anything_is_closed(cancelled: Cancel) -> None:
    order: list[str] = []
    begun, release = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        release.wait()
        order.append("ended")

    async def copy() -> None:
        async with working() as worker:
            worker.held.callback(order.append, "closed")
            await worker.run(call)

    async with anyio.create_task_group() as group:

        async def let_go() -> None:
            await anyio.to_thread.run_sync(begun.wait)
            release.set()

        group.start_soon(let_go)
        assert await cancelled(copy(), 0)
        for event in (begun, release):  # whoever waits for a call that never began
            event.set()
    assert order in (["ended", "closed"], ["closed"])  # or it was cancelled before the call began


async def test_what_cannot_be_closed_does_not_hide_what_went_wrong() -> None:
    def fail() -> None:
        raise OSError("cannot close")

    with pytest.raises(ValueError, match="the user's") as caught:
        async with working() as worker:
            worker.held.callback(fail)
            raise ValueError("the user's")
    assert caught.value.__notes__ == ["what was open for the copy could not be closed: cannot close"]
    with pytest.raises(OSError, match="cannot close"):
        async with working() as worker:
            worker.held.callback(fail)


async def test_a_call_that_does_not_come_back_is_left_behind_and_what_it_uses_closed_when_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A filesystem of the container may never answer; what is closed under a call could be another's by then."""
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", 0.05)
    begun, release, closed = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait()
        assert not closed.is_set()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await anyio.to_thread.run_sync(begun.wait)
                scope.cancel()

            group.start_soon(cancel)
            async with working() as worker:
                worker.held.callback(closed.set)
                await worker.run(hang)
    assert scope.cancelled_caught
    assert not closed.is_set()
    release.set()
    with anyio.fail_after(60):
        await anyio.to_thread.run_sync(closed.wait)
