"""What goes wrong beside the stream: slow shims, loads at the wrong moment, closing in the middle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey, moment
from containerd_aio._exits.table import ExitTable
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio.errors import ClientClosedError, DeadlineExceededError, ProcessLostError
from containerd_aio.services.events import RawEvent
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState, Status
from tests.exits.fakes import NAMESPACE, FakeDaemon
from tests.exits.test_watcher import daemon, running, watcher

__all__ = ["daemon", "watcher"]  # fixtures

UNCLEAR = Status(ProcessState.UNKNOWN)


async def test_closing_answers_those_that_wait_for_the_stream(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    daemon.deaf = True  # so that the stream is not live for a while
    failures: list[BaseException] = []

    async def attach() -> None:
        try:
            await watcher.attached()
        except ClientClosedError as error:
            failures.append(error)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(attach)
            await anyio.wait_all_tasks_blocked()
            await watcher.aclose()
    assert len(failures) == 1


async def test_closing_is_no_crash_while_execs_are_asked_about(
    daemon: FakeDaemon, watcher: ExitWatcher, caplog: pytest.LogCaptureFixture
) -> None:
    task = await running(watcher, daemon)
    await running(watcher, daemon, exec_id="ps", pid=8)
    process = await running(watcher, daemon, exec_id="top", pid=9)
    daemon.exit("web")  # its execs are asked for later
    await task.wait()
    await anyio.wait_all_tasks_blocked()
    with anyio.fail_after(30):
        await watcher.aclose()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    with pytest.raises(ClientClosedError):
        await process.wait()


async def test_a_connection_that_was_closed_is_not_tried_again(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    exited = (await running(watcher, daemon)).wait()
    tries = 0

    @asynccontextmanager
    async def closed(*_: str) -> AsyncIterator[AsyncIterator[RawEvent]]:
        nonlocal tries
        tries += 1
        raise ClientClosedError("the client is closed")
        yield

    monkeypatch.setattr(daemon, "stream", closed)
    daemon.lose()
    with anyio.fail_after(30), pytest.raises(ClientClosedError):
        await exited
    with pytest.raises(ClientClosedError):
        await watcher.attached()
    assert tries == 1


async def test_a_shim_that_hangs_holds_up_nobody_else_where_containerd_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._KNOCK_PATIENCE", 0.05)
    monkeypatch.setattr("containerd_aio._exits.watcher._SWEEP_DEAF", 0.02)
    daemon = FakeDaemon(deaf=True)
    watcher = ExitWatcher(daemon, daemon, NAMESPACE)
    try:
        stuck = await running(watcher, daemon, "stuck", pid=8)
        waits = [stuck.wait()]
        daemon.processes["stuck", ""] = ProcessRecord("stuck", "", 0, UNCLEAR)
        record = await running(watcher, daemon)
        waits.append(record.wait())
        asked = daemon.asked
        await asked.wait()
        daemon.lose()  # the reconciling meets the shim that hangs, and so does each sweep
        with anyio.fail_after(30):
            await watcher.attached()
            await anyio.sleep(0.1)
            daemon.exit("web", code=8, told=False)
            assert (await waits[1]).code == 8
        assert not waits[0].done()
    finally:
        await watcher.aclose()


async def test_a_shim_that_hung_when_the_stream_came_back_is_asked_until_it_answers(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    late = 3
    get = daemon.get

    async def slow(container_id: str, exec_id: str = "") -> ProcessRecord:
        nonlocal late
        answer = await get(container_id, exec_id)
        late -= 1
        if late >= 0:
            raise DeadlineExceededError("context deadline exceeded")  # what containerd says from 2.3 on
        return answer

    daemon.get = slow  # type: ignore[method-assign]
    daemon.lose()
    daemon.exit("web", code=5, told=False)
    with anyio.fail_after(30):
        assert (await exited).code == 5


async def test_loading_while_the_shim_hangs_takes_nothing_from_those_that_wait(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    loaded = watcher.loaded(watcher.track("web"), ProcessRecord("web", "", 0, UNCLEAR))
    assert loaded is record
    assert not exited.done()
    daemon.exit("web", code=3)
    with anyio.fail_after(30):
        assert (await exited).code == 3


async def test_loading_while_the_answer_of_create_is_under_way_ends_neither(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    await watcher.attached()
    daemon.run("web")
    made = watcher.track("web")
    answer = ProcessRecord("web", "", 7, Status(ProcessState.CREATED))
    loaded = watcher.loaded(watcher.track("web"), answer)
    waits = [made.wait(), loaded.wait()]
    watcher.created(made, 7)
    daemon.exit("web", code=4)
    with anyio.fail_after(30):
        assert [(await wait).code for wait in waits] == [4, 4]


async def test_an_exec_that_is_loaded_while_it_is_made_is_not_lost(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    await watcher.attached()
    made = watcher.track("web", "ps")
    answer = ProcessRecord("web", "ps", 0, Status(ProcessState.CREATED))
    loaded = watcher.loaded(watcher.track("web", "ps"), answer)
    watcher.created(made, 0)
    assert not loaded.settled


async def test_a_status_that_comes_before_the_stream_is_back_blames_the_restart(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record, other = await running(watcher, daemon), await running(watcher, daemon, "other", pid=8)
    daemon.stop()
    await anyio.wait_all_tasks_blocked()
    watcher.missing(record)
    with pytest.raises(ProcessLostError, match="while containerd was down"):
        await record.wait()
    daemon.up = True
    with anyio.fail_after(30):
        await watcher.attached()
    await anyio.wait_all_tasks_blocked()
    watcher.missing(other)
    with pytest.raises(ProcessLostError, match="its shim died"):
        await other.wait()


async def test_a_process_that_somebody_else_started_counts_as_started() -> None:
    record = ExitRecord(ProcessKey("web", "ps"))
    record.created(0)
    exited = record.wait()
    record.answered(ProcessRecord("web", "ps", 7, Status(ProcessState.RUNNING)))
    assert record.pid == 7
    record.exited(7, ExitStatus(3, 1_000))
    assert (await exited).code == 3


async def test_a_doubtful_exit_that_was_heard_before_the_pid_was_known_is_asked_about(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pid is learned by an answer that was given before that exit: containerd must be asked once more."""
    await watcher.attached()
    record = watcher.track("web", "ps")
    watcher.created(record, 0)
    record.starting()
    record.start_unanswered()
    exited = record.wait()
    daemon.tell("web", "ps", pid=7, status=ExitStatus(137, 1_000))
    await anyio.wait_all_tasks_blocked()
    answers = [Status(ProcessState.RUNNING), Status(ProcessState.STOPPED, ExitStatus(137, 1_000))]

    async def get(container_id: str, exec_id: str = "") -> ProcessRecord:
        return ProcessRecord(container_id, exec_id, 7, answers.pop(0))

    monkeypatch.setattr(daemon, "get", get)
    with anyio.fail_after(2):
        await watcher.ask(record)
        assert (await exited).code == 137


