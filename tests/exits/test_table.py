"""Any order of reports finds its record, loses no wake-up and wakes nobody twice."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from containerd_aio._exits.record import ExitRecord, Phase, ProcessKey
from containerd_aio._exits.table import ExitTable
from containerd_aio.errors import ClientClosedError, ProcessLostError, StartFailedError
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState, Status

WEB = ProcessKey("web", "")
PS = ProcessKey("web", "ps")


def started(table: ExitTable, key: ProcessKey, pid: int) -> ExitRecord:
    record = table.track(key)
    table.created(record, pid)
    record.starting()
    record.started(pid)
    return record


def found(pid: int, state: ProcessState = ProcessState.RUNNING) -> ProcessRecord:
    return ProcessRecord("web", "", pid, Status(state))


async def test_an_exit_of_an_unknown_process_is_dropped() -> None:
    assert ExitTable().exited(WEB, 7, ExitStatus(0, 1)) == []


async def test_a_doubtful_exit_is_handed_back_to_be_asked_about() -> None:
    table = ExitTable()
    record = started(table, WEB, 7)
    assert table.exited(WEB, 7, ExitStatus(137, 1)) == [record]


async def test_a_process_of_the_same_ids_gets_a_record_of_its_own_and_ends_the_older() -> None:
    table = ExitTable()
    older = started(table, WEB, 7)
    exited = older.wait()
    newer = started(table, WEB, 8)
    with pytest.raises(ProcessLostError, match="created anew"):
        await exited
    table.exited(WEB, 7, ExitStatus(1, 1))
    table.exited(WEB, 8, ExitStatus(0, 2))
    assert await newer.wait() == ExitStatus(0, 2)


async def test_a_create_that_is_refused_leaves_the_process_that_is_there() -> None:
    table = ExitTable()
    record = started(table, WEB, 7)
    second = table.track(WEB)
    table.discard(second)
    table.exited(WEB, 7, ExitStatus(0, 1))
    assert await record.wait() == ExitStatus(0, 1)
    assert len(table) == 1


async def test_the_exit_of_what_we_deleted_may_come_after_its_ids_were_used_again() -> None:
    """Delete's answer may have no time, and then the event, which is late, tells more."""
    table = ExitTable()
    older = started(table, WEB, 7)
    older.deleted(7, 0, None)
    newer = started(table, WEB, 8)
    assert not older.settled
    table.exited(WEB, 7, ExitStatus(3, 1))
    assert await older.wait() == ExitStatus(3, 1)
    assert not newer.settled


async def test_loading_a_process_twice_finds_the_record_that_is_kept() -> None:
    table = ExitTable()
    record = started(table, WEB, 7)
    assert table.known(table.track(WEB), found(7)) is record
    assert table.known(table.track(WEB), found(8)) is None
    assert table.known(table.track(WEB), found(0, ProcessState.UNKNOWN)) is record
    table.exited(WEB, 7, ExitStatus(0, 1))
    assert table.known(table.track(WEB), found(7, ProcessState.STOPPED)) is record
    assert table.known(table.track(WEB), found(0, ProcessState.UNKNOWN)) is None


async def test_an_exec_that_is_started_while_it_is_loaded_is_the_one_that_is_known() -> None:
    table = ExitTable()
    made = table.track(PS)
    table.created(made, 0)
    loading = table.track(PS)
    made.starting()
    made.started(8)
    assert table.known(loading, found(0, ProcessState.CREATED)) is made


async def test_an_exec_that_is_there_anew_is_not_taken_for_the_one_that_ran_or_failed() -> None:
    table = ExitTable()
    ran = started(table, PS, 8)
    assert table.known(table.track(PS), found(0, ProcessState.CREATED)) is None
    ran.phase = Phase.DELETED
    failed = table.track(PS)
    table.created(failed, 0)
    failed.starting()
    failed.start_failed(StartFailedError("no such binary"))
    assert table.known(table.track(PS), found(0, ProcessState.CREATED)) is failed
    assert table.known(table.track(PS), found(9)) is None


async def test_what_is_being_created_is_passed_over_and_marked() -> None:
    table = ExitTable()
    creating = table.track(WEB)
    running = started(table, PS, 8)
    assert table.unsettled() == [running]
    assert creating.passed_over
    assert not running.passed_over


async def test_only_what_somebody_waits_for_is_swept() -> None:
    table = ExitTable()
    record = started(table, WEB, 7)
    assert table.awaited() == []
    exited = record.wait()
    assert table.awaited() == [record]
    exited.cancel()
    await asyncio.sleep(0)
    assert table.awaited() == []


