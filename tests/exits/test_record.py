"""What one process's record makes of each report, in each phase."""

from __future__ import annotations

import gc

import anyio
import pytest

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey, Verdict, moment
from containerd_aio.errors import ProcessLostError, StartFailedError
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState, Status

TASK = ProcessKey("web", "")
EXEC = ProcessKey("web", "ps")
DONE = ExitStatus(0, 1_000)
KILLED = ExitStatus(137, 1_000)


def running_record(pid: int = 7) -> ExitRecord:
    record = ExitRecord(TASK)
    record.created(pid)
    record.starting()
    record.started(pid)
    return record


def answer(state: ProcessState, pid: int = 7, status: ExitStatus | None = None) -> ProcessRecord:
    return ProcessRecord("web", "", pid, Status(state, status))


async def test_an_exit_resolves_every_wait_and_those_to_come() -> None:
    record = running_record()
    waits = [record.wait(), record.wait()]
    assert record.exited(7, DONE) is Verdict.SETTLED
    assert [await wait for wait in waits] == [DONE, DONE]
    assert await record.wait() == DONE


async def test_cancelling_one_wait_cancels_no_other() -> None:
    record = running_record()
    impatient, patient = record.wait(), record.wait()
    impatient.cancel()
    record.exited(7, DONE)
    assert await patient == DONE


async def test_a_second_report_changes_nothing() -> None:
    record = running_record()
    record.exited(7, DONE)
    assert record.exited(7, ExitStatus(1, 2_000)) is Verdict.DROPPED
    assert record.lost(ProcessLostError("late")) is Verdict.DROPPED
    assert await record.wait() == DONE


async def test_an_exit_of_another_pid_is_of_an_older_process() -> None:
    record = running_record(pid=200)
    assert record.exited(100, ExitStatus(1, 1_000)) is Verdict.DROPPED
    assert not record.settled


async def test_an_exit_that_comes_before_the_answer_of_create_is_judged_by_its_pid() -> None:
    record = ExitRecord(TASK)
    assert record.exited(6, ExitStatus(1, 1_000)) is Verdict.HELD
    assert record.exited(7, DONE) is Verdict.HELD
    assert record.created(7) is Verdict.SETTLED
    assert await record.wait() == DONE


async def test_an_exit_of_an_exec_that_was_not_started_here_is_asked_about() -> None:
    """It may be of an older exec of this id: then containerd answers that this one is created."""
    record = ExitRecord(EXEC)
    record.exited(6, ExitStatus(1, 1_000))
    record.created(0)
    assert record.exited(6, ExitStatus(1, 1_000)) is Verdict.DOUBTED
    record.answered(answer(ProcessState.CREATED, pid=0))
    assert not record.settled
    record.starting()
    assert record.exited(7, DONE) is Verdict.HELD
    assert record.started(7) is Verdict.SETTLED


async def test_an_exec_that_somebody_else_has_started_may_have_ended() -> None:
    record = ExitRecord(EXEC)
    record.created(0)
    assert record.exited(7, DONE) is Verdict.DOUBTED
    record.answered(answer(ProcessState.STOPPED, status=DONE))
    assert await record.wait() == DONE


@pytest.mark.parametrize("code", [137, 255])
async def test_a_code_that_containerd_makes_up_for_a_dead_shim_is_not_believed_at_once(code: int) -> None:
    record = running_record()
    assert record.exited(7, ExitStatus(code, 1_000)) is Verdict.DOUBTED
    assert not record.settled
    record.answered(answer(ProcessState.STOPPED, status=ExitStatus(code, 1_000)))
    assert (await record.wait()).code == code


async def test_a_kill_of_our_own_is_believed() -> None:
    record = running_record()
    record.kill_asked = True
    assert record.exited(7, KILLED) is Verdict.SETTLED


@pytest.mark.parametrize(
    ("pid", "status"),
    [pytest.param(0, DONE, id="no pid"), pytest.param(7, ExitStatus(0, None), id="no time")],
)
async def test_an_exit_without_a_pid_or_time_is_doubted(pid: int, status: ExitStatus) -> None:
    assert running_record().exited(pid, status) is Verdict.DOUBTED