async def test_a_shim_that_hangs_is_loaded_as_a_process_of_its_own_where_the_known_one_has_ended(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    """It may be the same one, or another: neither is told of the other's end, nor of its deletion."""
    old = await running(watcher, daemon)
    status = daemon.exit("web", code=3)
    assert await old.wait() == status
    new = watcher.loaded(watcher.track("web"), ProcessRecord("web", "", 0, UNCLEAR))
    assert new is not old
    with anyio.fail_after(2):
        assert await new.wait() == status  # by asking again
    watcher.answered(old, ProcessRecord("web", "", 7, Status(ProcessState.STOPPED, status)), moment())
    assert old.phase is Phase.STARTED


async def test_what_was_deleted_in_the_place_of_a_process_that_was_gone_is_logged(
    daemon: FakeDaemon, watcher: ExitWatcher, caplog: pytest.LogCaptureFixture
) -> None:
    task = await running(watcher, daemon)
    watcher.deleted(task, DeletedProcess(8, 3, 1_000))
    assert "task 'web' was deleted by somebody else, and so was, by us" in caplog.text
    with pytest.raises(ProcessLostError, match="created anew"):
        await task.wait()


async def test_execs_are_given_time_when_their_task_is_deleted(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    """The answer of Delete may overtake the events of the execs that ended with it."""
    task = await running(watcher, daemon)
    process = await running(watcher, daemon, exec_id="ps", pid=8)
    exited = process.wait()
    daemon.exit("web", told=False)
    watcher.deleted(task, DeletedProcess(7, 0, 1_000))
    daemon.processes.clear()
    daemon.tell("web", "ps", pid=8, status=ExitStatus(2, 1_000))
    with anyio.fail_after(30):
        assert (await exited).code == 2


async def test_execs_of_which_nothing_comes_are_lost_with_their_task(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._LATE_EVENT", 0.02)
    task = await running(watcher, daemon)
    process = await running(watcher, daemon, exec_id="ps", pid=8)
    watcher.deleted(task, DeletedProcess(7, 0, 1_000))
    with anyio.fail_after(30), pytest.raises(ProcessLostError, match="deleted"):
        await process.wait()


async def test_what_is_doubted_in_the_moment_of_a_loss_is_asked_for_afterwards(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = daemon.stream
    closing, go_on = anyio.Event(), anyio.Event()

    @asynccontextmanager
    async def slow_to_close(*filters: str) -> AsyncIterator[AsyncIterator[RawEvent]]:
        async with stream(*filters) as events:
            try:
                yield events
            finally:
                closing.set()
                with anyio.CancelScope(shield=True):
                    await go_on.wait()

    monkeypatch.setattr(daemon, "stream", slow_to_close)
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.lose()
    daemon.exit("web", code=6, told=False)
    with anyio.fail_after(30):
        await closing.wait()
        watcher.doubt(record)
        go_on.set()
        assert (await exited).code == 6


def test_from_another_event_loop_it_says_so() -> None:
    daemon = FakeDaemon()
    watcher = ExitWatcher(daemon, daemon, NAMESPACE)
    records: list[ExitRecord] = []

    async def attach() -> None:
        records.append(await running(watcher, daemon))

    async def wait() -> None:
        watcher.wait(records[0])

    asyncio.run(attach())
    for call in (watcher.attached, wait, watcher.aclose):
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(call())


@pytest.mark.parametrize(
    "count", [30_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_processes_that_were_awaited_and_forgotten_leave_the_table_empty(
    without_debug: None, count: int
) -> None:
    table = ExitTable()
    gc.collect()
    before = len(gc.get_objects())
    for number in range(count):
        key = ProcessKey(f"web-{number % 7}", "" if number % 3 else f"ps-{number}")
        record = table.track(key)
        table.created(record, number + 1)
        record.starting()
        record.started(number + 1)
        exited = record.wait()
        if number % 5:
            table.exited(key, number + 1, ExitStatus(0, 1))
            assert exited.done()
        else:
            exited.cancel()
        if number % 1000 == 0:
            await asyncio.sleep(0)
    del record, exited
    await asyncio.sleep(0)
    gc.collect()
    assert len(table) == 0
    assert len(gc.get_objects()) < before + 1000


async def test_the_exit_of_an_init_does_not_look_at_all_other_containers(without_debug: None) -> None:
    """20,000 tasks that end at once are 20,000 steps, not their square, which would take minutes."""
    table = ExitTable()
    records = []
    for number in range(20_000):
        records.append(table.track(ProcessKey(f"web-{number}", "")))
        table.created(records[-1], number + 1)
    with anyio.fail_after(30):
        for number in range(20_000):
            assert table.execs_of(f"web-{number}") == []
            if number % 100 == 0:
                await anyio.lowlevel.checkpoint()


async def test_what_is_lost_takes_its_execs_along_but_not_its_successor() -> None:
    table = ExitTable()
    task = table.track(ProcessKey("web", ""))
    table.created(task, 7)
    process = table.track(ProcessKey("web", "ps"))
    table.created(process, 0)
    table.missing(task, "gone")
    with pytest.raises(ProcessLostError, match="gone"):
        await process.wait()
    successor = table.track(ProcessKey("web", ""))
    table.created(successor, 8)
    table.missing(task, "gone")
    assert not successor.settled
