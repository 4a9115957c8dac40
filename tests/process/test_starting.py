"""A process is started once; what a start that failed, or was cut short, means afterwards."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio import (
    Client,
    ConnectionLostError,
    FailedPreconditionError,
    NotFoundError,
    ProcessLostError,
    ProcessState,
    StartFailedError,
    Task,
    UnavailableError,
    pipes,
)
from containerd_aio.testing import FakeContainerd


async def test_a_second_start_is_refused_without_reaching_containerd(
    fake: FakeContainerd, task: Task
) -> None:
    fake.calls.clear()
    with pytest.raises(FailedPreconditionError, match="task 'web' is running; it was started before"):
        await task.start()
    fake.exit(task)
    await task.wait()
    with pytest.raises(FailedPreconditionError, match="task 'web' is stopped; it has run, and ended"):
        await task.start()
    assert fake.calls["Tasks/Start"] == 0


async def test_a_start_by_somebody_else_is_told_from_one_that_failed(created: Task, other: Client) -> None:
    exited = created.wait()
    await (await (await other.load_container("web")).task()).start()
    with pytest.raises(FailedPreconditionError, match="is running; it was started before"):
        await created.start()
    assert not exited.done()
    await created.kill()
    assert (await exited).code == 137


async def test_two_starts_at_once_are_one(fake: FakeContainerd, created: Task) -> None:
    fake.delay("Tasks/Start", 0.05)
    first = asyncio.create_task(created.start())
    await fake.called("Tasks/Start")
    with pytest.raises(FailedPreconditionError, match="task 'web' cannot be started: it is being started"):
        await created.start()
    await first
    assert fake.calls["Tasks/Start"] == 1


async def test_an_exec_that_could_not_start_is_not_started_again(fake: FakeContainerd, task: Task) -> None:
    """A second Start would make the shim panic."""
    fake.script(["nope"], fails="no such file or directory")
    async with await task.exec("ps", ["nope"]) as process:
        exited = process.wait()
        with pytest.raises(StartFailedError, match="no such file or directory$"):
            await process.start()
        with pytest.raises(
            FailedPreconditionError, match=r"exec 'ps'.* it has failed before \(.*no such file"
        ):
            await process.start()
        with pytest.raises(StartFailedError, match="no such file"):
            await exited
    assert fake.calls["Tasks/Start"] == 2
    assert (await task.status()).state is ProcessState.RUNNING


async def test_a_failed_start_that_is_given_up_while_its_reason_is_asked_for_has_failed(
    fake: FakeContainerd, task: Task
) -> None:
    fake.script(["nope"], fails="no such file or directory")
    async with await task.exec("ps", ["nope"], stdio=pipes()) as process:
        exited = process.wait()
        fake.calls.clear()
        with fake.delay("Tasks/Get", 0.05):
            starting = asyncio.create_task(process.start())
            await fake.called("Tasks/Get")
            starting.cancel()
            with anyio.fail_after(60), pytest.raises(asyncio.CancelledError):
                await starting
        assert isinstance(exited.exception(), StartFailedError)


async def test_a_start_that_is_given_up_and_then_refused_has_failed_for_the_reason_told(
    fake: FakeContainerd, task: Task
) -> None:
    fake.script(["nope"], fails="no such file or directory")
    async with await task.exec("ps", ["nope"], stdio=pipes()) as process:
        exited = process.wait()
        with fake.delay("Tasks/Start", 0.05):
            fake.calls.clear()
            starting = asyncio.create_task(process.start())
            await fake.called("Tasks/Start")
            starting.cancel()
            with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
                await starting
        with pytest.raises(StartFailedError, match="no such file"):
            await exited
        assert fake.calls["Tasks/Kill"] == 0
    with pytest.raises(StartFailedError, match="no such file"):
        await exited


async def test_a_start_that_is_given_up_does_not_kill_what_somebody_else_has_started(
    fake: FakeContainerd, created: Task, other: Client
) -> None:
    await (await (await other.load_container("web")).task()).start()
    with fake.delay("Tasks/Start", 0.05):
        fake.calls.clear()
        starting = asyncio.create_task(created.start())
        await fake.called("Tasks/Start")
        starting.cancel()
        with anyio.fail_after(5), pytest.raises(asyncio.CancelledError):
            await starting
    assert fake.calls["Tasks/Kill"] == 0
    assert (await created.status()).state is ProcessState.RUNNING


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_refusal_whose_meaning_cannot_be_asked_for_leaves_it_open(
    fake: FakeContainerd, task: Task, cancelled: bool
) -> None:
    """It may never have run, or run already: nothing is said of that before containerd can be asked."""
    fake.script(["nope"], fails="no such file or directory")
    process = await task.exec("ps", ["nope"])
    exited = process.wait()
    with fake.delay("Tasks/Get", 600):
        fake.calls.clear()
        starting = asyncio.create_task(process.start())
        await fake.called("Tasks/Get")
        if cancelled:
            starting.cancel()
        await fake.die()
        with anyio.fail_after(5), pytest.raises((ConnectionLostError, asyncio.CancelledError)) as ended:
            await starting
        assert (ended.type is asyncio.CancelledError) is cancelled
    assert not exited.done()
    await fake.start()
    assert (await process.status()).state is ProcessState.CREATED
    assert await process.delete() is None


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.INTERNAL])
async def test_a_start_that_had_worked_though_containerd_failed_to_say_so_has_worked(
    fake: FakeContainerd, client: Client, created: Task, status: Status
) -> None:
    await client.tasks.start("web")  # as if it were ours, which comes to nothing
    with fake.refuse("Tasks/Start", status, times=1):
        await created.start()
    fake.exit(created, 4)
    assert (await created.wait()).code == 4


async def test_a_start_that_failed_without_a_reason_of_the_runtimes_is_told_as_it_is(
    fake: FakeContainerd, created: Task
) -> None:
    exited = created.wait()
    with fake.refuse("Tasks/Start", times=1), pytest.raises(UnavailableError, match="refused by the test"):
        await created.start()
    with pytest.raises(UnavailableError):
        await exited


async def test_a_start_that_was_refused_is_not_the_cause_of_itself(
    fake: FakeContainerd, created: Task
) -> None:
    """Who walks along the causes would never come to the end."""
    exited = created.wait()
    with fake.refuse("Tasks/Start", times=1), pytest.raises(UnavailableError) as refused:
        await created.start()
    assert isinstance(refused.value.__cause__, GRPCError)
    with pytest.raises(UnavailableError) as lost:
        await exited
    assert isinstance(lost.value.__cause__, GRPCError)


async def test_a_start_does_not_take_what_somebody_else_has_made_and_started_for_its_own(
    fake: FakeContainerd, created: Task, other: Client
) -> None:
    container = await other.load_container("web")
    with fake.drop_events(lambda event: True):  # or it is known before the start
        await (await container.task()).delete()
        await (await container.new_task()).start()
        with (
            fake.refuse("Tasks/Start", Status.NOT_FOUND, times=1),
            pytest.raises(NotFoundError, match="task 'web' was deleted"),
        ):
            await created.start()
    with pytest.raises(ProcessLostError, match="created anew"):
        await created.wait()
    assert (await (await container.task()).status()).state is ProcessState.RUNNING


async def test_an_exec_of_a_paused_task_cannot_start_and_says_whose_state_it_is(task: Task) -> None:
    async with await task.exec("ps", ["ps"]) as process:
        exited = process.wait()
        await task.pause()
        message = (
            r"exec 'ps'.* cannot be started: task 'web' is paused; resume\(\) the task, delete\(\) the exec"
        )
        with pytest.raises(FailedPreconditionError, match=message):
            await process.start()
        with pytest.raises(FailedPreconditionError, match=message):
            await exited
        await task.resume()
        with pytest.raises(FailedPreconditionError, match="it has failed before"):
            await process.start()
    async with await task.exec("ps", ["ps"]) as process:
        await process.start()


async def test_an_exec_of_a_task_that_has_ended_cannot_start(fake: FakeContainerd, task: Task) -> None:
    process = await task.exec("ps", ["ps"])
    fake.exit(task)
    await task.wait()
    with pytest.raises(
        FailedPreconditionError, match="task 'web' is stopped; nothing can run in it any more"
    ):
        await process.start()
    await process.delete()


async def test_a_reason_that_cannot_be_asked_for_is_the_runtimes(fake: FakeContainerd, task: Task) -> None:
    fake.script(["nope"], fails="no such file or directory")
    process = await task.exec("ps", ["nope"])
    with fake.refuse("Tasks/Get"), pytest.raises(StartFailedError, match="no such file"):
        await process.start()
    await process.delete()


@pytest.mark.parametrize("ended", [False, True])
async def test_a_start_again_after_one_without_an_answer_finds_that_it_had_worked(
    fake: FakeContainerd, client: Client, created: Task, ended: bool
) -> None:
    with fake.delay("Tasks/Start", 600):
        starting = asyncio.create_task(created.start())
        await fake.called("Tasks/Start")
        await fake.die()
        with pytest.raises(ConnectionLostError):
            await starting
    await fake.start()
    await client.tasks.start("web")  # the first one, as if it had come that far
    if ended:
        fake.exit(created, 4)
    with anyio.fail_after(60):
        await created.start()
    if not ended:
        fake.exit(created, 4)
    assert (await created.wait()).code == 4
    with pytest.raises(FailedPreconditionError, match="is stopped"):
        await created.start()


async def test_two_starts_at_once_after_one_without_an_answer_are_one(
    fake: FakeContainerd, created: Task
) -> None:
    with fake.delay("Tasks/Start", 600):
        starting = asyncio.create_task(created.start())
        await fake.called("Tasks/Start")
        await fake.die()
        with pytest.raises(ConnectionLostError):
            await starting
    await fake.start()
    fake.calls.clear()
    with fake.delay("Tasks/Start", 0.05):
        first = asyncio.create_task(created.start())
        await fake.called("Tasks/Start")
        with pytest.raises(FailedPreconditionError, match="it is being started"):
            await created.start()
        await first
    assert fake.calls["Tasks/Start"] == 1


async def test_an_exec_whose_start_was_cut_short_is_not_started_again(
    fake: FakeContainerd, task: Task
) -> None:
    process = await task.exec("ps", ["ps"])
    with fake.delay("Tasks/Start", 600):
        starting = asyncio.create_task(process.start())
        await fake.called("Tasks/Start", 2)
        await fake.die()
        with pytest.raises(ConnectionLostError):
            await starting
    await fake.start()
    with pytest.raises(FailedPreconditionError, match=r"is created; its start was cut short.*delete\(\) it"):
        await process.start()
    assert await process.delete() is None
