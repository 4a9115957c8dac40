"""Work that is not cut short."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from containerd_aio.private_daemon._thread import to_the_end


async def test_the_work_has_ended_on_return() -> None:
    done: list[str] = []
    await to_the_end(lambda: done.append(threading.current_thread().name))
    assert done == ["containerd-aio-cleanup"]
    assert "containerd-aio-cleanup" not in {thread.name for thread in threading.enumerate()}


async def test_what_the_work_raises_is_raised() -> None:
    def work() -> None:
        raise LookupError("of the work")

    with pytest.raises(LookupError, match="of the work"):
        await to_the_end(work)


class Work:
    """Work that runs until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.done = False
        self.error = error

    def __call__(self) -> None:
        assert self.go.wait(60)
        self.done = True
        if self.error is not None:
            raise self.error


async def test_task_cancel_is_raised_after_the_work_however_often() -> None:
    work = Work()
    task = asyncio.create_task(to_the_end(work))
    for _ in range(3):
        await checkpoint()
        task.cancel()
    await checkpoint()
    assert not task.done()
    work.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.done


async def test_a_cancelled_scope_is_left_after_the_work() -> None:
    work = Work()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(to_the_end, work)
            await checkpoint()
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await checkpoint()
                work.go.set()
    assert scope.cancelled_caught
    assert work.done


async def test_a_cancellation_goes_before_the_works_own_error() -> None:
    work = Work(LookupError("of the work"))
    task = asyncio.create_task(to_the_end(work))
    await checkpoint()
    task.cancel()
    await checkpoint()
    work.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_work_ends_although_the_loop_is_gone() -> None:
    work = Work()
    loop = asyncio.new_event_loop()
    task = loop.create_task(to_the_end(work))
    loop.call_soon(loop.stop)
    loop.run_forever()
    (thread,) = [it for it in threading.enumerate() if it.name == "containerd-aio-cleanup"]
    assert not thread.daemon  # so the interpreter waits for it
    work.go.set()
    thread.join(60)
    assert work.done
    with pytest.raises(asyncio.CancelledError):
        # the rest of asyncio.run(): cancel what is left
        task.cancel()
        loop.run_until_complete(task)
    loop.close()
