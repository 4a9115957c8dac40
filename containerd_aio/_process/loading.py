"""A process that somebody has made: its exit is followed, and its streams are connected to.

An exec whose start has failed looks like one that was never started. It must be told apart: a second Start makes its
shim panic, and the container dies with it (seen on containerd 1.6.20, 1.7.24 and 2.1.9). Of the former the shim
answers Wait at once, with no time; of the latter it does not answer before it has run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey
from containerd_aio._session import Session
from containerd_aio.errors import ContainerdError, NotFoundError, StartFailedError
from containerd_aio.stdio import OpenStdio, Stdio, null
from containerd_aio.types import ProcessRecord, ProcessState

P = TypeVar("P")

_MOMENTS = 0.25


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
        answer = await _answer(session, key)
        opened = await (stdio or null()).attach(answer)
    except BaseException:
        exits.discard(record)
        raise
    record = exits.loaded(record, answer)
    process = make(record, opened)
    try:
        if answer.status.state is not ProcessState.CREATED:
            await opened.started()
        elif key.exec_id and record.phase is Phase.CREATED and await _has_failed(session, key):
            record.start_failed(StartFailedError(f"{key} was started before, and that has failed"))
    except BaseException:
        await opened.aclose(unlink=False)
        raise
    return process


async def _answer(session: Session, key: ProcessKey) -> ProcessRecord:
    try:
        return await session.services.tasks.get(*key)
    except NotFoundError as error:
        lack = f"container '{key.container_id}' has no task: new_task() makes one"
        if key.exec_id:
            lack = f"task '{key.container_id}' has no exec '{key.exec_id}': exec() adds one"
        raise error.reworded(lack) from error


async def _has_failed(session: Session, key: ProcessKey) -> bool:
    """Tell whether the start of an exec has failed, as far as containerd says so within moments."""
    with anyio.move_on_after(_MOMENTS):
        try:
            return (await session.services.tasks.wait(*key)).exited_at_ns is None
        except ContainerdError:
            pass  # whoever loads it will hear of that by the next call
    return False
