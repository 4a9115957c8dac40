"""The queue before a reader: in order, bounded, and with one gap where several meet."""

from __future__ import annotations

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given, settings
from hypothesis import strategies as st

from containerd_aio.errors import ConnectionLostError, EventsLostError
from containerd_aio.events import Gap
from containerd_aio.services.events import RawEvent
from containerd_aio.services.events.inbox import Inbox

LOST = ConnectionLostError("gone")


def event(number: int) -> RawEvent:
    return RawEvent(number, "example", "/example", None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["event", "gap", "take"]), max_size=30), st.integers(1, 5))
async def test_what_is_put_is_taken_in_order_and_no_two_gaps_follow_each_other(
    steps: list[str], max_lag: int
) -> None:
    inbox, expected = Inbox(max_lag), list[RawEvent | Gap]()
    for now, step in enumerate(steps):
        match step:
            case "event" if len(expected) >= max_lag:
                with pytest.raises(EventsLostError):
                    await inbox.put(event(now))
            case "event":
                await inbox.put(event(now))
                expected.append(event(now))
            case "gap":
                await inbox.put_gap(Gap(now, now + 1, LOST))
                if expected and isinstance(last := expected[-1], Gap):
                    expected[-1] = Gap(last.since_ns, now + 1, LOST)
                else:
                    expected.append(Gap(now, now + 1, LOST))
            case _ if expected:
                assert await inbox.take() == expected.pop(0)
            case _:
                pass
    inbox.end()
    with anyio.fail_after(60):
        assert [await inbox.take() for _ in range(len(expected) + 1)] == [*expected, None]


async def test_a_failure_stands_behind_the_last_item_and_stays() -> None:
    inbox = Inbox(2)
    await inbox.put(event(1))
    inbox.fail(LOST)
    inbox.end()
    assert await inbox.take() == event(1)
    for _ in range(2):
        with pytest.raises(ConnectionLostError, match="gone"):
            await inbox.take()


async def test_all_that_wait_are_woken_by_the_end() -> None:
    inbox = Inbox(2)
    taken: list[RawEvent | Gap | None] = []

    async def take() -> None:
        taken.append(await inbox.take())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(take)
            group.start_soon(take)
            await wait_all_tasks_blocked()
            await inbox.put(event(1))
            await wait_all_tasks_blocked()
            inbox.end()
    assert taken == [event(1), None]


async def test_it_is_empty_when_the_last_item_was_taken() -> None:
    inbox = Inbox(2)
    with anyio.fail_after(60):
        await inbox.until_empty()
        await inbox.put(event(1))
        await inbox.put(event(2))
        async with anyio.create_task_group() as group:
            group.start_soon(inbox.until_empty)
            await inbox.take()
            with anyio.move_on_after(0.01) as scope:
                await inbox.until_empty()
            assert scope.cancelled_caught
            await inbox.take()
