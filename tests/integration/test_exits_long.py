"""``wait()`` in numbers: thousands of processes, a hundred tasks, restarts in the middle, long outages."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from containerd_aio import Client, Image, ProcessLostError, Task
from containerd_aio._exits.witness import supported as witness_supported
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.types import ExitStatus
from tests.integration.churn import assert_all_were_told, churn
from tests.integration.conftest import CONTAINERD, crash, private_daemon
from tests.integration.host import freeze, frozen, state_of
from tests.integration.test_exits import SLEEP, ended, eventually, image_in, shim_of, traps

pytestmark = pytest.mark.integration

HERE = "of this machine"
VERSIONS = [HERE, "1.7", "2.1"]


@asynccontextmanager
async def daemon_of(version: str, others: Mapping[str, str]) -> AsyncIterator[PrivateDaemon]:
    async with private_daemon(containerd=CONTAINERD if version == HERE else others[version]) as daemon:
        yield daemon


async def forgets(client: Client) -> bool:
    """Whether this containerd removes, when it starts, the tasks that have ended (from 1.7 on)."""
    return not (await client.version.get()).version.removeprefix("v").startswith("1.6")


def exits_when_told(code: int) -> list[str]:
    """The arguments of a process that ends with this code when it gets SIGTERM, and uses no CPU before."""
    return ["sh", "-c", f"trap 'exit {code}' TERM; sleep 3600 & wait"]


async def tasks_of(client: Client, image: Image, args: list[list[str]]) -> list[Task]:
    """Start a task for each list of arguments, eight at a time; the daemon's end removes them."""
    tasks: dict[int, Task] = {}
    limit = anyio.Semaphore(8)

    async def start(number: int) -> None:
        async with limit:
            container = await client.new_container(f"web-{number}", image=image, args=args[number])
            tasks[number] = await container.new_task()
            await tasks[number].start()

    async with anyio.create_task_group() as group:
        for number in range(len(args)):
            group.start_soon(start, number)
    return [tasks[number] for number in range(len(args))]


async def end_directly(tasks: list[Task]) -> list[int]:
    """End every other one by SIGTERM, the others by SIGKILL, past containerd; return the codes that they end with."""
    for number, task in enumerate(tasks):
        os.kill(task.pid, signal.SIGKILL if number % 2 else signal.SIGTERM)
    await eventually(ended(*(task.pid for task in tasks)))
    return [137 if number % 2 else number + 1 for number in range(len(tasks))]


# -- processes that end at once --------------------------------------------------------------------------------


