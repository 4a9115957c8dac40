"""A task's freezer: to stop all its processes where they are, and let them go on.

Only a task can be frozen, its execs with it. Blocks that freeze one may overlap, so those of a client share a
``Freeze``: the first one freezes, and the last one thaws. Under cgroup v1 a frozen process does not even die: SIGKILL
waits until it is thawed. (runc thaws a container that it is to kill; an exec is killed by its shim, which does not.)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Final

import anyio

from containerd_aio._process.calls import ProcessCalls
from containerd_aio._refusal import state_named
from containerd_aio._session import Freeze
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import ConnectionLostError, FailedPreconditionError, NotFoundError
from containerd_aio.types import ProcessState

FROZEN: Final = frozenset({ProcessState.PAUSED, ProcessState.PAUSING})

_RUNNING: Final = frozenset({ProcessState.RUNNING})
_PAUSED: Final = frozenset({ProcessState.PAUSED})
# How soon a daemon that cannot be reached is asked again.
_AGAIN_SECONDS: Final = 0.1


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
            await calls.session.services.tasks.pause((await calls.own_key()).container_id)

    async def thaw(self) -> None:
        """Thaw the task.

        :raises FailedPreconditionError: if it is not paused
        """
        calls = self._calls
        ways = {ProcessState.RUNNING: "only a paused task can be resumed"}
        async with state_named("it cannot be resumed", calls.name, calls.status, allowed=_PAUSED, ways=ways):
            await calls.session.services.tasks.resume((await calls.own_key()).container_id)

    async def thaw_if_frozen(self) -> None:
        """Thaw the task if it is frozen; that it has ended or thawed meanwhile is no error.

        The state is not asked first: the shim of a checkpoint that was given up does not tell it. But it takes this
        call, and does what it says when CRIU is done, also if that is later than anybody waits here.
        """
        with suppress(NotFoundError, FailedPreconditionError):
            await self.thaw()

    @asynccontextmanager
    async def frozen(self) -> AsyncGenerator[None]:
        """Block in which the task is frozen; afterwards it is as it was found, when the last such block has ended."""
        freeze = self._freeze()
        freeze.holders += 1
        error: BaseException | None = None
        try:
            async with freeze.lock:
                # One that is given up in the middle may freeze the task later.
                await completed(partial(self._freeze_for, freeze))
            yield
        except BaseException as problem:
            error = problem
            raise
        finally:
            freeze.holders -= 1
            if freeze.ours and not freeze.holders:
                thaw = partial(self._thaw_after, freeze)
                await cleaned_up(thaw, error, f"{self._calls.name} could not be resumed")

    def _freeze(self) -> Freeze:
        freezes, record = self._calls.session.freezes, self._calls.record
        freeze = freezes.get(record)
        if freeze is None:
            freeze = freezes[record] = Freeze()
        return freeze

    async def _freeze_for(self, freeze: Freeze) -> None:
        if await self._is_frozen():
            return
        found, freeze.ours = freeze.ours, True
        try:
            await self.freeze()
        except FailedPreconditionError:
            freeze.ours = found
            if not await self._is_frozen():  # else somebody else came first, at this moment
                raise

    async def _thaw_after(self, freeze: Freeze) -> None:
        """Thaw it unless another block has begun meanwhile; where containerd restarts, that is waited for."""
        async with freeze.lock:
            while freeze.ours and not freeze.holders:
                try:
                    await self.thaw_if_frozen()
                except ConnectionLostError:
                    await anyio.sleep(_AGAIN_SECONDS)
                else:
                    freeze.ours = False

    async def _is_frozen(self) -> bool:
        return (await self._calls.status()).state is ProcessState.PAUSED
