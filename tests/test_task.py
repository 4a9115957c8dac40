"""A task: what runs in it, what it may use, and what it does use."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from grpclib.const import Status

from containerd_aio import (
    AlreadyExistsError,
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OutputTooLargeError,
    ProcessFailedError,
    StartFailedError,
    Task,
    UnavailableError,
    pipes,
    spec,
    where,
)
from containerd_aio.testing import FakeContainerd
from containerd_aio.types import MemoryMetrics, PidsMetrics

MIB = 1 << 20


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd) -> AsyncIterator[Client]:
    async with fake.client() as client:
        yield client


@pytest.fixture
async def task(client: Client) -> Task:
    container = await client.new_container(
        "web", image="fake", args=["serve"], options=[spec.memory_limit(64 * MIB)]
    )
    task = await container.new_task()
    await task.start()
    return task


# -- exec --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "given", "words"),
    [
        pytest.param("ls", {}, "ls", id="one string"),
        pytest.param([], {}, "program", id="no program"),
        pytest.param(["ls"], {"terminal": True}, "contradicts stdio=", id="a terminal of no stdio"),
        pytest.param(
            ["ls"],
            {"stdio": pipes(terminal=True), "terminal": False},
            "contradicts stdio=",
            id="a terminal unsaid",
        ),
        pytest.param(
            {"args": ["ls"]}, {"user": "0:0"}, "a whole one has its own", id="a user of a whole process"
        ),
        pytest.param(
            {"args": ["ls"]}, {"env": {}}, "a whole one has its own", id="a change of a whole process"
        ),
        pytest.param(["ls"], {"capabilities": ["CAP_NOPE"]}, "CAP_NOPE", id="no capability"),
        pytest.param(["ls"], {"env": {"A=B": "c"}}, "A=B", id="no variable"),
    ],
)
async def test_an_exec_that_makes_no_sense_is_refused_before_any_call(
    fake: FakeContainerd, task: Task, args: Any, given: dict[str, Any], words: str
) -> None:
    fake.calls.clear()
    with pytest.raises(InvalidArgumentError, match=words):
        await task.exec("ps", args, **given)
    assert sum(fake.calls.values()) == 0


async def test_a_terminal_may_be_said_once_more(task: Task) -> None:
    for stdio, terminal in ((None, False), (pipes(terminal=True), True)):
        async with await task.exec("ps", ["ps"], stdio=stdio, terminal=terminal) as process:
            assert process.stdio.terminal is terminal


# -- run -----------------------------------------------------------------------------------------------------


async def test_what_a_process_in_the_container_writes_is_returned(fake: FakeContainerd, task: Task) -> None:
    fake.script(["ls"], stdout=b"bin\n", stderr=b"oops\n", code=3)
    done = await task.run(["ls", "/"])
    assert (done.stdout, done.stderr, done.exit_status.code, done.output_complete) == (
        b"bin\n",
        b"oops\n",
        3,
        True,
    )


async def test_its_input_is_what_was_given_and_else_nothing(fake: FakeContainerd, task: Task) -> None:
    fake.script(["cat"], echo=True)
    assert (await task.run(["cat"], input=b"x" * 300_000)).stdout == b"x" * 300_000
    assert (await task.run(["cat"], input=b"")).stdout == b""
    assert (await task.run(["cat"])).stdout == b""


async def test_each_run_has_an_id_of_its_own_or_the_one_that_was_given(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    fake.script(["true"])
    async with client.events.subscribe(where(topic="/tasks/exec-added")) as events:
        for id in (None, None, "mine"):
            await task.run(["true"], id=id)
        seen = [getattr((await anext(events)).payload, "exec_id", "") for _ in range(3)]
    assert len(set(seen)) == 3
    assert [id.startswith("run-") for id in seen] == [True, True, False]
    assert seen[2] == "mine"


async def test_with_check_a_code_is_an_error(fake: FakeContainerd, task: Task) -> None:
    fake.script(["false"], stderr=b"no luck\n", code=1)
    with pytest.raises(ProcessFailedError, match="ended with code 1: no luck") as failure:
        await task.run(["false"], check=True)
    assert failure.value.stderr == b"no luck\n"


async def test_what_writes_too_much_is_killed_and_removed(fake: FakeContainerd, task: Task) -> None:
    fake.script(["yes"], stdout=b"y\n" * 100_000, seconds=None)
    with anyio.fail_after(60), pytest.raises(OutputTooLargeError, match="1000 bytes"):
        await task.run(["yes"], id="yes", max_output=1000)
    await nothing_is_left(fake, task, "yes")


async def test_what_cannot_start_is_removed(fake: FakeContainerd, task: Task) -> None:
    fake.script(["nope"], fails="no such file or directory")
    with pytest.raises(StartFailedError, match="no such file"):
        await task.run(["nope"], id="nope")
    await nothing_is_left(fake, task, "nope")


async def test_a_run_that_is_cancelled_is_killed_and_removed(fake: FakeContainerd, task: Task) -> None:
    fake.calls.clear()
    running = asyncio.create_task(task.run(["sleep"], id="nap"))
    await fake.called("Tasks/Start")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert fake.calls["Tasks/Kill"] == 1
    await nothing_is_left(fake, task, "nap")


async def test_arguments_that_are_none_are_refused_before_any_call(fake: FakeContainerd, task: Task) -> None:
    fake.calls.clear()
    nonsense: tuple[Any, ...] = ("ls -l", b"ls", [], [""], [1])
    for wrong in nonsense:
        with pytest.raises(InvalidArgumentError):
            await task.run(wrong)
    for wrong_id in ("", "a b", "web"):
        with pytest.raises(InvalidArgumentError):
            await task.run(["ls"], id=wrong_id)
    with pytest.raises(InvalidArgumentError, match="max_output"):
        await task.run(["ls"], max_output=-1)
    assert sum(fake.calls.values()) == 0
    await nothing_is_left(fake, task, "ls")


async def test_an_id_that_is_taken_is_refused_and_harms_nobody(fake: FakeContainerd, task: Task) -> None:
    taken = await task.exec("ps", ["ps"])
    await taken.start()
    with pytest.raises(AlreadyExistsError):
        await task.run(["ps"], id="ps")
    fake.exit(taken, 2)
    assert (await taken.wait()).code == 2


async def nothing_is_left(fake: FakeContainerd, task: Task, id: str) -> None:
    with pytest.raises(NotFoundError):
        await task.load_process(id)
    assert not Path(fake.fifo_dir).exists() or os.listdir(fake.fifo_dir) == []


# -- update and metrics --------------------------------------------------------------------------------------


async def test_limits_are_changed_and_told(task: Task) -> None:
    before = await task.metrics()
    assert (before.memory.limit, before.pids.limit) == (64 * MIB, None)
    await task.update(spec.resources(memory=32 * MIB, pids=10))
    await task.update({})
    after = await task.metrics()
    assert (after.memory.limit, after.pids.limit) == (32 * MIB, 10)


async def test_limits_that_the_kernel_refuses_are_told_with_the_runtimes_reason(
    fake: FakeContainerd, task: Task
) -> None:
    fake.use(task, memory=8 * MIB)
    reason = rf"^task 'web' cannot have these limits: .*unable to set memory limit to {MIB}.*usage: \d+\)$"
    with pytest.raises(InvalidArgumentError, match=reason) as refused:
        await task.update(spec.resources(memory=MIB))
    assert refused.value.method == "containerd.services.tasks.v1.Tasks/Update"


async def test_what_are_no_limits_is_refused_before_any_call(fake: FakeContainerd, task: Task) -> None:
    fake.calls.clear()
    nonsense: tuple[Any, ...] = ("memory", None, [], {"memory": {"limit": float("nan")}})
    for wrong in nonsense:
        with pytest.raises(InvalidArgumentError):
            await task.update(wrong)
    assert sum(fake.calls.values()) == 0


async def test_limits_of_a_task_that_has_ended_are_not_changed(fake: FakeContainerd, task: Task) -> None:
    fake.exit(task)
    with pytest.raises(FailedPreconditionError, match="cannot be updated: task 'web' is stopped"):
        await task.update({})


async def test_what_it_uses_is_told(fake: FakeContainerd, task: Task) -> None:
    fake.use(task, cpu_ns=5_000_000, memory=3 * MIB)
    metrics = await task.metrics()
    assert metrics.id == "web"
    assert metrics.timestamp_ns is not None
    assert metrics.cpu.usage_ns == 5_000_000
    assert metrics.memory == MemoryMetrics(usage=3 * MIB, limit=64 * MIB, working_set=3 * MIB)
    assert metrics.pids == PidsMetrics(current=1)


async def test_a_task_that_has_ended_uses_nothing_and_one_that_was_deleted_is_not_found(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    loaded = await (await client.load_container("web")).task()
    fake.exit(task)
    assert (await task.metrics()).pids.current == 0
    await task.delete()
    with pytest.raises(NotFoundError, match="web"):
        await loaded.metrics()


async def test_metrics_that_a_shim_does_not_tell_are_no_zeros(fake: FakeContainerd, task: Task) -> None:
    fake.kill_shim(task, seconds=600)
    with pytest.raises(NotFoundError):
        await task.metrics()


async def test_the_metrics_of_all_tasks_come_by_one_call(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    for name in ("one", "two"):
        container = await client.new_container(name, image="fake")
        await (await container.new_task()).start()
    fake.calls.clear()
    assert sorted(each.id for each in await client.tasks.metrics()) == ["one", "two", "web"]
    assert [each.id for each in await client.tasks.metrics("id==two")] == ["two"]
    assert fake.calls["Tasks/Metrics"] == 2
    fake.refuse("Tasks/Metrics", Status.UNAVAILABLE)
    with pytest.raises(UnavailableError):
        await task.metrics()


# -- its end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_block", [True, False], ids=["its block", "delete"])
async def test_with_the_task_go_the_streams_of_its_execs(
    fake: FakeContainerd, task: Task, by_block: bool
) -> None:
    """Those that nobody deleted; what they wrote can be read afterwards."""
    fake.script(["greet"], stdout=b"hello")
    fake.script(["sleep"], seconds=None)
    greeted, asleep, unborn = [
        await task.exec(args, [args], stdio=pipes(stdin=True)) for args in ("greet", "sleep", "unborn")
    ]
    await greeted.start()
    await asleep.start()
    await greeted.wait()
    if by_block:
        async with task:
            pass
    else:
        await task.delete(kill=True)
    assert os.listdir(fake.fifo_dir) == []
    assert greeted.stdout is not None
    assert await greeted.stdout.receive() == b"hello"
    for process in (asleep, unborn):
        assert process.stdout is not None
        with pytest.raises(anyio.EndOfStream):
            await process.stdout.receive()
    assert (await asleep.wait()).code == 137


def unread(fifo: int) -> int:
    """How many bytes are in a FIFO."""
    return int(struct.unpack("i", fcntl.ioctl(fifo, termios.FIONREAD, bytes(4)))[0])


async def test_the_last_output_of_all_execs_is_taken_at_once(
    fake: FakeContainerd, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, and whatever holds their outputs open, that takes as long as one."""
    monkeypatch.setattr("containerd_aio.task.LAST_OUTPUT_SECONDS", math.inf)
    processes = [await task.exec(id, ["sleep"], stdio=pipes()) for id in ("one", "two", "three")]
    with ExitStack() as children:
        held = []
        for process in processes:
            await process.start()
            held.append(os.open(process.stdio.stdout_path, os.O_WRONLY))
            children.callback(os.close, held[-1])
            os.write(held[-1], b"late")
        deleting = asyncio.create_task(task.delete(kill=True))
        with anyio.fail_after(10):
            while any(map(unread, held)):
                await anyio.lowlevel.checkpoint()
    with anyio.fail_after(10):
        await deleting
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.receive() == b"late"
