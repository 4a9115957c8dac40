"""A reader that goes on behind a loss: one gap for each, none in silence, and nothing left when it is closed."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import assert_type

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from grpclib import GRPCError, Status
from grpclib.server import Server

from containerd_aio._api.containerd.types import Envelope
from containerd_aio._transport.address import Address
from containerd_aio._transport.codec import Codec
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.convert import to_any
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    EventsLostError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
    UnknownError,
)
from containerd_aio.events import Event, Gap, TaskStart, encode
from containerd_aio.services.events import Events, RawEvent, Subscription, feed
from tests.services.events.exchange import Exchange, exchanging
from tests.services.serving import serving
from tests.transport.peer import Peer, listening

Resuming = Subscription[Event | Gap]


async def pids(subscription: Resuming, count: int) -> list[int]:
    """The pids of the next so many starts; a gap among them is a failure."""
    found: list[int] = []
    for _ in range(count):
        event = await anext(subscription)
        assert isinstance(event, Event)
        assert isinstance(event.payload, TaskStart)
        found.append(event.payload.pid)
    return found


async def gap(subscription: Resuming) -> Gap:
    """The next item, which must be a gap."""
    found = await anext(subscription)
    assert isinstance(found, Gap)
    return found


def start(exchange: Exchange, pid: int) -> None:
    exchange.send("/tasks/start", TaskStart("web", pid))


async def test_types_tell_whether_gaps_come(events: Events) -> None:
    assert_type(events.subscribe(), Subscription[Event])
    assert_type(events.subscribe("topic", on_gap="raise"), Subscription[Event])
    assert_type(events.subscribe("topic", on_gap="resume"), Subscription[Event | Gap])


async def test_there_are_two_ways_to_meet_a_gap(events: Events) -> None:
    with pytest.raises(InvalidArgumentError, match="'ignore'"):
        events.subscribe(on_gap="ignore")  # type: ignore[call-overload]


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "iterated"])
@pytest.mark.parametrize(
    ("error", "cls"),
    [
        pytest.param(None, ConnectionLostError, id="in good order"),
        pytest.param(GRPCError(Status.UNAVAILABLE, "stopping"), UnavailableError, id="unavailable"),
        pytest.param(GRPCError(Status.UNKNOWN, "a bug"), UnknownError, id="unknown"),
    ],
)
async def test_a_stream_that_is_ended_is_a_gap_between_its_events_and_the_next(
    events: Events, exchange: Exchange, error: GRPCError | None, cls: type[ContainerdError], entered: bool
) -> None:
    before = time.time_ns()
    subscription = events.subscribe(on_gap="resume")
    with anyio.fail_after(60):
        if entered:
            await subscription.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(_start_when_open, exchange, 1)
            assert await pids(subscription, 1) == [1]
        for pid in (2, 4):
            start(exchange, pid)
            exchange.end(error)
            assert await pids(subscription, 1) == [pid]
            missing = await gap(subscription)
            assert isinstance(missing.error, cls)
            assert before < missing.since_ns < missing.until_ns < time.time_ns()
            assert missing.error.__traceback__ is None  # its frames would keep the old stream
            before = missing.until_ns
            start(exchange, pid + 1)
            assert await pids(subscription, 1) == [pid + 1]
        await subscription.aclose()
        await exchange.until_open(0)
    assert bool(exchange.published) is entered


async def _start_when_open(exchange: Exchange, pid: int) -> None:
    await exchange.until_open(1)
    start(exchange, pid)


async def test_the_gap_comes_when_the_new_stream_is_live(events: Events, exchange: Exchange) -> None:
    """Who asks for the state when it meets the gap must not miss what happens after the answer."""
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.lost_at_first = len(exchange.published) + 4
            exchange.end()
            await gap(subscription)
            assert len(exchange.published) > exchange.lost_at_first
            await events.publish("/tasks/start", TaskStart("web", 1))
            assert await pids(subscription, 1) == [1]


async def test_any_event_proves_that_the_stream_is_live(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.lost_at_first = 10_000
            exchange.end()
            await exchange.until_open(0)
            await exchange.until_open(1)
            start(exchange, 1)
            await gap(subscription)
            assert await pids(subscription, 1) == [1]


@pytest.mark.parametrize(
    "refusal",
    [GRPCError(Status.PERMISSION_DENIED, "read only"), GRPCError(Status.UNIMPLEMENTED, "no such call")],
    ids=["denied", "unimplemented"],
)
async def test_where_publish_is_refused_by_now_it_goes_on_unproved(
    events: Events, exchange: Exchange, refusal: GRPCError
) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.publish_refusal = refusal
            exchange.end()
            assert isinstance((await gap(subscription)).error, ConnectionLostError)
            start(exchange, 1)
            assert await pids(subscription, 1) == [1]


async def test_where_no_knock_comes_back_it_goes_on_unproved(
    events: Events, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PATIENCE", 0.05)
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.lost_at_first = 10_000
            exchange.end()
            await gap(subscription)
            start(exchange, 1)
            assert await pids(subscription, 1) == [1]


async def test_where_publish_is_refused_from_the_start_it_cannot_be_entered(
    events: Events, exchange: Exchange
) -> None:
    exchange.publish_refusal = GRPCError(Status.PERMISSION_DENIED, "read only")
    with anyio.fail_after(60):
        with pytest.raises(PermissionDeniedError, match="read only"):
            await events.subscribe(on_gap="resume").__aenter__()
        await exchange.until_open(0)


async def test_failed_tries_to_come_back_belong_to_the_same_gap(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.refusal = GRPCError(Status.UNAVAILABLE, "starting")
            exchange.end()
            while len(exchange.subscribed) < 4:
                await wait_all_tasks_blocked()
            exchange.refusal = None
            missing = await gap(subscription)
            assert isinstance(missing.error, ConnectionLostError)
            start(exchange, 1)
            assert await pids(subscription, 1) == [1]


async def test_gaps_that_the_reader_did_not_come_to_are_one(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            start(exchange, 1)
            for error in (GRPCError(Status.UNAVAILABLE, "first"), GRPCError(Status.UNAVAILABLE, "second")):
                exchange.end(error)
                await exchange.until_open(0)
                await exchange.until_open(1)
                async with events.subscribe():
                    """Published, and so seen by the other reader as well: it is live again."""
            start(exchange, 2)
            assert await pids(subscription, 1) == [1]
            assert (await gap(subscription)).error.server_message == "first"
            assert await pids(subscription, 1) == [2]


async def test_a_reader_that_lags_gets_a_gap_when_it_has_caught_up(
    events: Events, exchange: Exchange
) -> None:
    """No stream is open meanwhile: it would only be lost again."""
    with anyio.fail_after(60):
        async with events.subscribe(max_lag=3, on_gap="resume") as subscription:
            for pid in range(5):
                start(exchange, pid)
            await exchange.until_open(0)
            assert await pids(subscription, 2) == [0, 1]
            with anyio.move_on_after(0.1):
                await exchange.until_open(1)
            assert exchange.open_streams == 0
            assert await pids(subscription, 1) == [2]
            missing = await gap(subscription)
            assert isinstance(missing.error, EventsLostError)
            start(exchange, 9)
            assert await pids(subscription, 1) == [9]


@pytest.mark.parametrize(
    ("refusal", "cls"),
    [
        pytest.param(GRPCError(Status.PERMISSION_DENIED, "not any more"), PermissionDeniedError, id="denied"),
        pytest.param(
            GRPCError(Status.UNKNOWN, "subscription error: failed parsing subscription filters: unknown"),
            InvalidArgumentError,
            id="filter",
        ),
    ],
)
@pytest.mark.parametrize("when", ["at the end", "on coming back"])
async def test_what_is_refused_for_good_is_raised(
    events: Events, exchange: Exchange, refusal: GRPCError, cls: type[ContainerdError], when: str
) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            exchange.refusal = refusal
            exchange.end(refusal if when == "at the end" else None)
            with pytest.raises(cls):
                await anext(subscription)
            await exchange.until_open(0)


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "iterated"])
async def test_a_failure_of_the_first_stream_is_raised(
    events: Events, exchange: Exchange, entered: bool
) -> None:
    exchange.refusal = GRPCError(Status.UNKNOWN, "some reason")
    subscription = events.subscribe(on_gap="resume")
    with anyio.fail_after(60), pytest.raises(UnknownError, match="some reason"):
        await (subscription.__aenter__() if entered else anext(subscription))
    assert len(exchange.subscribed) == 1


async def test_closing_the_client_is_raised(exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with serving(exchange) as served, Events(served.caller).subscribe(on_gap="resume") as some:
            await served.caller.connection.aclose()
            with pytest.raises(ClientClosedError):
                await anext(some)


async def test_a_bug_is_raised_and_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    opened = 0

    class Broken(AbstractAsyncContextManager[AsyncIterator[RawEvent]]):
        async def __aenter__(self) -> AsyncIterator[RawEvent]:
            nonlocal opened
            opened += 1
            raise ValueError("bug")

        async def __aexit__(self, *exc_info: object) -> None:
            """Never reached."""

    async def publish() -> None:
        """Nobody hears it."""

    subscription = Subscription[Event | Gap](Broken, publish, resumes=True)
    with anyio.fail_after(60), pytest.raises(ValueError, match="bug"):
        await anext(subscription)
    await subscription.aclose()
    assert opened == 1
    assert "'subscription' crashed" in caplog.text


def leave(peer: Peer) -> None:
    """End as a server does that is stopped in good order; the end of the play closes the connection."""
    peer.h2.close_connection()
    peer.flush()


@pytest.mark.parametrize("end", [Peer.drop, leave], ids=["dropped", "GOAWAY"])
async def test_a_connection_that_is_lost_is_a_gap(
    end: Callable[[Peer], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody listens for a while; that it is tried again and again is told once."""

    async def play(peer: Peer) -> None:
        peer.begin()
        stream = await peer.request()
        peer.headers(stream)
        event = to_any(encode(TaskStart("web", 1)))
        peer.message(stream, Envelope(namespace="example", topic="/tasks/start", event=event))
        await peer.writer.drain()
        await gone.wait()
        end(peer)

    caplog.set_level(logging.INFO, "containerd_aio.events")
    gone = anyio.Event()
    with tempfile.TemporaryDirectory(prefix="aio-") as directory, anyio.fail_after(60):
        path = Path(directory) / "socket"
        connection = Connection(Address.parse(str(path)))
        subscription = Events(connection.caller("example")).subscribe(on_gap="resume")
        async with listening(path, play):
            assert await pids(subscription, 1) == [1]
            gone.set()
        with pytest.raises(ConnectionLostError):
            await connection.connect()
        exchange = Exchange()
        server = await _served(exchange, str(path))
        assert isinstance((await gap(subscription)).error, ConnectionLostError)
        start(exchange, 2)
        assert await pids(subscription, 1) == [2]
        await subscription.aclose()
        await connection.aclose()
        server.close()
        await server.wait_closed()
    assert caplog.text.count("subscribing again") == 1


