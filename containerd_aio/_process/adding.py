"""Adding an exec to a task: all of it, with its streams and its exit followed, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from containerd_aio._exits.record import ExitRecord, Phase
from containerd_aio._opening import open_stdio
from containerd_aio._process.calls import ProcessCalls
from containerd_aio._refusal import state_named
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio._transport.typeurl import PROCESS, json_any
from containerd_aio.errors import AlreadyExistsError, NotFoundError
from containerd_aio.spec.schema import Process as ProcessSpec
from containerd_aio.stdio import OpenStdio, Stdio
from containerd_aio.types import ProcessState

P = TypeVar("P")

_TAKES_EXECS: Final = frozenset({ProcessState.CREATED, ProcessState.RUNNING})


async def add_exec(
    task: ProcessCalls,
    id: str,
    spec: ProcessSpec,
    stdio: Stdio,
    make: Callable[[ExitRecord, OpenStdio], P],
) -> P:
    """Add an exec, and return what ``make`` makes of it. If this fails or is cancelled, nothing is left behind.

    :raises AlreadyExistsError: if the task has a process of this id
    :raises FailedPreconditionError: if the task is paused, or has ended
    """
    session, container_id = task.session, (await task.own_key()).container_id
    if (size := stdio.terminal_size()) is not None:
        spec = {"consoleSize": {"width": size[0], "height": size[1]}, **spec}
    document = json_any(PROCESS, spec)
    await session.exits.attached()
    opened = await open_stdio(session, stdio, id, for_exec=True)
    record = session.exits.track(container_id, id)

    async def add() -> None:
        await session.services.tasks.exec(
            container_id,
            id,
            document,
            stdin=opened.stdin_path,
            stdout=opened.stdout_path,
            stderr=opened.stderr_path,
            terminal=opened.terminal,
        )
        session.exits.created(record, 0)

    try:
        async with state_named(f"exec '{id}' cannot be added", task.name, task.status, allowed=_TAKES_EXECS):
            await completed(add)
    except BaseException as error:
        undo = partial(_undo, session, record, opened)
        await cleaned_up(undo, error, f"{record.key} could not be removed")
        if isinstance(error, AlreadyExistsError):
            raise error.reworded(
                f"{task.name} has an exec '{id}' already: take another id, or load_process() and delete() it"
            ) from error
        raise
    return make(record, opened)


async def _undo(session: Session, record: ExitRecord, opened: OpenStdio) -> None:
    try:
        if record.phase is Phase.CREATED:
            record.deleting = True
            await session.services.tasks.delete_process(*record.key)
    except NotFoundError:
        pass  # its task has ended meanwhile
    finally:
        session.exits.discard(record)
        await opened.aclose()
