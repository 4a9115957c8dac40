"""The calls about one process, and what an answer means for its object."""

from __future__ import annotations

import signal

import pytest
from grpclib.const import Status

from containerd_aio import (
    Client,
    Container,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ProcessLostError,
    ProcessState,
    Task,
    UnknownError,
    pipes,
)
from containerd_aio.testing import FakeContainerd


async def test_a_signal_has_a_name_or_a_number(fake: FakeContainerd, task: Task) -> None:
    names: tuple[int | str, ...] = ("WINCH", "sigurg", "CHLD", 28, signal.SIGURG, "17")
    for number, name in enumerate(names, 1):
        await task.kill(name)
        assert fake.calls["Tasks/Kill"] == number
    await task.kill("SIGUSR1")
    assert (await task.wait()).code == 138


async def test_a_signal_to_all_is_a_tasks(fake: FakeContainerd, container: Container) -> None:
    fake.script(["serve"], seconds=None, ignores=[signal.SIGTERM])
    task = await container.new_task()
    await task.start()
    one, two = [await task.exec(id, ["ps"]) for id in ("one", "two")]
    await one.start()
    await two.start()
    with pytest.raises(InvalidArgumentError, match=r"^all=True is for a task: exec 'one'"):
        await one.kill(all=True)
    await task.kill("TERM", all=True)
    assert [(await each.wait()).code for each in (one, two)] == [143, 143]
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_signal_to_an_exec_that_was_not_started_is_refused_with_the_way_out(task: Task) -> None:
    process = await task.exec("ps", ["ps"])
    with pytest.raises(
        FailedPreconditionError, match=r"is created; start\(\) it first, or delete\(\) it"
    ) as error:
        await process.kill()
    assert error.value.server_message == "process not created: failed precondition"
    assert error.value.method == "containerd.services.tasks.v1.Tasks/Kill"


async def test_what_is_refused_for_another_reason_is_told_as_it_is(fake: FakeContainerd, task: Task) -> None:
    fake.refuse("Tasks/Kill", Status.UNKNOWN, "runc is not there", times=1)
    with pytest.raises(UnknownError, match="runc is not there"):
        await task.kill()


async def test_what_is_refused_while_the_state_cannot_be_asked_for_is_told_as_it_is(
    fake: FakeContainerd, task: Task
) -> None:
    with fake.refuse("Tasks/Get"), pytest.raises(UnknownError, match="cannot resume a running process"):
        await task.resume()


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE])
async def test_a_shim_that_does_not_tell_its_state_in_time_does_not_keep_it_from_being_killed_and_deleted(
    fake: FakeContainerd, task: Task, status: Status
) -> None:
    with fake.refuse("Tasks/Get", status):
        await task.kill("USR1")
        assert (await task.wait()).code == 138
        assert await task.delete() == await task.wait()


async def test_a_refusal_finds_that_the_process_is_gone(fake: FakeContainerd, task: Task) -> None:
    fake.kill_shim(task, seconds=0)
    with pytest.raises(NotFoundError):
        await task.pause()


async def test_nothing_is_asked_of_a_process_that_was_deleted_here(
    fake: FakeContainerd, client: Client, task: Task
) -> None:
    """Its ids may be another's by now."""
    await task.delete(kill=True)
    successor = await (await client.load_container("web")).new_task()
    await successor.start()
    fake.calls.clear()
    for call in (
        task.start,
        task.status,
        task.kill,
        task.close_io,
        task.pause,
        task.resume,
        task.pids,
        task.metrics,
    ):
        with pytest.raises(NotFoundError, match="^task 'web' was deleted$"):
            await call()
    for refused in (task.exec("ps", ["ps"]), task.load_process("ps"), task.update({}), task.resize(80, 25)):
        with pytest.raises(NotFoundError, match="^task 'web' was deleted$"):
            await refused
    assert sum(fake.calls.values()) == 0
    assert (await successor.status()).state is ProcessState.RUNNING


async def test_the_terminal_of_an_exec_that_has_ended_has_no_size(fake: FakeContainerd, task: Task) -> None:
    async with await task.exec("ps", ["ps"], stdio=pipes(terminal=True)) as process:
        await process.start()
        await process.resize(80, 25)
        fake.exit(process)
        await process.wait()
        with pytest.raises(FailedPreconditionError, match="cannot be resized.* is stopped; it has ended$"):
            await process.resize(80, 25)


@pytest.mark.parametrize("kill", [False, True])
async def test_what_was_never_started_is_killed_before_it_is_deleted(
    fake: FakeContainerd, container: Container, kill: bool
) -> None:
    """Or else the shim would wait for the end of its outputs, 10 s long. That is no exit of it."""
    task = await container.new_task(stdio=pipes())
    exited = task.wait()
    assert await task.delete(kill=kill) is None
    assert (fake.calls["Tasks/Kill"], fake.calls["Tasks/Delete"]) == (1, 1)
    with pytest.raises(ProcessLostError, match="before it was started"):
        await exited


async def test_that_it_cannot_be_killed_does_not_keep_it_from_being_deleted(
    fake: FakeContainerd, created: Task
) -> None:
    fake.refuse("Tasks/Kill", Status.UNKNOWN, "runc is not there")
    assert await created.delete() is None


async def test_a_life_takes_four_calls_of_a_task_and_of_an_exec(
    fake: FakeContainerd, container: Container
) -> None:
    """Waits are told by events. Asked is before Delete only: by then the ids may be another's."""
    fake.script(["ps"])
    async with await container.new_task() as task:
        await task.start()
        fake.calls.clear()
        process = await task.exec("ps", ["ps"])
        await process.start()
        await process.wait()
        await process.delete()
        assert fake.calls == {"Tasks/Exec": 1, "Tasks/Start": 1, "Tasks/Get": 1, "Tasks/DeleteProcess": 1}
    fake.calls.clear()
    task = await container.new_task()
    await task.start()
    fake.exit(task)
    await task.wait()
    await task.delete()
    assert fake.calls == {"Tasks/Create": 1, "Tasks/Start": 1, "Tasks/Get": 1, "Tasks/Delete": 1}
