"""What tasks and execs are asked for beside their life: arguments, input, size, processes, status, limits."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from containerd_aio import (
    Client,
    FailedPreconditionError,
    Image,
    NotFoundError,
    Process,
    ProcessLostError,
    ProcessState,
    StartFailedError,
    Task,
    pipes,
    spec,
    streams,
)
from tests.integration.conftest import Shared
from tests.integration.host import name_of
from tests.integration.test_exits import SLEEP, eventually

pytestmark = pytest.mark.integration

TERMINAL = pipes(stdin=True, terminal=True)


@pytest.fixture
def client(shared: Shared) -> Client:
    return shared.client


@pytest.fixture
def image(shared: Shared) -> Image:
    return shared.image


@pytest.fixture
def task(shared: Shared) -> Task:
    """A task to add execs to."""
    return shared.host


async def output_of(process: Process) -> bytes:
    assert process.stdout is not None
    return b"".join([chunk async for chunk in process.stdout])


# -- what it is started with -----------------------------------------------------------------------------------


async def test_an_argument_may_be_long(task: Task) -> None:
    long = "x" * 20_000
    completed = await task.run(["sh", "-c", 'printf %s "$1"', "sh", long], check=True)
    assert completed.stdout == long.encode()


async def test_a_process_runs_without_an_input(task: Task) -> None:
    out, err = io.BytesIO(), io.BytesIO()
    args = ["sh", "-c", "readlink /proc/self/fd/0; cat; echo done >&2"]
    async with await task.exec("no-stdin", args, stdio=streams(None, out, err)) as process:
        exited = process.wait()
        await process.start()
        assert (await exited).code == 0
        await process.delete()
    assert (out.getvalue(), err.getvalue()) == (b"/dev/null\n", b"done\n")


# -- a terminal ------------------------------------------------------------------------------------------------


async def test_a_terminal_has_its_size_from_the_first_moment(client: Client, image: Image) -> None:
    async with (
        await client.new_container("tty", image=image, args=["stty", "size"]) as container,
        await container.new_task(stdio=TERMINAL) as task,
    ):
        exited = task.wait()
        await task.resize(12, 34)
        await task.start()
        assert (await exited).code == 0
        assert await output_of(task) == b"34 12\r\n"


# -- what is told of it ----------------------------------------------------------------------------------------


async def test_the_processes_of_a_task_are_its_init_and_its_children(client: Client, image: Image) -> None:
    async with (
        await client.new_container("pair", image=image, args=["sh", "-c", "sleep 3600 & wait"]) as container,
        await container.new_task() as task,
    ):
        await task.start()

        async def child_sleeps() -> bool:
            return any(name_of(info.pid) == "sleep" for info in await task.pids())

        await eventually(child_sleeps)
        infos = await task.pids()
        [child] = [info.pid for info in infos if info.pid != task.pid]
        assert Path(f"/proc/{child}/cmdline").read_bytes() == b"sleep\x003600\x00"
        assert {info.exec_id for info in infos} == {None}


async def test_a_process_that_ends_at_once_had_a_pid(task: Task) -> None:
    for number in range(5):
        async with await task.exec(f"short-{number}", ["true"]) as process:
            exited = process.wait()
            await process.start()
            assert process.pid > 0
            assert (await exited).code == 0


async def test_the_time_of_the_exit_is_after_that_of_the_start(task: Task) -> None:
    async with await task.exec("end", ["true"]) as process:
        exited = process.wait()
        before = datetime.now(UTC)
        await process.start()
        await exited
        after = datetime.now(UTC)
        status = (await process.status()).exit_status
        assert status == await exited
        assert status is not None
        assert status.exited_at is not None
        assert before < status.exited_at < after


async def test_the_spec_of_a_task_is_that_of_its_container(client: Client, task: Task) -> None:
    container = await client.load_container(task.id)
    loaded = await container.task()
    assert await task.spec() == await container.spec() == await loaded.spec()
    assert (await task.spec())["process"]["args"] == ["sleep", "36000"]


async def test_limits_are_changed_while_it_runs_and_seen_in_its_metrics(client: Client, image: Image) -> None:
    """As the metrics tell it, and the cgroup that the process is in."""
    async with (
        await client.new_container(
            "limited", image=image, args=SLEEP, options=[spec.memory_limit(32 << 20)]
        ) as container,
        await container.new_task() as task,
    ):
        await task.start()
        metrics = await task.metrics()
        assert metrics.id == "limited"
        assert metrics.memory.limit == 32 << 20
        await task.update({"memory": {"limit": 64 << 20}})
        assert (await task.metrics()).memory.limit == 64 << 20
        assert metrics.timestamp_ns is not None
        assert metrics.pids.current >= 1  # runc may be on its way out
        await task.delete(kill=True)
        with pytest.raises(NotFoundError):
            await task.metrics()


# -- its end ---------------------------------------------------------------------------------------------------


async def test_an_exec_that_runs_is_deleted_only_with_its_kill(task: Task) -> None:
    async with await task.exec("busy", SLEEP) as process:
        await process.start()
        with pytest.raises(FailedPreconditionError, match=r"exec 'busy'.*is running.*kill"):
            await process.delete()
        assert (await process.status()).state is ProcessState.RUNNING
        status = await process.delete(kill=True)
        assert status is not None
        assert status.code == 137


async def test_an_exec_that_was_never_started_is_deleted(task: Task) -> None:
    async with await task.exec("unborn", ["true"], stdio=pipes()) as process:
        exited = process.wait()
        assert await process.delete() is None
        with pytest.raises(ProcessLostError, match="before it was started"):
            await exited
        with pytest.raises(NotFoundError):
            await task.load_process("unborn")


async def test_a_failed_start_of_an_exec_leaves_it_and_its_task_to_be_deleted(task: Task) -> None:
    async with await task.exec("none", ["/no/such/binary"], stdio=pipes()) as process:
        with pytest.raises(StartFailedError, match="/no/such/binary"):
            await process.start()
        assert (await process.status()).state is ProcessState.CREATED
        assert await process.delete() is None
    assert (await task.run(["echo", "still here"])).stdout == b"still here\n"


async def test_the_wait_of_an_exec_that_has_ended_is_answered_at_once(task: Task) -> None:
    async with await task.exec("six", ["sh", "-c", "exit 6"]) as process:
        await process.start()
        await process.wait()
        assert process.wait().done()
        assert process.wait().result().code == 6
        status = await process.delete()
        assert status is not None
        assert status.code == 6
        assert process.wait().result() == status
