"""A task's freezer: to stop all its processes where they are, and let them go on.

Only a task can be frozen, its execs with it. Under cgroup v1 a frozen process does not even die: SIGKILL waits until
it is thawed. (runc thaws a container that it is to kill; an exec is killed by its shim, which does not.)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from containerd_aio._process.calls import ProcessCalls
from containerd_aio._refusal import state_named
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.types import ProcessState

FROZEN: Final = frozenset({ProcessState.PAUSED, ProcessState.PAUSING})

_RUNNING: Final = frozenset({ProcessState.RUNNING})
_PAUSED: Final = frozenset({ProcessState.PAUSED})


class Freezer:
    """Freezes a task and thaws it."""

    def __init__(self, calls: ProcessCalls) -> None:
        self._calls = calls

    async def freeze(self) -> None:
        """Freeze the task.

        :raises FailedPreconditionError: if it does not run
        """
        calls = self._calls
        ways = {ProcessState.PAUSED: "it stays so until resume()"}
        async with state_named("it cannot be paused", calls.name, calls.status, allowed=_RUNNING, ways=ways):
            await calls.session.services.tasks.pause(calls.key().container_id)

    async def thaw(self) -> None:
        """Thaw the task.

        :raises FailedPreconditionError: if it is not paused
        """
        calls = self._calls
        ways = {ProcessState.RUNNING: "only a paused task can be resumed"}
        async with state_named("it cannot be resumed", calls.name, calls.status, allowed=_PAUSED, ways=ways):
            await calls.session.services.tasks.resume(calls.key().container_id)

    async def thaw_if_frozen(self) -> None:
        """Thaw the task if it is frozen; that it has ended or thawed meanwhile is no error."""
        try:
            state = (await self._calls.status()).state
            while state is ProcessState.UNKNOWN:  # after 2 s: the shim is at a checkpoint that was given up
                state = (await self._calls.status()).state
            if state in FROZEN:
                await self.thaw()
        except (NotFoundError, FailedPreconditionError):
            pass

    @asynccontextmanager
    async def frozen(self) -> AsyncGenerator[None]:
        """Block in which the task is frozen; afterwards it is as it was found."""
        ours = False

        async def freeze() -> None:
            nonlocal ours
            if await self._is_frozen():
                return
            ours = True
            try:
                await self.freeze()
            except FailedPreconditionError:
                ours = False
                if not await self._is_frozen():  # else somebody else came first, at this moment
                    raise

        error: BaseException | None = None
        try:
            await completed(freeze)  # one that is given up in the middle may freeze the task later
            yield
        except BaseException as problem:
            error = problem
            raise
        finally:
            if ours:
                await cleaned_up(self.thaw_if_frozen, error, f"{self._calls.name} could not be resumed")

    async def _is_frozen(self) -> bool:
        return (await self._calls.status()).state is ProcessState.PAUSED
