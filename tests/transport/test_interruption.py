"""The cancellation debt of grpclib, paid: after an interruption, deadlines and cancellations work as ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from containerd_aio._transport.interruption import Interruption


class LostError(Exception):
    """What the interruptions here raise."""


@pytest.fixture
def interruption() -> Interruption:
    return Interruption()


def cancelling() -> int:
    """How many cancellation requests this task has not answered."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def wait_in(interruption: Interruption) -> None:
    with interruption:
        await anyio.sleep_forever()


async def interrupted_and_caught() -> None:
    """Wait, be interrupted, and go on as a caller does that reconnects."""
    interruption = Interruption()
    asyncio.get_running_loop().call_soon(interruption.cancel, LostError())
    with pytest.raises(LostError):
        await wait_in(interruption)


async def interrupted_and_waiting() -> None:
    """Be interrupted, and wait on for something else."""
    await interrupted_and_caught()
    await anyio.sleep_forever()


async def test_the_block_raises_the_error_and_leaves_no_cancellation(interruption: Interruption) -> None:
    await interrupted_and_caught()
    assert cancelling() == 0
    await checkpoint()


async def test_a_later_block_raises_at_once(interruption: Interruption) -> None:
    interruption.cancel(LostError())
    with pytest.raises(LostError):
        await wait_in(interruption)


async def test_the_first_error_stays(interruption: Interruption) -> None:
    interruption.cancel(LostError("goaway"))
    interruption.cancel(LostError("connection lost"))
    with pytest.raises(LostError, match=r"^goaway$"):
        await wait_in(interruption)


async def test_every_task_in_the_block_is_woken(interruption: Interruption) -> None:
    tasks = [asyncio.create_task(wait_in(interruption)) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    interruption.cancel(LostError())
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [LostError] * 3


async def test_the_task_that_interrupts_itself_meets_the_error_at_the_end_of_the_block(
    interruption: Interruption,
) -> None:
    with pytest.raises(LostError), interruption:
        interruption.cancel(LostError())
    assert cancelling() == 0
    await checkpoint()


async def test_fail_after_still_raises_timeout_error() -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await interrupted_and_waiting()
    assert cancelling() == 0


async def test_move_on_after_still_moves_on() -> None:
    with anyio.move_on_after(0.01) as scope:
        await interrupted_and_waiting()
    assert scope.cancelled_caught
    assert cancelling() == 0


async def test_asyncio_timeout_still_raises_timeout_error() -> None:
    async def limited() -> None:
        async with asyncio.timeout(0.01):
            await interrupted_and_waiting()

    with pytest.raises(TimeoutError):
        await limited()
    assert cancelling() == 0


async def test_the_inner_of_two_scopes_is_the_one_that_ends() -> None:
    with anyio.fail_after(60) as outer:
        with anyio.move_on_after(0.01) as inner:
            await interrupted_and_waiting()
        await checkpoint()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught
    assert cancelling() == 0


async def test_siblings_in_a_task_group_go_on() -> None:
    finished: list[str] = []

    async def patient() -> None:
        await checkpoint()
        await checkpoint()
        finished.append("patient")

    async def interrupted() -> None:
        await interrupted_and_caught()
        await checkpoint()
        finished.append("interrupted")

    async with asyncio.TaskGroup() as group:
        group.create_task(patient())
        group.create_task(interrupted())
    assert sorted(finished) == ["interrupted", "patient"]
    assert cancelling() == 0


async def test_an_uncaught_interruption_reaches_the_task_group_as_itself(interruption: Interruption) -> None:
    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_in(interruption))
            group.create_task(asyncio.sleep(3600))

    asyncio.get_running_loop().call_soon(interruption.cancel, LostError())
    with pytest.raises(ExceptionGroup) as caught:
        # In a task of its own: on 3.11 the group leaves its task's count at 1.
        await asyncio.create_task(together())
    assert [type(error) for error in caught.value.exceptions] == [LostError]


def in_order(first: str, *actions: tuple[str, Callable[[], object]]) -> None:
    """Do both, the named one first, before the event loop gives any task a turn."""
    for _, action in sorted(actions, key=lambda action: action[0] != first):
        action()


@pytest.mark.parametrize("first", ["cancellation", "interruption"])
async def test_a_cancellation_at_the_same_moment_is_not_swallowed(
    interruption: Interruption, first: str
) -> None:
    task = asyncio.create_task(wait_in(interruption))
    await anyio.wait_all_tasks_blocked()
    in_order(first, ("cancellation", task.cancel), ("interruption", lambda: interruption.cancel(LostError())))
    await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.parametrize("first", ["timeout", "interruption"])
async def test_a_timeout_at_the_same_moment_is_not_swallowed(interruption: Interruption, first: str) -> None:
    loop = asyncio.get_running_loop()

    async def limited() -> None:
        async with asyncio.timeout(None) as timeout:
            in_order(
                first,
                ("timeout", lambda: timeout.reschedule(loop.time())),
                ("interruption", lambda: loop.call_soon(interruption.cancel, LostError())),
            )
            await wait_in(interruption)

    with pytest.raises(TimeoutError):
        await limited()
    assert cancelling() == 0


@pytest.mark.parametrize("first", ["scope", "interruption"])
async def test_a_cancelled_scope_at_the_same_moment_goes_on(interruption: Interruption, first: str) -> None:
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        in_order(
            first,
            ("scope", lambda: loop.call_soon(scope.cancel)),
            ("interruption", lambda: loop.call_soon(interruption.cancel, LostError())),
        )
        try:
            await wait_in(interruption)
        except LostError:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert cancelling() == 0


async def test_an_interruption_in_the_cleanup_of_a_cancelled_task_is_told_from_that_cancellation(
    interruption: Interruption,
) -> None:
    met: list[type[BaseException]] = []

    async def cleans_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            try:
                await wait_in(interruption)
            except LostError:
                met.append(LostError)

    task = asyncio.create_task(cleans_up())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    interruption.cancel(LostError())
    await asyncio.wait([task])
    assert met == [LostError]
    assert task.cancelled()


async def test_a_mere_cancellation_passes(interruption: Interruption) -> None:
    task = asyncio.create_task(wait_in(interruption))
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
