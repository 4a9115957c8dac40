"""Deadlines and cancellations of the caller work as ever after a call was ended by something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from h2.errors import ErrorCodes

from containerd_aio._api.containerd.services.version.v1 import VersionResponse
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import ConnectionLostError, ContainerdError, DeadlineExceededError
from tests.transport.peer import Peer, listening, silent

Failing = Callable[[], Awaitable[None]]


async def drops(peer: Peer) -> None:
    peer.begin()
    await peer.request()
    peer.drop()


async def resets(peer: Peer) -> None:
    peer.begin()
    while True:
        peer.reset(await peer.request(), ErrorCodes.INTERNAL_ERROR)


async def goes_away(peer: Peer) -> None:
    peer.begin()
    stream = await peer.request()
    peer.h2.close_connection(ErrorCodes.INTERNAL_ERROR, last_stream_id=stream)
    peer.flush()
    await peer.reader.read()


@pytest.fixture(
    params=[
        pytest.param((drops, ConnectionLostError), id="lost"),
        pytest.param((resets, ConnectionLostError), id="reset"),
        pytest.param((goes_away, ConnectionLostError), id="goaway"),
        pytest.param((silent, DeadlineExceededError), id="deadline"),
    ]
)
async def failing(
    request: pytest.FixtureRequest, connect: Callable[..., Connection], socket_path: Path
) -> AsyncIterator[Failing]:
    """Make a call that fails in one of the ways a call can, and catch its error."""
    play, cls = request.param

    async def fail() -> None:
        caller = connection.caller("x")
        error: type[ContainerdError] = cls
        with pytest.raises(error):
            await caller.unary("a.B/C", Empty(), VersionResponse, quick=True)

    async with listening(socket_path, play):
        connection = connect()
        if play is silent:
            await connection.connect()  # which takes its time, too
            connection.rpc_timeout = 0.05
        yield fail
        await connection.aclose()


async def fails_and_waits(failing: Failing) -> None:
    await failing()
    await anyio.sleep_forever()


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_no_cancellation_is_left_on_the_task(failing: Failing) -> None:
    for _ in range(3):
        await failing()
        assert cancelling() == 0


async def test_fail_after_raises_timeout_error(failing: Failing) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.3):
        await fails_and_waits(failing)
    assert cancelling() == 0


async def test_move_on_after_moves_on(failing: Failing) -> None:
    with anyio.move_on_after(0.3) as scope:
        await fails_and_waits(failing)
    assert scope.cancelled_caught
    assert cancelling() == 0


async def test_asyncio_timeout_raises_timeout_error(failing: Failing) -> None:
    async def limited() -> None:
        async with asyncio.timeout(0.3):
            await fails_and_waits(failing)

    with pytest.raises(TimeoutError):
        await limited()
    assert cancelling() == 0


async def test_only_the_inner_scope_ends(failing: Failing) -> None:
    with anyio.fail_after(60) as outer:
        with anyio.move_on_after(0.3) as inner:
            await fails_and_waits(failing)
        await failing()
    assert inner.cancelled_caught
    assert not outer.cancelled_caught


async def test_siblings_go_on(failing: Failing) -> None:
    finished: list[str] = []

    async def sibling() -> None:
        await anyio.sleep(0.1)
        finished.append("sibling")

    async def caller() -> None:
        await failing()
        finished.append("caller")

    async with anyio.create_task_group() as group:
        group.start_soon(sibling)
        group.start_soon(caller)
    assert sorted(finished) == ["caller", "sibling"]
    assert cancelling() == 0


async def test_a_cancelled_task_ends_cancelled(failing: Failing) -> None:
    failed = anyio.Event()

    async def work() -> None:
        await failing()
        failed.set()
        await anyio.sleep_forever()

    task = asyncio.create_task(work())
    with anyio.fail_after(60):
        await failed.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