async def _served(exchange: Exchange, path: str) -> Server:
    server = Server([exchange], codec=Codec())
    await server.start(path=path)
    return server


@pytest.mark.parametrize("moment", ["pausing", "knocking", "lagging"])
async def test_it_can_be_closed_at_any_time(events: Events, exchange: Exchange, moment: str) -> None:
    seen: list[Event | Gap] = []

    async def read(subscription: Resuming) -> None:
        seen.extend([item async for item in subscription])

    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume", max_lag=1) as subscription:
            match moment:
                case "pausing":
                    exchange.refusal = GRPCError(Status.UNAVAILABLE, "starting")
                    exchange.end()
                    while len(exchange.subscribed) < 3:
                        await wait_all_tasks_blocked()
                case "knocking":
                    exchange.publish_hangs = True
                    exchange.end()
                    await exchange.until_open(0)
                    await exchange.until_open(1)
                case _:
                    start(exchange, 1)
                    start(exchange, 2)
                    await exchange.until_open(0)
            async with anyio.create_task_group() as group:
                if moment != "lagging":
                    group.start_soon(read, subscription)
                    await wait_all_tasks_blocked()
                await subscription.aclose()
        await exchange.until_open(0)
    assert seen == []


async def test_cancelling_a_step_loses_neither_event_nor_gap(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(on_gap="resume") as subscription:
            for pid in range(1, 6):
                exchange.end()
                while True:
                    with anyio.move_on_after(0.001):
                        await gap(subscription)
                        break
                start(exchange, pid)
                assert await pids(subscription, 1) == [pid]


async def test_dropping_it_while_it_comes_back_leaves_nothing_open(exchange: Exchange) -> None:
    async with exchanging(exchange) as events:
        with anyio.fail_after(60):
            subscription = events.subscribe(on_gap="resume")
            await subscription.__aenter__()
            exchange.lost_at_first = 10_000
            exchange.end()
            await exchange.until_open(0)
            await exchange.until_open(1)
            del subscription
            await exchange.until_open(0)


async def test_it_is_entered_once_and_before_it_is_read(events: Events, exchange: Exchange) -> None:
    with anyio.fail_after(60):
        async with events.subscribe() as subscription:
            with pytest.raises(RuntimeError, match="in use"):
                await subscription.__aenter__()
            start(exchange, 1)
            await anext(subscription)
