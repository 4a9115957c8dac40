"""A task that lives while its state is taken: that it does, that it stays frozen, and how it is ended afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Protocol

from containerd_aio.errors import (
    CancelledByServerError,
    ConnectionLostError,
    ContainerdError,
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)
from containerd_aio.types import CheckpointOptions, ExitStatus, ProcessState, Status

LIVING: Final = frozenset({ProcessState.RUNNING, ProcessState.PAUSING, ProcessState.PAUSED})
"""The states of a task that has a memory to be written."""

# One that does not die of SIGKILL within that is thawed: cgroup v1, and a runtime that does not see to it.
_DEATH_SECONDS: Final = 1.0
# What they say of a call is not that it was refused: the shim may do it yet.
_UNANSWERED: Final = (
    CancelledByServerError,
    ConnectionLostError,
    DeadlineExceededError,
    UnavailableError,
)


class LivingTask(Protocol):
    """What a task is to its checkpoint."""

    async def status(self) -> Status: ...

    def paused(self) -> AbstractAsyncContextManager[None]: ...

    async def resume(self) -> None: ...

    def wait(self) -> asyncio.Future[ExitStatus]: ...

    async def kill(self, *, all: bool) -> None: ...


def ended_by_criu(options: CheckpointOptions) -> bool:
    """Tell whether CRIU itself is to kill the processes.

    That loses them where what comes after it fails, so it is done only where nothing else will do: a connection must
    not be closed by the end of its process, or its other end would know.
    """
    return options.exit and options.open_tcp


async def check_living(container_id: str, task: LivingTask | None) -> None:
    """Refuse a task that has no memory to take.

    :raises FailedPreconditionError: if it does not run
    """
    subject = f"task '{container_id}'"
    if task is None:
        raise FailedPreconditionError(
            f"container '{container_id}' has no task, so no memory to take: checkpoint(task=False) leaves it out",
            subject=subject,
        )
    state = (await task.status()).state
    if state not in LIVING:
        raise FailedPreconditionError(
            f"{subject} cannot be checkpointed: it is {state}, and only a running or a paused one can be",
            subject=subject,
        )


async def check_frozen(container_id: str, task: LivingTask) -> None:
    """Refuse a task that runs: memory and files would be of two times.

    :raises FailedPreconditionError: if another client, which paused the task first, has resumed it
    """
    if (await task.status()).state is ProcessState.RUNNING:
        raise FailedPreconditionError(
            f"somebody resumed task '{container_id}' while its checkpoint was taken; take another",
            subject=f"task '{container_id}'",
        )


async def end_frozen(task: LivingTask, ending: Callable[[bool], None]) -> None:
    """Kill a frozen task, and wait for its end: nothing in it runs any more.

    ``ending`` is told what `may_end` tells.
    """
    exited = task.wait()
    try:
        with suppress(NotFoundError):  # it has ended
            async with may_end(task, ending):
                await task.kill(all=True)
        while not (await asyncio.wait([exited], timeout=_DEATH_SECONDS))[0]:
            with suppress(ContainerdError):  # it dies, whatever happens to containerd
                await task.resume()
    finally:
        exited.cancel()


@asynccontextmanager
async def may_end(task: LivingTask, ending: Callable[[bool], None]) -> AsyncGenerator[None]:
    """Block with a call that ends a task.

    ``ending`` is told ``True`` before it: from then on the task may have ended; and ``False`` if the call was refused
    and the task lives on. A call that was not answered may be done later.
    """
    ending(True)
    try:
        yield
    except _UNANSWERED:
        raise
    except ContainerdError:
        with suppress(ContainerdError):
            if (await task.status()).state in LIVING:
                ending(False)
        raise
