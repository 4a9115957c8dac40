"""How a process is asked to end, killed and deleted, and what each state makes of that."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from grpclib.const import Status

from containerd_aio import (
    Client,
    ConnectionLostError,
    Container,
    FailedPreconditionError,
    NotFoundError,
    Process,
    ProcessLostError,
    ProcessState,
    Task,
    UnknownError,
    pipes,
)
from containerd_aio._transport import completion
from containerd_aio.testing import FakeContainerd

LABEL = "io.containerd.image.config.stop-signal"
LONG = 600.0


@pytest.fixture
def endless_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleanup that waits for its bound waits longer than the test."""
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", LONG)


# -- stop ----------------------------------------------------------------------------------------------------


async def test_a_process_that_does_as_it_is_asked_is_not_killed(fake: FakeContainerd, task: Task) -> None:
    assert (await task.stop(LONG)).signal is signal.SIGTERM
    assert fake.calls["Tasks/Kill"] == 1


async def test_a_process_that_does_not_is_killed_after_the_grace(
    fake: FakeContainerd, container: Container
) -> None:
    fake.script(["serve"], seconds=None, ignores=[signal.SIGTERM])
    async with await container.new_task() as task:
        await task.start()
        assert (await task.stop(0.05)).signal is signal.SIGKILL
    assert fake.calls["Tasks/Kill"] == 2


async def test_no_grace_is_no_wait_and_a_grace_that_is_no_time_is_refused(
    fake: FakeContainerd, container: Container
) -> None:
    fake.script(["serve"], seconds=None, ignores=[signal.SIGTERM])
    async with await container.new_task() as task:
        await task.start()
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match="grace"):
                await task.stop(wrong)
        assert fake.calls["Tasks/Kill"] == 0
        assert (await task.stop(0)).signal is signal.SIGKILL


async def test_the_end_in_the_middle_of_the_grace_is_the_end(
    fake: FakeContainerd, container: Container
) -> None:
    fake.script(["serve"], seconds=None, ignores=[signal.SIGTERM])
    async with await container.new_task() as task:
        await task.start()
        async with anyio.create_task_group() as group:
            group.start_soon(_end_after_kill, fake, task)
            assert (await task.stop(LONG)).code == 3
    assert fake.calls["Tasks/Kill"] == 1


async def _end_after_kill(fake: FakeContainerd, task: Task) -> None:
    await fake.called("Tasks/Kill")
    fake.exit(task, 3)


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("SIGQUIT", signal.SIGQUIT),
        ("2", signal.SIGINT),
        ("SIGRTMIN+3", 37),
        ("", signal.SIGTERM),
        ("SIGNOPE", signal.SIGTERM),
    ],
)
async def test_the_label_of_the_container_tells_the_signal(client: Client, label: str, wanted: int) -> None:
    container = await client.new_container("web", image="fake", labels={LABEL: label})
    async with await container.new_task() as task:
        await task.start()
        assert (await task.stop(LONG)).code == 128 + wanted


async def test_the_label_counts_as_it_is_now_and_to_a_loaded_task_too(
    container: Container, task: Task, other: Client
) -> None:
    await container.set_labels({LABEL: "SIGUSR1"})
    loaded = await (await other.load_container("web")).task()
    assert (await loaded.stop(LONG)).signal is signal.SIGUSR1
    assert (await task.wait()).signal is signal.SIGUSR1


async def test_an_exec_is_asked_by_sigterm(container: Container, task: Task) -> None:
    await container.set_labels({LABEL: "SIGUSR1"})
    async with await task.exec("ps", ["ps"]) as process:
        await process.start()
        assert (await process.stop(LONG)).signal is signal.SIGTERM


async def test_a_process_whose_start_is_not_answered_yet_is_killed_too(
    fake: FakeContainerd, client: Client, container: Container
) -> None:
    fake.script(["serve"], seconds=None, ignores=[signal.SIGTERM])
    task = await container.new_task()
    with fake.delay("Tasks/Start", LONG):
        starting = asyncio.create_task(task.start())
        await fake.called("Tasks/Start")
    await client.tasks.start("web")  # that Start, as if it had done its work
    with anyio.fail_after(60):
        assert (await task.stop(0)).signal is signal.SIGKILL
    await fake.die()
    with pytest.raises(ConnectionLostError):
        await starting