async def test_a_doubted_exit_whose_process_is_gone_is_lost() -> None:
    record = running_record()
    exited = record.wait()
    record.exited(7, KILLED)
    record.missing("its shim died")
    with pytest.raises(ProcessLostError, match="its shim died"):
        await exited


async def test_not_found_means_nothing_while_the_process_is_created_or_deleted_by_us() -> None:
    creating = ExitRecord(TASK)
    assert creating.missing("gone") is Verdict.DROPPED
    deleting = running_record()
    deleting.deleting = True
    assert deleting.missing("gone") is Verdict.DROPPED


@pytest.mark.parametrize("state", [ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.UNKNOWN])
async def test_a_process_that_has_not_stopped_stays_open(state: ProcessState) -> None:
    record = running_record()
    assert record.answered(answer(state)) is Verdict.DROPPED
    assert not record.settled


async def test_an_answer_about_another_pid_tells_that_ours_is_gone() -> None:
    record = running_record(pid=7)
    record.answered(answer(ProcessState.RUNNING, pid=8))
    with pytest.raises(ProcessLostError, match="created anew"):
        await record.wait()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(answer(ProcessState.RUNNING, pid=8), id="runs"),
        pytest.param(answer(ProcessState.STOPPED, pid=8, status=ExitStatus(1, 2_000)), id="has ended"),
        pytest.param(answer(ProcessState.CREATED, pid=8), id="a task that is not started"),
        pytest.param(answer(ProcessState.CREATED, pid=0), id="an exec that is not started"),
    ],
)
async def test_the_ids_of_a_process_whose_end_is_known_may_be_anothers(found: ProcessRecord) -> None:
    record = running_record(pid=7)
    record.exited(7, DONE)
    record.answered(answer(ProcessState.STOPPED, pid=7, status=DONE))
    phases = [record.phase]
    record.answered(found)
    phases.append(record.phase)
    assert phases == [Phase.STARTED, Phase.DELETED]
    assert await record.wait() == DONE


async def test_that_it_is_not_started_may_be_an_answer_from_before_its_start() -> None:
    """Asked for before, and told after Start's own answer: it is no other process for that."""
    record = ExitRecord(EXEC)
    record.created(0)
    asked = moment()
    record.starting()
    record.started(7)
    assert record.answered(answer(ProcessState.CREATED, pid=0), asked) is Verdict.DROPPED
    assert record.phase is Phase.STARTED
    record.exited(7, DONE)
    assert record.answered(answer(ProcessState.CREATED, pid=0), asked) is Verdict.DROPPED
    assert record.phase is Phase.STARTED
    assert await record.wait() == DONE


async def test_the_ids_of_an_exec_that_could_not_start_may_be_anothers() -> None:
    record = ExitRecord(EXEC)
    record.created(0)
    record.starting()
    record.start_failed(StartFailedError("no such binary"))
    record.answered(answer(ProcessState.CREATED, pid=0))
    phases = [record.phase]
    record.answered(answer(ProcessState.RUNNING, pid=8))
    phases.append(record.phase)
    assert phases == [Phase.STARTING, Phase.DELETED]
    with pytest.raises(StartFailedError):
        await record.wait()


async def test_a_shim_that_hangs_says_nothing_of_who_has_the_ids() -> None:
    record = running_record(pid=7)
    record.answered(answer(ProcessState.UNKNOWN, pid=0))
    record.exited(7, DONE)
    record.answered(answer(ProcessState.UNKNOWN, pid=0))
    assert record.phase is Phase.STARTED


async def test_a_start_whose_answer_was_lost_learns_its_pid_by_asking() -> None:
    record = ExitRecord(EXEC)
    record.created(0)
    record.starting()
    record.start_unanswered()
    record.exited(7, DONE)
    assert record.answered(answer(ProcessState.RUNNING, pid=7)) is Verdict.SETTLED
    assert await record.wait() == DONE


@pytest.mark.parametrize(("key", "again"), [(TASK, True), (EXEC, False)], ids=["a task", "an exec"])
async def test_only_a_task_may_be_started_again_when_start_got_no_answer(
    key: ProcessKey, again: bool
) -> None:
    """The shim of an exec would panic."""
    record = ExitRecord(key)
    record.created(7)
    record.starting()
    record.start_unanswered()
    record.answered(answer(ProcessState.CREATED))
    assert not record.settled
    assert record.start_in_doubt is again


