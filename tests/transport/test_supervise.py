"""Background work: who owns it, who hears of its crash, and who is cancelled by what."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from containerd_aio._transport.supervise import Background


def unexpected(error: BaseException) -> None:
    raise AssertionError(f"nothing should have crashed: {error!r}")


async def test_it_runs_until_it_ends() -> None:
    ran = anyio.Event()

    async def work() -> None:
        ran.set()

    background = Background.start(work, name="work", crashed=unexpected)
    await ran.wait()
    await background.aclose()
    assert background.done


async def test_closing_cancels_it_and_waits_for_its_cleanup() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            cleaned = True

    background = Background.start(work, name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    await background.aclose()
    assert cleaned
    await background.aclose()


async def test_it_can_be_asked_to_end_by_a_plain_call(caplog: pytest.LogCaptureFixture) -> None:
    background = Background.start(anyio.sleep_forever, name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    background.cancel()
    await anyio.wait_all_tasks_blocked()
    assert background.done
    await background.aclose()
    assert not caplog.records


async def test_a_crash_is_logged_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[BaseException] = []

    async def work() -> None:
        raise ValueError("a bug")

    background = Background.start(work, name="exit watcher", crashed=told.append)
    await anyio.wait_all_tasks_blocked()
    assert background.done
    await background.aclose()
    assert [str(error) for error in told] == ["a bug"]
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("containerd_aio", "background work 'exit watcher' crashed")
    ]


async def test_a_cancellation_that_nobody_asked_for_is_a_crash(caplog: pytest.LogCaptureFixture) -> None:
    told: list[BaseException] = []

    async def work() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    Background.start(work, name="work", crashed=told.append)
    await anyio.wait_all_tasks_blocked()
    assert [type(error) for error in told] == [asyncio.CancelledError]


async def test_closing_is_no_crash_where_the_count_of_cancellations_was_brought_back_to_0() -> None:
    """anyio 4.16 gives one too many back where groups in a child of a group are cancelled with it."""

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            task = asyncio.current_task()
            assert task is not None
            assert task.uncancel() == 0

    background = Background.start(work, name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    await background.aclose()
    assert background.done


async def test_the_end_of_the_loop_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        await anyio.sleep_forever()

    def run_and_leave() -> None:
        async def main() -> None:
            Background.start(work, name="work", crashed=unexpected)
            await asyncio.sleep(0)

        asyncio.run(main())

    await anyio.to_thread.run_sync(run_and_leave)
    assert caplog.records == []


async def test_an_error_while_it_is_closed_is_a_crash_too(caplog: pytest.LogCaptureFixture) -> None:
    told: list[BaseException] = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("a bug in the cleanup")

    background = Background.start(work, name="work", crashed=told.append)
    await anyio.wait_all_tasks_blocked()
    await background.aclose()
    assert [str(error) for error in told] == ["a bug in the cleanup"]


async def test_it_begins_in_an_empty_context() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")
    variable.set("the caller's")
    seen: list[str] = []

    async def work() -> None:
        seen.append(variable.get())

    background = Background.start(work, name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    await background.aclose()
    assert seen == ["none"]


async def test_it_outlives_the_scope_that_it_was_started_in() -> None:
    going = anyio.Event()

    async def work() -> None:
        await going.wait()

    with anyio.CancelScope() as scope:
        background = Background.start(work, name="work", crashed=unexpected)
        scope.cancel()
        await anyio.sleep_forever()
    assert not background.done
    going.set()
    await anyio.wait_all_tasks_blocked()
    assert background.done


async def stubborn(release: anyio.Event) -> None:
    """End only when told to, as a cleanup does that waits for the daemon."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await release.wait()


async def test_a_cancelled_scope_waits_for_the_end_and_is_cancelled_then() -> None:
    release = anyio.Event()
    background = Background.start(lambda: stubborn(release), name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    asyncio.get_running_loop().call_later(0.02, release.set)
    with anyio.move_on_after(0.005) as scope:
        await background.aclose()
        assert background.done
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_cancelled_task_waits_for_the_end_and_is_cancelled_then() -> None:
    release = anyio.Event()
    background = Background.start(lambda: stubborn(release), name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    closing = asyncio.create_task(background.aclose())
    await anyio.wait_all_tasks_blocked()
    closing.cancel()
    await anyio.wait_all_tasks_blocked()
    assert not closing.done()
    release.set()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert background.done


async def test_it_cannot_wait_for_itself() -> None:
    errors: list[RuntimeError] = []

    async def work() -> None:
        await anyio.lowlevel.checkpoint()  # an eager task begins before start() has returned
        try:
            await background.aclose()
        except RuntimeError as exc:
            errors.append(exc)

    background = Background.start(work, name="work", crashed=unexpected)
    await anyio.wait_all_tasks_blocked()
    assert len(errors) == 1
