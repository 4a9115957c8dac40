"""The end of a frozen task: that it is waited for, and what is told of it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from containerd_aio import ConnectionLostError, ExitStatus, InternalError, ProcessState
from containerd_aio._checkpoint.living import end_frozen
from containerd_aio.types import Status


class Frozen:
    """A task that dies of SIGKILL only when it is thawed, as under cgroup v1 where the runtime does not see to it."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self._exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        self._refusal = refusal

    async def status(self) -> Status:
        return Status(ProcessState.PAUSED)

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        yield

    async def resume(self) -> None:
        """Thaw it, but the answer is lost."""
        self._exited.set_result(ExitStatus(137))
        raise ConnectionLostError("gone")

    def wait(self) -> asyncio.Future[ExitStatus]:
        return self._exited

    async def kill(self, *, all: bool) -> None:
        if self._refusal is not None:
            raise self._refusal


async def test_one_that_was_killed_is_thawed_until_it_dies_whatever_happens_to_containerd() -> None:
    told: list[bool] = []
    await end_frozen(Frozen(), told.append)
    assert told == [True]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        pytest.param(InternalError("no"), [True, False], id="refused"),
        pytest.param(ConnectionLostError("gone"), [True], id="not answered"),
    ],
)
async def test_a_kill_tells_whether_it_may_have_ended(refusal: Exception, expected: list[bool]) -> None:
    told: list[bool] = []
    with pytest.raises(type(refusal)):
        await end_frozen(Frozen(refusal), told.append)
    assert told == expected
