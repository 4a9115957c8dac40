"""A reader that goes on behind losses of a real containerd: killed, stopped, frozen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from containerd_aio import Client
from containerd_aio.errors import ConnectionLostError
from containerd_aio.events import Event, Gap, TaskStart
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services.events import Subscription
from tests.integration.conftest import crash
from tests.integration.host import frozen

pytestmark = pytest.mark.integration

Resuming = Subscription[Event | Gap]


@pytest.fixture
async def client(daemon_of_its_own: PrivateDaemon) -> AsyncIterator[Client]:
    async with daemon_of_its_own.client() as client:
        yield client


async def publish(client: Client, number: int) -> None:
    await client.events.publish("/example/start", TaskStart("web", number))


async def number(subscription: Resuming) -> int:
    """What the next item was published with; a gap is a failure."""
    event = await anext(subscription)
    assert isinstance(event, Event), event
    assert isinstance(event.payload, TaskStart)
    return event.payload.pid


async def gap(subscription: Resuming) -> Gap:
    """The next item, which must be a gap."""
    found = await anext(subscription)
    assert isinstance(found, Gap), found
    return found


async def restart(daemon: PrivateDaemon, how: str) -> None:
    if how == "killed":
        daemon.kill()
    else:
        await daemon.stop()
    await daemon.start()


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_each_restart_is_one_gap_between_what_came_before_and_what_comes_after(
    daemon_of_its_own: PrivateDaemon, client: Client, how: str
) -> None:
    """What is published once the gap was met is always seen."""
    with anyio.fail_after(60):
        async with client.events.subscribe('topic=="/example/start"', on_gap="resume") as events:
            last_until = 0
            for round in range(3):
                await publish(client, 2 * round)
                assert await number(events) == 2 * round
                await restart(daemon_of_its_own, how)
                missing = await gap(events)
                assert last_until < missing.since_ns < missing.until_ns
                last_until = missing.until_ns
                await publish(client, 2 * round + 1)
                assert await number(events) == 2 * round + 1


async def test_events_that_wait_for_the_reader_stand_before_the_gap(
    daemon_of_its_own: PrivateDaemon, client: Client
) -> None:
    with anyio.fail_after(60):
        async with (
            client.events.subscribe('topic=="/example/start"', on_gap="resume") as late,
            client.events.subscribe('topic=="/example/start"', on_gap="resume") as early,
        ):
            for pid in (1, 2):
                await publish(client, pid)
                assert await number(early) == pid
            await restart(daemon_of_its_own, "killed")
            await gap(early)
            assert [await number(late), await number(late)] == [1, 2]
            await gap(late)
            await publish(client, 3)
            assert [await number(early), await number(late)] == [3, 3]


@pytest.mark.parametrize("entered", [True, False], ids=["entered", "iterated"])
async def test_a_frozen_daemon_is_no_gap(
    daemon_of_its_own: PrivateDaemon, client: Client, entered: bool
) -> None:
    events = client.events.subscribe('topic=="/example/start"', on_gap="resume")
    with anyio.fail_after(60):
        try:
            if entered:
                await events.__aenter__()
            else:
                await heard(client, events)
            await publish(client, 1)
            assert await number(events) == 1
            with frozen(daemon_of_its_own.pid):
                publishing = asyncio.create_task(publish(client, 2))
                with anyio.move_on_after(0.5) as scope:
                    await number(events)
                assert scope.cancelled_caught
            await publishing
            assert await number(events) == 2
        finally:
            await events.aclose()


async def heard(client: Client, events: Resuming) -> None:
    """Publish until one event comes, and take all of them: it is live."""
    sent, seen = 1000, 0
    while not seen:
        sent += 1
        await publish(client, sent)
        with anyio.move_on_after(0.1):
            seen = await number(events)
    while seen != sent:
        seen = await number(events)


async def test_a_reader_that_was_not_entered_survives_too(
    daemon_of_its_own: PrivateDaemon, client: Client
) -> None:
    events = client.events.subscribe('topic=="/example/start"', on_gap="resume")
    with anyio.fail_after(60):
        await heard(client, events)
        for pid in (1, 2):
            await restart(daemon_of_its_own, "killed")
            assert isinstance((await gap(events)).error, ConnectionLostError)
            await publish(client, pid)
            assert await number(events) == pid
        await events.aclose()


async def test_it_is_closed_while_there_is_no_daemon(
    daemon_of_its_own: PrivateDaemon, client: Client
) -> None:
    """Descriptors and tasks that were left would be found behind the test."""
    with anyio.fail_after(60):
        async with client.events.subscribe(on_gap="resume") as events:
            await crash(daemon_of_its_own)
            with anyio.move_on_after(0.1) as scope:
                await anext(events)
            assert scope.cancelled_caught
