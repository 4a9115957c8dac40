"""Signals, and ends that come from elsewhere: children of the init, another runc, an init that dies too early."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import AsyncExitStack

import anyio
import pytest

from containerd_aio import (
    Client,
    FailedPreconditionError,
    Image,
    NotFoundError,
    Process,
    ProcessState,
    StartFailedError,
    Task,
    spec,
)
from containerd_aio.types import ExitStatus
from tests.integration.host import name_of, runs
from tests.integration.test_exits import SLEEP, eventually

pytestmark = pytest.mark.integration

FAMILY = ["sh", "-c", "sleep 3600 & sleep 3600 & wait"]


async def family_of(task: Task) -> list[int]:
    """The pids of the task's three processes, once it has them."""
    pids: list[int] = []

    async def complete() -> bool:
        pids[:] = [info.pid for info in await task.pids()]
        return len(pids) == 3 and all(name_of(pid) == "sleep" for pid in pids if pid != task.pid)

    await eventually(complete)
    return pids


@pytest.mark.parametrize(
    ("host_pids", "all"),
    [
        pytest.param(True, True, id="all, with the host's pids"),
        pytest.param(True, False, id="the init, with the host's pids"),
        pytest.param(False, False, id="the init, with pids of its own"),
    ],
)
async def test_a_killed_task_takes_its_children_along(
    client: Client, image: Image, host_pids: bool, all: bool
) -> None:
    options = [spec.host_namespace("pid")] if host_pids else []
    async with (
        await client.new_container("family", image=image, args=FAMILY, options=options) as container,
        await container.new_task() as task,
    ):
        await task.start()
        pids = await family_of(task)
        exited = task.wait()
        await task.kill(all=all)
        with anyio.fail_after(60):
            assert (await exited).code == 137
        await task.delete()

        async def gone() -> bool:
            return not any(runs(pid) for pid in pids)

        await eventually(gone)


async def test_a_signal_to_all_reaches_the_children_too(client: Client, image: Image) -> None:
    """The init lives on: it ignores what its children die of."""
    script = "trap '' TERM; (trap - TERM; exec sleep 3600) & wait; exec sleep 3601"
    async with (
        await client.new_container(
            "deaf", image=image, args=["sh", "-c", script], options=[spec.host_namespace("pid")]
        ) as container,
        await container.new_task() as task,
    ):
        await task.start()

        async def has_a_child() -> bool:
            return any(name_of(info.pid) == "sleep" for info in await task.pids() if info.pid != task.pid)

        await eventually(has_a_child)
        await task.kill("TERM", all=True)

        async def is_alone() -> bool:
            return [info.pid for info in await task.pids()] == [task.pid]

        await eventually(is_alone)
        assert (await task.status()).state is ProcessState.RUNNING


async def test_a_container_that_runc_removed_behind_containerds_back_is_told(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        exited = task.wait()
        root = f"/run/containerd/runc/{client.namespace}"
        delete = ["runc", "--root", root, "delete", "--force", "web"]
        await anyio.to_thread.run_sync(lambda: subprocess.run(delete, check=True))
        with anyio.fail_after(60):
            assert (await exited).code == 137
        with pytest.raises(NotFoundError):
            await task.kill()
        assert await task.delete() == await exited


async def test_an_init_that_is_killed_before_its_start_is_stopped(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        assert (await task.status()).state is ProcessState.CREATED
        exited = task.wait()
        os.kill(task.pid, signal.SIGKILL)
        with anyio.fail_after(60):
            status = await exited
        assert status.code == 137
        assert (await task.status()).state is ProcessState.STOPPED
        with pytest.raises(FailedPreconditionError, match="task 'web' is stopped"):
            await task.start()
        assert await task.delete() == status


async def test_execs_that_come_too_late_for_their_task_are_refused_and_nothing_hangs(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        processes = [await task.exec(f"late-{number}", ["true"]) for number in range(2)]
        waits = [process.wait() for process in processes]
        await task.kill()
        await task.wait()
        with anyio.fail_after(60):
            for process, exited in zip(processes, waits, strict=True):
                with pytest.raises(FailedPreconditionError, match="task 'web' is stopped"):
                    await process.start()
                assert (await process.status()).state is ProcessState.CREATED
                with pytest.raises(FailedPreconditionError, match="task 'web' is stopped"):
                    await exited
                assert await process.delete() is None
        assert (await task.status()).state is ProcessState.STOPPED


async def test_execs_that_race_with_the_end_of_their_task_are_told_one_way_or_the_other(
    client: Client, image: Image
) -> None:
    """Each either ran, and died with the task, or was refused; none is waited for in vain."""
    outcomes: list[int | None] = []

    async def start(process: Process, exited: asyncio.Future[ExitStatus]) -> None:
        try:
            await process.start()
        except (StartFailedError, FailedPreconditionError, NotFoundError):
            await asyncio.wait([exited])
            assert exited.exception() is not None
            outcomes.append(None)
        else:
            outcomes.append((await exited).code)

    async with await client.new_container("web", image=image, args=SLEEP) as container:
        for wait in (0.0, 0.005, 0.02):
            async with AsyncExitStack() as stack:
                task = await stack.enter_async_context(await container.new_task())
                await task.start()
                processes = [
                    await stack.enter_async_context(await task.exec(f"race-{number}", SLEEP))
                    for number in range(4)
                ]
                with anyio.fail_after(60):
                    async with anyio.create_task_group() as group:
                        for process in processes:
                            group.start_soon(start, process, process.wait())
                        await anyio.sleep(wait)
                        await task.kill()
                    assert (await task.wait()).code == 137
    assert len(outcomes) == 12
    assert set(outcomes) <= {None, 137}
