"""A process as an object: what it is called, and what leaving its block does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from containerd_aio import (
    Client,
    NotFoundError,
    ProcessState,
    Task,
    UnavailableError,
    attach,
    inherit,
    pipes,
)
from containerd_aio.stdio import opened
from containerd_aio.testing import FakeContainerd


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
    container = await client.new_container("web", image="fake", args=["serve"])
    task = await container.new_task()
    await task.start()
    return task


def fifos(fake: FakeContainerd) -> list[str]:
    return os.listdir(fake.fifo_dir) if Path(fake.fifo_dir).exists() else []


async def test_it_says_who_it_is(task: Task) -> None:
    process = await task.exec("ps", ["ps"])
    assert (process.id, process.container_id, process.pid) == ("ps", "web", 0)
    assert process.name == "exec 'ps' of container 'web'"
    await process.start()
    assert repr(process) == f"<Process exec 'ps' of container 'web' pid={process.pid}>"
    assert repr(task) == f"<Task task 'web' pid={task.pid}>"
    assert (task.id, task.container_id, task.name) == ("web", "web", "task 'web'")


async def test_leaving_the_block_of_one_that_has_ended_waits_for_our_own_slow_output(
    fake: FakeContainerd, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``| less`` is: what it had not taken within 2 s was lost."""
    monkeypatch.setattr(opened, "HURRY", 0.0)
    reader, writer = os.pipe()
    stdio = inherit(stdin=False, descriptors=(0, writer, writer))
    left = anyio.Event()

    async def run() -> None:
        async with await task.exec("ps", ["serve"], stdio=stdio) as process:
            exited = process.wait()
            await process.start()
            await fake.write(process, bytes(300_000))
            fake.exit(process)
            await exited
        assert process.stdio.complete
        left.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        while fake.calls["Tasks/Delete"] + fake.calls["Tasks/DeleteProcess"] == 0:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert not left.is_set()
        got = 0
        while got < 300_000:
            await anyio.wait_readable(reader)
            got += len(os.read(reader, 65536))
    os.close(reader)
    os.close(writer)


async def test_letting_a_loaded_task_go_leaves_its_execs_the_time_for_their_output(
    fake: FakeContainerd, client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "HURRY", 0.0)
    reader, writer = os.pipe()
    stdio = inherit(stdin=False, descriptors=(0, writer, writer))
    async with await (await client.load_container("web")).task() as loaded:
        process = await loaded.exec("ps", ["serve"], stdio=stdio)
        await process.start()
    await fake.write(process, bytes(300_000))
    fake.exit(process)
    await process.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(process.delete)
        await fake.called("Tasks/DeleteProcess")
        await anyio.wait_all_tasks_blocked()
        got = 0
        while got < 300_000 and process.stdio.complete:
            await anyio.wait_readable(reader)
            got += len(os.read(reader, 65536))
    assert process.stdio.complete
    os.close(reader)
    os.close(writer)


async def test_an_error_leaves_the_block_without_waiting_for_our_own_slow_output(
    fake: FakeContainerd, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "HURRY", 0.0)
    reader, writer = os.pipe()
    stdio = inherit(stdin=False, descriptors=(0, writer, writer))
    with anyio.fail_after(10), pytest.raises(RuntimeError, match="the user's"):
        async with await task.exec("ps", ["serve"], stdio=stdio) as process:
            exited = process.wait()
            await process.start()
            await fake.write(process, bytes(300_000))
            fake.exit(process)
            await exited
            raise RuntimeError("the user's")
    assert not process.stdio.complete
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("state", ["created", "running", "ended", "deleted"])
async def test_leaving_the_block_of_one_that_was_made_here_removes_it(
    fake: FakeContainerd, task: Task, state: str
) -> None:
    async with await task.exec("ps", ["ps"], stdio=pipes(stdin=True)) as process:
        if state != "created":
            await process.start()
        if state in ("ended", "deleted"):
            fake.exit(process)
        if state == "deleted":
            await process.delete()
    with pytest.raises(NotFoundError):
        await task.load_process("ps")
    assert fifos(fake) == []


async def test_leaving_the_block_of_one_that_was_loaded_removes_nothing_even_if_it_was_killed(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    made = await task.exec("ps", ["ps"], stdio=pipes())
    await made.start()
    async with fake.client() as other:
        theirs = await (await other.load_container("web")).task()
        async with await theirs.load_process("ps", stdio=attach()) as loaded:
            await loaded.kill()
            await loaded.wait()
        assert (await made.status()).state is ProcessState.STOPPED
        assert os.path.exists(made.stdio.stdout_path)
    await made.delete()
    assert fifos(fake) == []


async def test_what_fails_at_the_end_of_a_block_is_a_note_on_the_users_error(
    fake: FakeContainerd, task: Task
) -> None:
    """And the process, which is killed, has no FIFOs left; one that could not be killed has."""
    for method, left in (("Tasks/DeleteProcess", 0), ("Tasks/Kill", 1)):
        fake.refuse(method, times=1)
        with pytest.raises(ValueError, match="^a bug\n") as error:
            async with await task.exec("ps", ["ps"], stdio=pipes()) as process:
                await process.start()
                raise ValueError("a bug")
        [note] = error.value.__notes__
        assert note.startswith("exec 'ps' of container 'web' could not be removed: ")
        assert len(fifos(fake)) == left
        await process.delete(kill=True)
    assert fifos(fake) == []


async def test_what_fails_at_the_end_of_a_block_that_went_well_is_raised(
    fake: FakeContainerd, task: Task
) -> None:
    with pytest.raises(UnavailableError, match="refused by the test"):
        async with await task.exec("ps", ["ps"]):
            fake.refuse("Tasks/DeleteProcess", times=1)


async def test_closing_its_input_without_stdin_does_nothing(fake: FakeContainerd, task: Task) -> None:
    fake.calls.clear()
    await task.close_io(stdin=False)
    assert fake.calls["Tasks/CloseIO"] == 0
    await task.close_io()
    assert fake.calls["Tasks/CloseIO"] == 1