async def test_closing_fails_open_waits_and_those_of_later_processes() -> None:
    table = ExitTable()
    exited = started(table, WEB, 7).wait()
    table.fail(ClientClosedError("closed"))
    for wait in (exited, started(table, PS, 8).wait()):
        with pytest.raises(ClientClosedError):
            await wait


async def test_a_record_that_nobody_holds_is_forgotten() -> None:
    table = ExitTable()
    for number in range(1000):
        exited = started(table, WEB, number + 1).wait()
        table.exited(WEB, number + 1, ExitStatus(0, 1))
        await exited
        del exited
    gc.collect()
    assert len(table) == 0


class Exits(RuleBasedStateMachine):
    """Random histories of a few keys, held against the plainest model of what must come out."""

    processes = Bundle("processes")
    waits = Bundle("waits")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.table = ExitTable()
        self.pids = iter(range(1, 1_000_000))
        self.expected: dict[int, int | None] = {}
        self.pid_of: dict[ExitRecord, int] = {}
        self.open: dict[ExitRecord, list[asyncio.Future[ExitStatus]]] = defaultdict(list)
        self.woken: dict[asyncio.Future[ExitStatus], int] = defaultdict(int)

    def teardown(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def run(self, call: object) -> None:
        async def run() -> None:
            assert callable(call)
            call()

        self.loop.run_until_complete(run())

    @rule(target=processes, name=st.sampled_from(["a", "b"]), exec_id=st.sampled_from(["", "x"]))
    def track(self, name: str, exec_id: str) -> ExitRecord:
        record = self.table.track(ProcessKey(name, exec_id))
        pid = self.pid_of[record] = next(self.pids)
        self.expected[pid] = None
        return record

    @rule(record=processes)
    def create(self, record: ExitRecord) -> None:
        if record.phase is not Phase.CREATING:
            return
        # Where the pid is not known yet, one that was begun later counts as the same process, loaded meanwhile.
        records = self.table.records(record.key)
        others = records[: records.index(record)] if record.key.exec_id else records
        for other in others:
            if other is not record and other.phase is not Phase.CREATING and not other.settled:
                self.expected[self.pid_of[other]] = -1
        self.run(lambda: self.table.created(record, 0 if record.key.exec_id else self.pid_of[record]))

    @rule(record=processes)
    def start(self, record: ExitRecord) -> None:
        if record.phase is Phase.CREATED and not record.settled:
            record.starting()
            self.run(lambda: record.started(self.pid_of[record]))

    @rule(target=waits, record=processes)
    def wait(self, record: ExitRecord) -> asyncio.Future[ExitStatus]:
        async def wait() -> asyncio.Future[ExitStatus]:
            return record.wait()

        future = self.loop.run_until_complete(wait())
        future.add_done_callback(lambda f: self.woken.__setitem__(f, self.woken[f] + 1))
        self.open[record].append(future)
        return future

    @rule(future=consumes(waits))
    def cancel(self, future: asyncio.Future[ExitStatus]) -> None:
        self.run(future.cancel)

    @rule(record=processes, code=st.integers(0, 3))
    def exit(self, record: ExitRecord, code: int) -> None:
        """A true exit, and with it duplicates; it can come only when the process was started."""
        pid = self.pid_of[record]
        if record.phase is not Phase.STARTED:
            return
        if self.expected[pid] is None:
            self.expected[pid] = code
        self.run(lambda: self.table.exited(record.key, pid, ExitStatus(code, 1)))

    @rule(record=processes)
    def late_exit_of_an_older_process(self, record: ExitRecord) -> None:
        self.run(lambda: self.table.exited(record.key, 2_000_000, ExitStatus(99, 1)))

    @rule(record=processes)
    def lose(self, record: ExitRecord) -> None:
        if not record.settled and record.phase is Phase.STARTED:
            self.expected[self.pid_of[record]] = -1
            self.run(lambda: record.missing("gone"))

    @invariant()
    def every_wait_is_as_the_model_says(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        for record, futures in self.open.items():
            expected = self.expected[self.pid_of[record]]
            for future in futures:
                if future.cancelled():
                    continue
                assert future.done() == (expected is not None)
                if expected == -1:
                    assert isinstance(future.exception(), ProcessLostError)
                elif expected is not None:
                    assert future.result().code == expected
                assert self.woken[future] == int(future.done())


Exits.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestExits = Exits.TestCase
