"""Many processes that end at once, each with several waits, while containerd is killed and comes back.

The driver does what an application would have to do: it repeats what a lost connection left in doubt. Each code
that a wait gives is held against the status that containerd tells, before the process is deleted.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
import pytest

from containerd_aio import (
    AlreadyExistsError,
    Client,
    ConnectionLostError,
    Container,
    FailedPreconditionError,
    NotFoundError,
    Process,
    ProcessLostError,
    ProcessState,
    Task,
)
from containerd_aio._exits.witness import supported as witness_supported
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.types import ExitStatus
from tests.integration.test_exits import SLEEP, image_in

T = TypeVar("T")


async def repeated(call: Callable[[], Awaitable[T]]) -> T:
    """Call until containerd is there to answer."""
    while True:
        try:
            return await call()
        except ConnectionLostError:
            await anyio.sleep(0.05)


@dataclass
class Churn:
    """Runs processes that end at once, in some containers and as tasks of their own, and counts what went wrong."""

    client: Client
    hosts: Sequence[Task]
    containers: Sequence[Container]
    restarted: int = 0
    ended: int = 0
    waits: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    woken: Counter[asyncio.Future[ExitStatus]] = field(default_factory=Counter)

    async def run(self, count: int, *, at_once: int) -> None:
        numbers = iter(range(count))
        free = list(self.containers)

        async def work() -> None:
            for number in numbers:
                if number % 20 == 19:
                    container = free.pop()
                    await self._one(number, partial(self._new_task, container))
                    free.append(container)
                else:
                    await self._one(number, partial(self._exec, number))
                self.ended += 1

        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(work)

    async def _one(self, number: int, make: Callable[[int], Awaitable[Process]]) -> None:
        """Make, start and delete a process, with three waits, of which one is cancelled."""
        for attempt in itertools.count():
            process = await make(attempt)
            waits = [process.wait() for _ in range(3)]
            if await self._started(process):
                break
            await self._deleted(process.delete)
            _, pending = await asyncio.wait(waits, timeout=120)
            self.lost += [f"{process.name}, which never ran: not told" for _ in pending]
        self.waits += 2
        for wait in waits[1:]:
            wait.add_done_callback(self._count)
        waits[0].cancel()
        done, pending = await asyncio.wait(waits[1:], timeout=120)
        self.lost += [f"{process.name}: not told" for _ in pending]
        for wait in done:
            error = wait.exception()
            if error is not None and not self._may_be_forgotten(process, error):
                self.lost.append(f"{process.name}: {error}")
            elif error is None:
                await self._compare(process, wait.result(), 0 if number % 5 else number % 100)
        await self._deleted(process.delete)

    def _may_be_forgotten(self, process: Process, error: BaseException) -> bool:
        """Where no witness is to be had, a task that ended shortly before a restart is told as lost, and why."""
        told = isinstance(error, ProcessLostError) and "while containerd was down" in str(error)
        return told and isinstance(process, Task) and not witness_supported()

    def _count(self, future: asyncio.Future[ExitStatus]) -> None:
        self.woken[future] += 1

    async def _exec(self, number: int, attempt: int) -> Process:
        host = self.hosts[number % len(self.hosts)]
        id = f"ps-{number}-{attempt}"  # one whose Start was cut short leaves a file of its id behind
        args = ["true"] if number % 5 else ["sh", "-c", f"exit {number % 100}"]
        while True:
            try:
                return await repeated(partial(host.exec, id, args))
            except AlreadyExistsError:  # an earlier try had come through
                await self._deleted(partial(self.client.tasks.delete_process, host.id, id))

    async def _new_task(self, container: Container, _attempt: int) -> Process:
        while True:
            try:
                return await repeated(container.new_task)
            except AlreadyExistsError:  # made, or half-made and not even to be asked for
                await self._deleted(partial(self.client.tasks.delete, container.id))

    async def _deleted(self, delete: Callable[[], Awaitable[object]]) -> None:
        try:
            await repeated(delete)
        except NotFoundError:
            pass

    async def _started(self, process: Process) -> bool:
        """Start it; tell whether it ran. An exec whose Start was cut short has to be made anew, by another id.

        A shim (of containerd 1.6.20, 1.7.24 and 2.1.9) panics when it is started again: it closes the channel of
        those that wait when Start fails, and a second time when Start fails again, or at the exit.
        """
        while True:
            try:
                await process.start()
                return True
            except ConnectionLostError:
                try:
                    created = (await repeated(process.status)).state is ProcessState.CREATED
                except NotFoundError:
                    return True  # it ran, and was forgotten
                if not created:
                    return True
                if not isinstance(process, Task):
                    with pytest.raises(FailedPreconditionError):
                        await process.start()
                    return False

    async def _compare(self, process: Process, told: ExitStatus, expected: int) -> None:
        exec_id = process.id if process.id != process.container_id else ""
        try:
            answer = await repeated(partial(self.client.tasks.get, process.container_id, exec_id))
        except NotFoundError:
            if not self.restarted:
                self.wrong.append(f"{process.name}: {told}, and containerd knows of none")
            return
        status = answer.status.exit_status
        same = status is not None and told.code == status.code
        if (
            not same
            or told.code != expected
            or told.exited_at_ns not in (None, status and status.exited_at_ns)
        ):
            self.wrong.append(f"{process.name}: {told} instead of {status}")


async def churn(daemon: PrivateDaemon, archive: bytes, *, count: int, kills: int) -> Churn:
    """Run ``count`` processes, 32 at a time; containerd is killed meanwhile, and is away for a moment each time."""
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        hosts: list[Task] = []
        for number in range(4):
            container = await client.new_container(f"host-{number}", image=image, args=SLEEP)
            hosts.append(await container.new_task())
            await hosts[-1].start()
        containers = [
            await client.new_container(f"own-{number}", image=image, args=["true"])
            for number in range(min(32, count // 20))
        ]
        run = Churn(client, hosts, containers)

        async def kill() -> None:
            for number in range(1, kills + 1):
                while run.ended < number * count // (kills + 1):  # noqa: ASYNC110 (there is no event of it)
                    await anyio.sleep(0.005)
                daemon.kill()
                run.restarted += 1
                await anyio.sleep(0.1 * number)
                await daemon.start()

        began = time.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            await run.run(count, at_once=32)
        print(
            f"{count} processes, {kills} kills: {time.monotonic() - began:.1f} s, lost {len(run.lost)}, ",
            end="",
        )
        print(f"wrong {len(run.wrong)}, waits {run.waits}, woken {sum(run.woken.values())}")
        return run


def assert_all_were_told(run: Churn, count: int) -> None:
    assert run.ended == count
    assert run.lost == []
    assert run.wrong == []
    assert run.waits == 2 * count
    assert len(run.woken) == run.waits
    assert set(run.woken.values()) == {1}