async def test_a_process_that_has_ended_is_not_asked_for_anything(fake: FakeContainerd, task: Task) -> None:
    fake.exit(task, 5)
    status = await task.wait()
    fake.calls.clear()
    assert await task.stop() == status
    await task.delete()
    assert await task.stop() == status
    assert fake.calls["Tasks/Kill"] == 0


async def test_an_end_that_no_event_told_of_is_learned_by_stopping(fake: FakeContainerd, task: Task) -> None:
    with fake.drop_events(10):
        fake.exit(task, 5)
        with anyio.fail_after(60):
            assert (await task.stop(LONG)).code == 5


async def test_what_was_never_started_is_not_stopped(created: Task) -> None:
    with pytest.raises(FailedPreconditionError, match=r"task 'web' is created; it was not started; delete"):
        await created.stop()
    assert await created.delete() is None


async def test_what_somebody_else_deleted_is_lost(task: Task, other: Client) -> None:
    await (await (await other.load_container("web")).task()).delete(kill=True)
    with anyio.fail_after(60):
        assert (await task.stop()).code == 137  # the event told of it
    with pytest.raises(NotFoundError):
        await task.status()


async def test_a_paused_task_is_thawed_so_that_it_can_do_as_it_is_asked(task: Task) -> None:
    await task.pause()
    with anyio.fail_after(60):
        assert (await task.stop(LONG)).signal is signal.SIGTERM


async def test_an_exec_of_a_paused_task_is_not_stopped_and_thaws_nothing(task: Task) -> None:
    async with await task.exec("ps", ["ps"]) as process:
        await process.start()
        await task.pause()
        with pytest.raises(
            FailedPreconditionError, match=r"exec 'ps'.* is paused; resume\(\) the task first"
        ):
            await process.stop()
        assert (await task.status()).state is ProcessState.PAUSED
        await task.resume()
        assert (await process.stop(LONG)).signal is signal.SIGTERM


# -- an exec of a frozen task ------------------------------------------------------------------------------------


async def test_leaving_an_exec_of_a_paused_task_says_soon_that_it_cannot_end_now(
    fake: FakeContainerd, task: Task, endless_cleanup: None
) -> None:
    """Not when the time of a cleanup is up; what the user froze stays frozen, and nothing of ours stays open."""
    with anyio.fail_after(60):
        with pytest.raises(FailedPreconditionError, match=r"dies when that is resumed; resume\(\) the task$"):
            async with await task.exec("ps", ["ps"], stdio=pipes(stdin=True)) as process:
                await process.start()
                await task.pause()
    assert list(Path(fake.fifo_dir).iterdir()) == []
    assert (await task.status()).state is ProcessState.PAUSED
    await task.resume()
    assert (await process.wait()).signal is signal.SIGKILL


async def test_a_run_that_is_given_up_in_a_paused_task_notes_that_it_cannot_end_now(
    task: Task, endless_cleanup: None
) -> None:
    running = asyncio.create_task(task.run(["sleep"], id="ps"))
    while not any(info.exec_id == "ps" for info in await task.pids()):
        await anyio.lowlevel.checkpoint()
    await task.pause()
    running.cancel()
    with anyio.fail_after(60), pytest.raises(asyncio.CancelledError) as cancelled:
        await running
    [note] = cancelled.value.__notes__
    assert "cannot end while its task is paused" in note
    await task.resume()
    exited = (await task.load_process("ps")).wait()
    assert (await exited).signal is signal.SIGKILL


async def test_an_exec_that_has_ended_in_a_paused_task_is_removed_by_its_block(
    fake: FakeContainerd, task: Task
) -> None:
    async with await task.exec("ps", ["ps"]) as ended, await task.exec("added", ["ps"]):
        await ended.start()
        fake.exit(ended, 4)
        await ended.wait()
        await task.pause()
        assert (await ended.status()).state is ProcessState.STOPPED
    for id in ("ps", "added"):
        with pytest.raises(NotFoundError):
            await task.load_process(id)


