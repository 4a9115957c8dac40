"""One reader of events: live when entered, bounded, never silent about a gap, and gone without a trace."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.types import Envelope
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.convert import to_any
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    DeadlineExceededError,
    EventsLostError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from containerd_aio.events import Event, TaskPaused, TaskResumed, TaskStart, UnknownEvent, encode
from containerd_aio.services.events import Events, RawEvent, Subscription, subscription
from containerd_aio.services.events.knock import new_topic
from tests.services.events.exchange import Exchange, exchanging, topics
from tests.services.serving import serving
from tests.transport.peer import Peer, listening


async def drain(subscription: Subscription[Event], count: int) -> list[int]:
    """The pids of the next so many starts."""
    pids = []
    for _ in range(count):
        payload = (await anext(subscription)).payload
        assert isinstance(payload, TaskStart)
        pids.append(payload.pid)
    return pids


async def test_what_happens_in_the_block_is_seen(events: Events, exchange: Exchange) -> None:
    """Also where containerd registers the subscriber late: the first three knocks go nowhere."""
    exchange.lost_at_first = 3
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            await events.publish("/tasks/paused", TaskPaused("web"))
            assert await anext(subscription) == Event(
                1_000_000_000, "example", "/tasks/paused", TaskPaused("web")
            )
    assert len(exchange.published) == 5


async def test_knocks_are_never_yielded(events: Events, exchange: Exchange) -> None:
    """Neither late ones of its own, which come again and again, nor those of other readers."""
    with anyio.fail_after(60):
        async with events.subscribe(all_namespaces=True) as subscription:
            own = exchange.published[0].topic
            for topic in (own, new_topic(), own):
                exchange.send(topic, UnknownEvent("google.protobuf.Empty", b""))
            exchange.send("/tasks/paused", TaskPaused("web"))
            assert (await anext(subscription)).topic == "/tasks/paused"


async def test_each_reader_knocks_at_a_door_of_its_own(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(), events.subscribe():
            assert len(set(topics(exchange.published))) == 2


async def test_it_can_be_iterated_without_being_entered(events: Events, exchange: Exchange) -> None:
    seen = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(exchange.until_open, 1)
            group.start_soon(_send_when_open, exchange)
            async for event in events.subscribe("topic~=resumed"):
                seen.append(event.payload)
                break
        await exchange.until_open(0)
    assert seen == [TaskResumed("web")]
    assert exchange.published == []


async def _send_when_open(exchange: Exchange) -> None:
    await exchange.until_open(1)
    exchange.send("/tasks/paused", TaskPaused("web"))
    exchange.send("/tasks/resumed", TaskResumed("web"))


async def test_nothing_is_sent_before_it_is_used(events: Events, exchange: Exchange) -> None:
    events.subscribe()
    await wait_all_tasks_blocked()
    assert exchange.subscribed == []


async def test_break_leaves_nothing_open(events: Events, exchange: Exchange) -> None:
    """The loop holds the only reference: the subscription is finalised at once, without the collector's help."""
    gc.disable()
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(_send_when_open, exchange)
                async for _ in events.subscribe():
                    break
            await exchange.until_open(0)
    finally:
        gc.enable()


async def test_an_exception_in_the_loop_leaves_nothing_open(events: Events, exchange: Exchange) -> None:
    async def fail() -> None:
        async for _ in events.subscribe():
            raise ValueError("bug")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(_send_when_open, exchange)
            with pytest.raises(ValueError, match="bug"):
                await fail()
        await exchange.until_open(0)