async def test_a_failed_start_fails_the_waits() -> None:
    record = ExitRecord(EXEC)
    record.created(0)
    before = record.wait()
    record.starting()
    record.start_failed(StartFailedError("no such binary"))
    for wait in (before, record.wait()):
        with pytest.raises(StartFailedError, match="no such binary"):
            await wait


async def test_deleting_what_was_never_started_fails_its_waits() -> None:
    record = ExitRecord(TASK)
    record.created(7)
    exited = record.wait()
    record.deleted(0, 0, None)
    with pytest.raises(ProcessLostError, match="before it was started"):
        await exited


async def test_the_kill_that_deletes_what_was_never_started_is_no_exit() -> None:
    record = ExitRecord(TASK)
    record.created(7)
    exited = record.wait()
    record.deleting = True
    assert record.exited(7, KILLED) is Verdict.DROPPED
    assert record.answered(answer(ProcessState.STOPPED, status=KILLED)) is Verdict.DROPPED
    record.deleted(7, 137, 1_000)
    with pytest.raises(ProcessLostError, match="before it was started"):
        await exited


async def test_what_was_killed_and_could_not_be_deleted_has_ended() -> None:
    record = ExitRecord(TASK)
    record.created(7)
    record.deleting = True
    record.exited(7, KILLED)
    record.deleting = False
    assert record.answered(answer(ProcessState.STOPPED, status=KILLED)) is Verdict.SETTLED
    assert await record.wait() == KILLED


async def test_the_answer_of_delete_tells_the_status() -> None:
    record = running_record()
    record.deleted(7, 3, 1_000)
    assert await record.wait() == ExitStatus(3, 1_000)


async def test_an_answer_of_delete_without_a_time_leaves_the_word_to_the_event() -> None:
    record = running_record()
    assert record.deleted(7, 0, None) is Verdict.DROPPED
    assert record.exited(8, KILLED) is Verdict.DROPPED
    assert record.exited(7, KILLED) is Verdict.SETTLED


async def test_an_answer_of_delete_that_is_about_another_process_tells_nothing_of_this_one() -> None:
    record = running_record(pid=7)
    record.deleted(8, 3, 1_000)
    with pytest.raises(ProcessLostError, match="created anew"):
        await record.wait()


async def test_failing_the_waits_writes_no_outcome() -> None:
    record = running_record()
    exited = record.wait()
    record.fail_waits(ProcessLostError("closed"))
    for wait in (exited, record.wait()):
        with pytest.raises(ProcessLostError, match="closed"):
            await wait
    assert record.outcome is None


async def test_each_wait_gets_an_exception_of_its_own_with_the_cause() -> None:
    record = running_record()
    error = ProcessLostError("gone")
    error.__cause__ = ValueError("why")
    first, second = record.wait(), record.wait()
    record.lost(error)
    assert first.exception() is not second.exception()
    cause = first.exception()
    assert cause is not None
    assert isinstance(cause.__cause__, ValueError)


async def test_a_note_on_the_exception_of_one_wait_is_on_no_other() -> None:
    record = running_record()
    error = ProcessLostError("gone")
    error.add_note("of all")
    record.lost(error)
    first, second = record.wait().exception(), record.wait().exception()
    assert first is not None
    assert second is not None
    first.add_note("of the first")
    assert second.__notes__ == ["of all"]
    assert record.wait().exception().__notes__ == ["of all"]  # type: ignore[union-attr]


async def test_an_open_wait_keeps_its_record_and_a_resolved_one_does_not() -> None:
    record = running_record()
    exited = record.wait()
    phases: list[Phase] = []
    exited.add_done_callback(lambda _: phases.append(record.phase))
    record.exited(7, DONE)
    await exited
    await anyio.lowlevel.checkpoint()
    assert phases == [Phase.STARTED]
    assert not record.awaited


async def test_a_failed_wait_that_nobody_awaits_stays_quiet(caplog: pytest.LogCaptureFixture) -> None:
    record = running_record()
    record.wait()
    record.lost(ProcessLostError("gone"))
    del record
    gc.collect()
    await anyio.lowlevel.checkpoint()
    assert "never retrieved" not in caplog.text
