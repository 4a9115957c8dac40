"""A process that somebody has made: its exit is followed, and its streams are connected to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from containerd_aio._exits.record import ExitRecord, ProcessKey
from containerd_aio._session import Session
from containerd_aio.stdio import OpenStdio, Stdio, null
from containerd_aio.types import ProcessState

P = TypeVar("P")


async def load(
    session: Session,
    key: ProcessKey,
    stdio: Stdio | None,
    make: Callable[[ExitRecord, OpenStdio], P],
) -> P:
    """Return what ``make`` makes of a process that exists, connected as ``stdio`` says.

    :raises NotFoundError: if there is no such process, or a FIFO of its is gone that is to be connected to
    """
    exits = session.exits
    await exits.attached()
    record = exits.track(*key)
    try:
        answer = await session.services.tasks.get(*key)
        opened = await (stdio or null()).attach(answer)
    except BaseException:
        exits.discard(record)
        raise
    process = make(exits.loaded(record, answer), opened)
    if answer.status.state is not ProcessState.CREATED:
        await _started_or_closed(opened)
    return process


async def _started_or_closed(opened: OpenStdio) -> None:
    """Begin to use the streams of a process that runs already; if that fails, let them go."""
    try:
        await opened.started()
    except BaseException:
        await opened.aclose(unlink=False)
        raise