# -- delete ------------------------------------------------------------------------------------------------------


async def test_a_process_that_runs_or_is_paused_is_deleted_only_with_its_kill(task: Task) -> None:
    for state in ("running", "paused"):
        if state == "paused":
            await task.pause()
        with pytest.raises(FailedPreconditionError, match=rf"task 'web' is {state}; .*delete\(kill=True\)"):
            await task.delete()
    status = await task.delete(kill=True)
    assert status is not None
    assert status.code == 137


async def test_a_process_that_was_never_started_is_deleted(created: Task) -> None:
    exited = created.wait()
    assert await created.delete(kill=True) is None
    with pytest.raises(ProcessLostError, match="before it was started"):
        await exited


async def test_a_process_whose_shim_does_not_answer_may_be_deleted(fake: FakeContainerd, task: Task) -> None:
    """Its state is unknown: containerd decides."""
    with fake.unknown_status(task):
        assert (await task.status()).state is ProcessState.UNKNOWN
        with pytest.raises(UnknownError, match="cannot delete a running process"):
            await task.delete()
        fake.exit(task, 3)
        status = await task.delete()
    assert status is not None
    assert status.code == 3


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE])
async def test_a_process_whose_shim_does_not_tell_its_state_is_asked_to_end_all_the_same(
    fake: FakeContainerd, task: Task, status: Status
) -> None:
    with fake.refuse("Tasks/Get", status), anyio.fail_after(60):
        assert (await task.stop()).code == 143


@pytest.mark.parametrize("status", [Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE])
async def test_what_was_never_started_is_removed_though_its_shim_does_not_tell_its_state(
    fake: FakeContainerd, created: Task, status: Status
) -> None:
    with fake.refuse("Tasks/Get", status):
        assert await created.delete(kill=True) is None


async def test_deleting_again_gives_the_same_answer_without_a_call(fake: FakeContainerd, task: Task) -> None:
    fake.exit(task, 3)
    status = await task.delete()
    fake.calls.clear()
    assert await task.delete() == status
    assert fake.calls["Tasks/Delete"] == 0


