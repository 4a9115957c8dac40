"""A process that somebody else has made, loaded by another client, whatever has become of it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ProcessState,
    StartFailedError,
    Task,
    attach,
    pipes,
)
from containerd_aio.testing import FakeContainerd


async def loaded(client: Client) -> Task:
    return await (await client.load_container("web")).task()


async def test_an_exec_is_loaded_with_its_pid_and_its_end_is_told(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    made = await task.exec("ps", ["ps"])
    await made.start()
    process = await (await loaded(other)).load_process("ps")
    assert (process.id, process.container_id, process.pid) == ("ps", "web", made.pid)
    exited = process.wait()
    fake.exit(made, 6)
    assert await exited == await made.wait()
    assert exited.result().code == 6


async def test_an_exec_that_has_ended_is_loaded_too(fake: FakeContainerd, task: Task, other: Client) -> None:
    made = await task.exec("ps", ["ps"])
    await made.start()
    fake.exit(made, 6)
    status = await made.wait()
    process = await (await loaded(other)).load_process("ps")
    assert process.pid == made.pid
    assert process.wait().result() == status
    assert await process.delete() == status
    with pytest.raises(NotFoundError, match="task 'web' has no exec 'ps': exec"):
        await (await loaded(other)).load_process("ps")


async def test_the_one_who_made_it_shares_its_record(task: Task) -> None:
    made = await task.exec("ps", ["ps"])
    await made.start()
    process = await task.load_process("ps")
    await process.stop()
    assert made.wait().done()


async def test_its_output_is_read_from_where_it_stands(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    fake.script(["cat"], echo=True)
    made = await task.exec("ps", ["cat"], stdio=pipes(stdin=True))
    await made.start()
    await made.stdio.aclose(unlink=False)  # as if that client were gone
    stdio = attach(stdin=True)
    async with await (await loaded(other)).load_process("ps", stdio=stdio) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send(b"hello")
        with anyio.fail_after(60):
            assert await process.stdout.receive() == b"hello"
    assert (await made.status()).state is ProcessState.RUNNING
    await process.delete(kill=True)
    assert list(Path(fake.fifo_dir).iterdir()) == []


async def test_leaving_its_block_ends_and_removes_nothing(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    made = await task.exec("ps", ["ps"], stdio=pipes())
    await made.start()
    with pytest.raises(ValueError, match="^a bug$"):
        async with await (await loaded(other)).load_process("ps", stdio=attach()):
            raise ValueError("a bug")
    assert (await made.status()).state is ProcessState.RUNNING
    assert os.path.exists(made.stdio.stdout_path)
    await made.delete(kill=True)


async def test_an_exec_that_was_never_started_is_started_by_who_loads_it(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    made = await task.exec("ps", ["ps"])
    process = await (await loaded(other)).load_process("ps")
    assert process.pid == 0
    exited = process.wait()
    await process.start()
    assert process.pid > 0
    fake.exit(process, 2)
    assert await exited == await made.wait()


async def test_an_exec_whose_start_has_failed_is_told_from_one_that_was_never_started(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    """containerd calls both created; to start the former again would end the container."""
    fake.script(["nope"], fails="no such file or directory")
    made = await task.exec("ps", ["nope"])
    with pytest.raises(StartFailedError):
        await made.start()
    process = await (await loaded(other)).load_process("ps")
    with pytest.raises(StartFailedError, match="started before, and that has failed"):
        await process.wait()
    with pytest.raises(FailedPreconditionError, match="it has failed before"):
        await process.start()
    assert await process.delete() is None
    assert (await task.status()).state is ProcessState.RUNNING


async def test_the_tasks_own_id_is_no_execs(fake: FakeContainerd, task: Task) -> None:
    fake.calls.clear()
    with pytest.raises(
        InvalidArgumentError, match=r"'web' is no exec but the task itself; container.task\(stdio"
    ):
        await task.load_process("web")
    for wrong in ("", "a b", "../x"):
        with pytest.raises(InvalidArgumentError, match="exec id"):
            await task.load_process(wrong)
    assert sum(fake.calls.values()) == 0


async def test_fifos_that_are_gone_are_named(task: Task, other: Client) -> None:
    made = await task.exec("ps", ["ps"], stdio=pipes())
    await made.start()
    await made.stdio.aclose()
    with pytest.raises(NotFoundError, match=r"the FIFO .*ps.* does not exist"):
        await (await loaded(other)).load_process("ps", stdio=attach())
    async with await (await loaded(other)).load_process(
        "ps"
    ) as process:  # and without its output it can be had
        assert await process.stop() == await made.wait()


async def test_loading_that_is_given_up_leaves_nothing_open(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    made = await task.exec("ps", ["ps"], stdio=pipes())
    theirs = await loaded(other)
    fake.calls.clear()
    loading = asyncio.create_task(theirs.load_process("ps", stdio=attach()))  # an exec that was not started
    await fake.called("Tasks/Wait")
    held = len(os.listdir("/proc/self/fd"))
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert len(os.listdir("/proc/self/fd")) < held
    await made.delete()
