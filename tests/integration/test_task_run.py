"""``task.run()``: a process in a running container, to its end, in one line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    Container,
    FailedPreconditionError,
    Image,
    NotFoundError,
    OutputTooLargeError,
    ProcessFailedError,
    StartFailedError,
    Task,
)
from containerd_aio.spec.schema import Process as ProcessSpec
from tests.integration.test_exits import eventually

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]


@pytest.fixture
async def container(client: Client, image: Image) -> AsyncIterator[Container]:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        yield container


@pytest.fixture
async def task(container: Container, fifo_dir: Path) -> AsyncIterator[Task]:
    """A task that runs; at the end nothing runs in it beside its init."""
    async with await container.new_task() as task:
        await task.start()
        yield task
        await eventually(lambda: alone(task))
        assert os.listdir(fifo_dir) == []


async def alone(task: Task) -> bool:
    return [info.pid for info in await task.pids()] == [task.pid]


async def test_it_runs_with_its_own_input_environment_directory_and_user(task: Task) -> None:
    done = await task.run(
        ["sh", "-c", 'cat; echo "$GREETING from $(id -un) in $PWD"; echo err >&2; exit 6'],
        input=b"input\n",
        env={"GREETING": "hello"},
        cwd="/tmp",
        user="app",
    )
    assert done.stdout == b"input\nhello from app in /tmp\n"
    assert (done.stderr, done.exit_status.code, done.output_complete) == (b"err\n", 6, True)


async def test_it_has_fewer_capabilities_and_variables_if_told_so(task: Task) -> None:
    script = "grep CapEff /proc/self/status; echo ${HIDDEN-gone}"
    shown = await task.run(["sh", "-c", script], env={"HIDDEN": "there"}, check=True)
    bare = await task.run(["sh", "-c", script], env={"HIDDEN": None}, capabilities=["CAP_KILL"], check=True)
    assert shown.stdout.split() == [b"CapEff:", b"00000000a80425fb", b"there"]
    assert bare.stdout.split() == [b"CapEff:", b"0000000000000020", b"gone"]


async def test_a_whole_process_is_run_as_it_is(task: Task) -> None:
    whole: ProcessSpec = {
        "args": ["sh", "-c", "id -u; pwd; env"],
        "cwd": "/tmp",
        "env": ["PATH=/bin", "A=1"],
        "user": {"uid": 1000, "gid": 1000},
    }
    done = await task.run(whole, check=True)
    assert done.stdout.split()[:2] == [b"1000", b"/tmp"]
    assert b"A=1" in done.stdout.split()


async def test_much_goes_in_and_out_at_once(task: Task) -> None:
    data = os.urandom(3_000_000)
    assert (await task.run(["cat"], input=data)).stdout == data


async def test_it_may_read_no_input_that_it_is_given(task: Task) -> None:
    assert (await task.run(["true"], input=b"x" * 300_000, check=True)).stdout == b""


async def test_many_at_once_do_not_mix(task: Task) -> None:
    seen: dict[int, bytes] = {}

    async def run(number: int) -> None:
        seen[number] = (await task.run(["cat"], input=b"%d\n" % number, check=True)).stdout

    async with anyio.create_task_group() as group:
        for number in range(16):
            group.start_soon(run, number)
    assert seen == {number: b"%d\n" % number for number in range(16)}


async def test_what_it_leaves_behind_holds_it_up_for_a_bounded_time_only(task: Task) -> None:
    with anyio.fail_after(60):
        done = await task.run(["sh", "-c", "sleep 3600 & echo hi"])
    assert (done.stdout, done.exit_status.code) == (b"hi\n", 0)
    [left] = [info for info in await task.pids() if info.pid != task.pid]
    os.kill(left.pid, 9)


async def test_failures_tell_their_reason_and_leave_nothing(task: Task) -> None:
    with pytest.raises(ProcessFailedError, match="ended with code 3: no luck"):
        await task.run(["sh", "-c", "echo no luck >&2; exit 3"], check=True)
    with pytest.raises(StartFailedError, match=r"/no/such/binary.*no such file"):
        await task.run(["/no/such/binary"], id="missing")
    with pytest.raises(OutputTooLargeError, match="10000 bytes"):
        await task.run(["yes"], id="yes", max_output=10_000)
    for id in ("missing", "yes"):
        with pytest.raises(NotFoundError):
            await task.load_process(id)


async def test_one_that_is_given_up_is_killed_and_removed(task: Task) -> None:
    with anyio.move_on_after(0.3) as scope:
        await task.run(SLEEP, id="nap")
    assert scope.cancelled_caught
    with pytest.raises(NotFoundError):
        await task.load_process("nap")


async def test_a_task_that_does_not_run_runs_nothing(container: Container) -> None:
    async with await container.new_task() as task:
        await task.start()
        await task.pause()
        with pytest.raises(FailedPreconditionError, match=r"task 'web' is paused; resume\(\)"):
            await task.run(["true"])
        await task.kill()
        await task.wait()
        with pytest.raises(FailedPreconditionError, match="task 'web' is stopped"):
            await task.run(["true"])