async def test_what_somebody_else_deleted_is_told_where_it_is_known(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    fake.exit(task, 3)
    status = await task.wait()
    await (await (await other.load_container("web")).task()).delete()
    assert await task.delete() == status


async def test_that_somebody_else_deleted_it_is_no_error_also_where_its_end_is_not_known(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    """What is to be gone is gone; ``wait()`` tells why nobody knows how it ended."""
    exited = task.wait()
    with fake.drop_events(10):
        await (await (await other.load_container("web")).task()).delete(kill=True)
        for _ in range(2):
            assert await task.delete() is None
    with pytest.raises(ProcessLostError, match="its shim died, or somebody else deleted it"):
        await exited


async def test_two_deletes_at_once_are_one(fake: FakeContainerd, task: Task) -> None:
    """The second would hit whoever gets the ids when the first has answered."""
    fake.exit(task, 3)
    with fake.delay("Tasks/Delete", 0.05):
        first = asyncio.create_task(task.delete())
        await fake.called("Tasks/Delete")
        second = await task.delete(kill=True)
    assert second == await first
    assert second is not None
    assert second.code == 3
    assert fake.calls["Tasks/Delete"] == 1


@pytest.mark.parametrize("state", ["created", "running", "ended"])
@pytest.mark.parametrize("exec_id", ["", "ps"], ids=["task", "exec"])
async def test_what_has_the_ids_of_a_process_that_ended_is_left_alone(
    fake: FakeContainerd, task: Task, other: Client, exec_id: str, state: str
) -> None:
    """Another client has deleted that one and made another; nobody told us of more than its end."""
    old: Process = task
    if exec_id:
        old = await task.exec(exec_id, ["ps"], stdio=pipes(stdin=True))
        await old.start()
    fake.exit(old, 3)
    status = await old.wait()
    theirs = await other.load_container("web")
    if exec_id:
        their_task = await theirs.task()
        await (await their_task.load_process(exec_id)).delete()
        new: Process = await their_task.exec(exec_id, ["ps"])
    else:
        await (await theirs.task()).delete()
        new = await theirs.new_task()
    if state != "created":
        await new.start()
    if state == "ended":
        fake.exit(new, 4)
        await new.wait()
    fake.calls.clear()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await old.kill()
    for _ in range(2):
        with pytest.raises(NotFoundError):
            await old.status()
    async with old:
        pass
    for kill in (True, False):
        assert await old.delete(kill=kill) == status
    assert fake.calls == {"Tasks/Get": 1}
    assert (await new.status()).state == {"ended": "stopped"}.get(state, state)


async def test_calls_of_a_task_that_ended_reach_no_other_of_its_id(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    fake.exit(task, 3)
    await task.wait()
    theirs = await other.load_container("web")
    await (await theirs.task()).delete()
    new = await theirs.new_task()
    await new.start()
    fake.calls.clear()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: task.kill("TERM", all=True),
        task.pause,
        task.resume,
        task.pids,
        task.metrics,
        task.close_io,
        lambda: task.resize(80, 25),
        lambda: task.update({}),
        lambda: task.exec("ps", ["ps"]),
        lambda: task.load_process("ps"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="^task 'web' was deleted$"):
            await call()
    assert fake.calls == {"Tasks/Get": 1}
    assert (await new.status()).state is ProcessState.RUNNING


async def test_a_signal_to_what_may_have_been_replaced_unheard_is_not_sent(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    """No event told of its end: containerd is asked first."""
    theirs = await other.load_container("web")
    with fake.drop_events(10):
        await (await theirs.task()).delete(kill=True)
        new = await theirs.new_task()
        await new.start()
    fake.calls.clear()
    with pytest.raises(NotFoundError, match="^task 'web' was deleted$"):
        await task.kill()
    assert fake.calls == {"Tasks/Get": 1}
    with pytest.raises(ProcessLostError, match="created anew"):
        await task.wait()
    assert (await new.status()).state is ProcessState.RUNNING


async def test_a_delete_that_fails_leaves_the_process_to_be_deleted(fake: FakeContainerd, task: Task) -> None:
    fake.exit(task, 3)
    fake.refuse("Tasks/Delete", Status.UNAVAILABLE, times=1)
    with pytest.raises(Exception, match="refused by the test"):
        await task.delete()
    status = await task.delete()
    assert status is not None
    assert status.code == 3


async def test_a_delete_that_is_given_up_after_its_answer_has_deleted(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    """While its output is read: the ids may be another's by then, and what it wrote is there all the same."""
    process = await task.exec("ps", ["ps"], stdio=pipes())
    await process.start()
    assert process.stdout is not None
    child = os.open(process.stdio.stdout_path, os.O_WRONLY)  # keeps the output open
    fake.exit(process, 3)
    deleting = asyncio.create_task(process.delete())
    told = ""
    with anyio.fail_after(60):
        while told != "exec 'ps' of container 'web' was deleted":  # by the answer; the output goes on
            try:
                await process.status()
            except NotFoundError as error:
                told = str(error)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    theirs = await (await other.load_container("web")).task()
    anew = await theirs.exec("ps", ["ps"])
    fake.calls.clear()
    os.write(child, b"late")
    os.close(child)
    status = await process.delete()
    assert status is not None
    assert status.code == 3
    assert fake.calls["Tasks/DeleteProcess"] == 0
    assert await process.stdout.receive() == b"late"
    await anew.start()


async def test_closing_the_input_of_what_was_deleted_does_not_reach_its_successor(
    fake: FakeContainerd, task: Task, other: Client
) -> None:
    process = await task.exec("ps", ["ps"], stdio=pipes(stdin=True))
    await process.start()
    assert process.stdin is not None
    theirs = await (await other.load_container("web")).task()
    with fake.drop_events(10):
        await (await theirs.load_process("ps")).delete(kill=True)
    await (await theirs.exec("ps", ["ps"])).start()
    for _ in range(2):  # the first time it is seen by the pid
        with pytest.raises(NotFoundError):
            await process.status()
    fake.calls.clear()
    await process.stdin.aclose()
    assert fake.calls["Tasks/CloseIO"] == 0
    await process.delete()
