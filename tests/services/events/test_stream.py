"""The bare stream: events as they come."""

from __future__ import annotations

import anyio

from containerd_aio.events import TaskPaused, encode
from containerd_aio.services.events import Events, RawEvent
from tests.services.events.exchange import Exchange


async def test_events_come_with_their_bytes(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.stream('topic=="/tasks/paused"') as raw_events:
            await exchange.until_open(1)
            exchange.send("/tasks/resumed", TaskPaused("web"))
            exchange.send("/tasks/paused", TaskPaused("web"), namespace="other", seconds=3)
            assert await anext(raw_events) == RawEvent(
                3_000_000_000, "other", "/tasks/paused", encode(TaskPaused("web"))
            )
        await exchange.until_open(0)
    assert exchange.subscribed == [['topic=="/tasks/paused"']]


async def test_the_iterator_ends_when_the_stream_is_ended(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.stream() as raw_events:
            await exchange.until_open(1)
            exchange.send("/a", TaskPaused("web"))
            exchange.end()
            assert [event.topic async for event in raw_events] == ["/a"]