async def test_none_of_100_waits_is_lost_when_containerd_is_killed_meanwhile(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    with anyio.fail_after(250):
        assert_all_were_told(await churn(daemon_of_its_own, archive, count=100, kills=1), 100)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_none_of_2000_processes_that_end_at_once_is_lost(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    assert_all_were_told(await churn(daemon_of_its_own, archive, count=2000, kills=0), 2000)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_none_of_500_is_lost_when_containerd_is_killed_five_times(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    assert_all_were_told(await churn(daemon_of_its_own, archive, count=500, kills=5), 500)


# -- restarts --------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("version", "witness"),
    [*((version, True) for version in VERSIONS), ("1.7", False), ("2.1", False)],
)
async def test_of_100_tasks_the_50_that_end_while_containerd_is_down_are_told_within_5_s(
    containerd_versions: Mapping[str, str], archive: bytes, version: str, witness: bool
) -> None:
    """The other 50 stay pending, and are told when they end."""
    async with (
        daemon_of(version, containerd_versions) as daemon,
        daemon.client(exit_witness=witness) as client,
    ):
        image = await image_in(client, daemon, archive)
        lossy = await forgets(client) and not (witness and witness_supported())
        tasks = await tasks_of(client, image, [exits_when_told(number % 50 + 1) for number in range(100)])
        for task in tasks:
            await eventually(partial(traps, task))
        waits = [task.wait() for task in tasks]
        await crash(daemon)
        codes = await end_directly(tasks[:50])
        await daemon.start()
        with anyio.fail_after(5):
            await asyncio.wait(waits[:50])
        assert not any(wait.done() for wait in waits[50:])
        if lossy:
            for wait in waits[:50]:
                with pytest.raises(ProcessLostError, match="while containerd was down, and this containerd"):
                    await wait
        else:
            assert [wait.result().code for wait in waits[:50]] == codes
        codes = await end_directly(tasks[50:])
        with anyio.fail_after(20):
            assert [(await wait).code for wait in waits[50:]] == codes


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", VERSIONS)
async def test_what_ends_by_itself_while_containerd_is_down_for_a_minute_is_told(
    containerd_versions: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with daemon_of(version, containerd_versions) as daemon, daemon.client() as client:
        image = await image_in(client, daemon, archive)
        lossy = await forgets(client) and not witness_supported()
        ending = [["sh", "-c", f"sleep {20 + 3 * number}; exit {number}"] for number in range(10)]
        tasks = await tasks_of(client, image, [*ending, SLEEP])
        process = await tasks[10].exec("ps", ["sh", "-c", "sleep 30; exit 11"])
        await process.start()
        waits = [task.wait() for task in tasks]
        exec_wait = process.wait()
        await crash(daemon)
        await anyio.sleep(60)
        assert not any(wait.done() for wait in [*waits, exec_wait])
        await daemon.start()
        with anyio.fail_after(5):
            assert (await exec_wait).code == 11
            await asyncio.wait(waits[:10])
        if lossy:
            assert all(isinstance(wait.exception(), ProcessLostError) for wait in waits[:10])
        else:
            assert [wait.result().code for wait in waits[:10]] == [*range(10)]
        assert not waits[10].done()
        await tasks[10].kill()
        with anyio.fail_after(5):
            assert (await waits[10]).code == 137


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_containerd_that_stands_still_for_20_s_loses_nothing_and_keeps_its_stream(
    containerd_versions: Mapping[str, str], archive: bytes, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with daemon_of(version, containerd_versions) as daemon, daemon.client() as client:
        image = await image_in(client, daemon, archive)
        tasks = await tasks_of(client, image, [exits_when_told(number + 1) for number in range(12)])
        for task in tasks:
            await eventually(partial(traps, task))
        waits = [task.wait() for task in tasks]
        with frozen(daemon.pid):
            codes = await end_directly(tasks[:10])
            await anyio.sleep(20)
            assert not any(wait.done() for wait in waits)
        with anyio.fail_after(5):
            assert [(await wait).code for wait in waits[:10]] == codes
        assert not any(wait.done() for wait in waits[10:])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# -- shims that are killed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("witness", [True, False], ids=["with a witness", "without"])
async def test_of_an_init_that_ended_with_7_just_before_its_shim_was_killed_7_is_told(
    daemon_of_its_own: PrivateDaemon, archive: bytes, witness: bool
) -> None:
    """The shim is stopped first, so that it cannot tell the end to anybody."""
    async with daemon_of_its_own.client(exit_witness=witness) as client:
        image = await image_in(client, daemon_of_its_own, archive)
        [task] = await tasks_of(client, image, [exits_when_told(7)])
        await eventually(partial(traps, task))
        exited = task.wait()
        shim = shim_of(task)
        freeze(shim)
        os.kill(task.pid, signal.SIGTERM)

        async def is_zombie() -> bool:
            return state_of(task.pid) == "Z"

        await eventually(is_zombie)
        os.kill(shim, signal.SIGKILL)
        with anyio.fail_after(60):
            if witness and witness_supported():
                assert await exited == ExitStatus(7)  # the kernel's word: it has no time
            else:
                with pytest.raises(ProcessLostError, match="its shim died"):
                    await exited


async def test_of_processes_whose_shim_is_killed_the_witness_tells_what_containerd_did_to_them(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    """containerd answers NOT_FOUND before it kills them: both are waited for."""
    async with daemon_of_its_own.client() as client:
        image = await image_in(client, daemon_of_its_own, archive)
        [task] = await tasks_of(client, image, [SLEEP])
        process = await task.exec("ps", SLEEP)
        await process.start()
        waits = [task.wait(), process.wait()]
        os.kill(shim_of(task), signal.SIGKILL)
        with anyio.fail_after(60):
            await asyncio.wait(waits)
        if witness_supported():
            assert [wait.result() for wait in waits] == [ExitStatus(137)] * 2
        else:
            assert all(isinstance(wait.exception(), ProcessLostError) for wait in waits)