async def test_leaving_the_block_ends_the_stream(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe():
            assert exchange.open_streams == 1
        await exchange.until_open(0)


async def test_the_users_own_exception_comes_out_as_it_is(events: Events) -> None:
    with pytest.raises(ValueError, match="bug"):
        async with events.subscribe():
            raise ValueError("bug")


async def test_closing_ends_a_reader_that_waits(events: Events) -> None:
    seen: list[Event] = []

    async def read(subscription: Subscription[Event]) -> None:
        seen.extend([event async for event in subscription])

    with anyio.fail_after(60):
        async with events.subscribe() as subscription, anyio.create_task_group() as group:
            group.start_soon(read, subscription)
            await wait_all_tasks_blocked()
            await subscription.aclose()
            await subscription.aclose()
    assert seen == []


async def test_a_closed_one_yields_nothing_and_cannot_be_entered_again(
    events: Events, exchange: Exchange
) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            exchange.send("/tasks/paused", TaskPaused("web"))
            await events.publish("/later", TaskPaused("web"))  # answered after that event has come
        assert [event async for event in subscription] == []
        with pytest.raises(RuntimeError, match="subscribe again"):
            await subscription.__aenter__()


async def test_one_that_was_closed_before_its_use_yields_nothing(events: Events, exchange: Exchange) -> None:
    subscription = events.subscribe()
    await subscription.aclose()
    assert [event async for event in subscription] == []
    assert exchange.subscribed == []


async def test_cancelling_a_step_loses_no_event(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            for pid in range(1, 50):
                with anyio.move_on_after(0.001) as scope:
                    await anext(subscription)
                assert scope.cancelled_caught
                exchange.send("/tasks/start", TaskStart("web", pid))
                if pid % 2:
                    await wait_all_tasks_blocked()
                assert await drain(subscription, 1) == [pid]


async def test_a_step_in_a_cancelled_scope_takes_nothing(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            for pid in range(3):
                exchange.send("/tasks/start", TaskStart("web", pid))
            assert await drain(subscription, 1) == [0]
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anext(subscription)
            assert scope.cancelled_caught
            assert await drain(subscription, 2) == [1, 2]


async def test_a_reader_that_lags_is_told_behind_the_last_event(events: Events, exchange: Exchange) -> None:
    """The stream is given up at once, so that containerd's own queue cannot grow."""
    with anyio.fail_after(60):
        async with events.subscribe(max_lag=3) as subscription:
            for pid in range(5):
                exchange.send("/tasks/start", TaskStart("web", pid))
            await exchange.until_open(0)
            assert await drain(subscription, 3) == [0, 1, 2]
            for _ in range(2):
                with pytest.raises(EventsLostError, match="more than 3 events behind"):
                    await anext(subscription)


async def test_ten_thousand_events_may_wait(events: Events, exchange: Exchange, without_debug: None) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            for pid in range(10_000):
                exchange.send("/tasks/start", TaskStart("web", pid))
            assert await drain(subscription, 10_000) == list(range(10_000))


async def test_a_burst_is_no_lag(events: Events, exchange: Exchange) -> None:
    """A reader that takes each event as it comes keeps pace, though all of them arrive in one piece."""
    with anyio.fail_after(60):
        async with events.subscribe(max_lag=20) as subscription:
            for pid in range(1000):
                exchange.send("/tasks/start", TaskStart("web", pid))
            assert await drain(subscription, 1000) == list(range(1000))


async def test_a_stream_that_containerd_ends_is_a_gap(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            exchange.send("/tasks/start", TaskStart("web", 1))
            exchange.end()
            assert await drain(subscription, 1) == [1]
            with pytest.raises(ConnectionLostError, match="ended the stream of events"):
                await anext(subscription)


async def test_a_lost_connection_is_told() -> None:
    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        start = to_any(encode(TaskStart("web", 1)))
        peer.message(stream, Envelope(namespace="x", topic="/tasks/start", event=start))
        await peer.writer.drain()
        await gone.wait()
        peer.drop()

    gone = anyio.Event()
    with tempfile.TemporaryDirectory(prefix="aio-") as directory, anyio.fail_after(60):
        path = Path(directory) / "socket"
        connection = Connection(Address.parse(str(path)))
        async with listening(path, play):
            subscription = Events(connection.caller("x")).subscribe()
            assert await drain(subscription, 1) == [1]
            gone.set()
            with pytest.raises(ConnectionLostError):
                await anext(subscription)
            await subscription.aclose()
            await connection.aclose()


async def test_closing_the_client_is_told(exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with serving(exchange) as served, Events(served.caller).subscribe() as subscription:
            await served.caller.connection.aclose()
            with pytest.raises(ClientClosedError):
                await anext(subscription)


async def test_an_error_of_the_stream_has_its_class(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            exchange.end(GRPCError(Status.PERMISSION_DENIED, "not any more"))
            with pytest.raises(PermissionDeniedError, match="not any more"):
                await anext(subscription)


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "iterated"])
async def test_a_refused_stream_is_told(events: Events, exchange: Exchange, entered: bool) -> None:
    exchange.refusal = GRPCError(
        Status.UNKNOWN,
        "subscription error: failed parsing subscription filters: filters: parse error: unknown",
    )
    subscription = events.subscribe()
    with anyio.fail_after(60), pytest.raises(InvalidArgumentError, match="parse error"):
        await (subscription.__aenter__() if entered else anext(subscription))


async def test_a_bug_is_told_to_the_reader_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(AbstractAsyncContextManager[AsyncIterator[RawEvent]]):
        async def __aenter__(self) -> AsyncIterator[RawEvent]:
            raise ValueError("bug")

        async def __aexit__(self, *exc_info: object) -> None:
            """Never reached."""

    async def publish() -> None:
        """Nobody hears it."""

    subscription = Subscription[Event](Broken, publish, resumes=False)
    with anyio.fail_after(60), pytest.raises(ValueError, match="bug"):
        await anext(subscription)
    await subscription.aclose()
    assert "'subscription' crashed" in caplog.text


async def test_where_publish_is_refused_it_cannot_be_entered(events: Events, exchange: Exchange) -> None:
    """Nobody could say whether it is live."""

    async def refuse(request: object, /) -> None:
        raise GRPCError(Status.PERMISSION_DENIED, "no publishing here")

    exchange.publish = refuse  # type: ignore[method-assign, assignment]
    async with exchanging(exchange) as others:
        with anyio.fail_after(60):
            subscription = others.subscribe()
            with pytest.raises(PermissionDeniedError, match="no publishing here"):
                await subscription.__aenter__()
            await exchange.until_open(0)


@pytest.mark.parametrize("hangs", [True, False], ids=["publish hangs", "nothing comes back"])
async def test_a_stream_that_does_not_get_live_is_given_up(
    events: Events, exchange: Exchange, hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "PATIENCE", 0.05)
    exchange.publish_hangs = hangs
    exchange.lost_at_first = 1000
    with anyio.fail_after(60):
        given_up = events.subscribe()
        with pytest.raises(DeadlineExceededError, match="not live"):
            await given_up.__aenter__()
        await exchange.until_open(0)


async def test_cancelling_the_entry_leaves_nothing_open(events: Events, exchange: Exchange) -> None:
    exchange.lost_at_first = 1000
    with anyio.fail_after(60):
        subscription = events.subscribe()
        with anyio.move_on_after(0.02) as scope:
            await subscription.__aenter__()
        assert scope.cancelled_caught
        await exchange.until_open(0)


async def test_two_tasks_may_share_one(events: Events, exchange: Exchange) -> None:
    seen: set[int] = set()

    async def read(subscription: Subscription[Event]) -> None:
        async for event in subscription:
            assert isinstance(event.payload, TaskStart)
            seen.add(event.payload.pid)
            if len(seen) == 20:
                await subscription.aclose()

    with anyio.fail_after(60):
        async with events.subscribe() as subscription, anyio.create_task_group() as group:
            group.start_soon(read, subscription)
            group.start_soon(read, subscription)
            await wait_all_tasks_blocked()
            for pid in range(20):
                exchange.send("/tasks/start", TaskStart("web", pid))
    assert seen == set(range(20))


async def test_dropping_it_ends_the_stream(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        subscription = events.subscribe()
        await subscription.__aenter__()
        del subscription
        await exchange.until_open(0)


async def test_dropping_it_in_another_thread_ends_the_stream(events: Events, exchange: Exchange) -> None:
    """The collector runs finalisers in whichever thread it comes to run."""
    with anyio.fail_after(60):
        holder = [events.subscribe()]
        await holder[0].__aenter__()
        await asyncio.to_thread(holder.clear)
        await exchange.until_open(0)


def test_one_that_outlives_its_loop_does_no_harm() -> None:
    kept: list[Subscription[Event]] = []

    async def main() -> None:
        async with exchanging(Exchange()) as events:
            kept.append(events.subscribe())
            await kept[0].__aenter__()
            await checkpoint()

    asyncio.run(main())
    kept.clear()
    gc.collect()
