"""Attach, knock, reconcile, live; on loss again: no exit is missed, whatever happens to the stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import anyio
import pytest

from containerd_aio._exits.record import ExitRecord
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    PermissionDeniedError,
    ProcessLostError,
)
from containerd_aio.types import ExitStatus, ProcessRecord, ProcessState, Status
from tests.exits.fakes import NAMESPACE, FakeDaemon


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
async def watcher(daemon: FakeDaemon) -> AsyncIterator[ExitWatcher]:
    watcher = ExitWatcher(daemon, daemon, NAMESPACE)
    yield watcher
    await watcher.aclose()


async def running(
    watcher: ExitWatcher, daemon: FakeDaemon, name: str = "web", exec_id: str = "", pid: int = 7
) -> ExitRecord:
    """A process that this client has created and started."""
    await watcher.attached()
    record = watcher.track(name, exec_id)
    watcher.created(record, 0 if exec_id else pid)
    record.starting()
    daemon.run(name, exec_id, pid=pid)
    watcher.started(record, pid)
    return record


async def test_the_stream_is_knocked_at_until_it_answers(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    daemon.late_by = 3
    with anyio.fail_after(30):
        await watcher.attached()
    assert daemon.calls.count("publish") == 4
    assert daemon.subscriptions == 1


async def test_one_stream_serves_every_wait(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    records = [await running(watcher, daemon, f"web-{n}", pid=n + 1) for n in range(100)]
    waits = [record.wait() for record in records]
    for n in range(100):
        daemon.exit(f"web-{n}", code=n)
    with anyio.fail_after(30):
        assert [(await wait).code for wait in waits] == [*range(100)]
    assert daemon.subscriptions == 1


async def test_an_exit_that_the_stream_missed_is_found_when_it_is_back(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.lose()
    status = daemon.exit("web", code=3, told=False)
    with anyio.fail_after(30):
        assert await exited == status


async def test_a_wait_stays_pending_while_containerd_is_down_and_its_process_runs_on(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.stop()
    await anyio.wait_all_tasks_blocked()
    with pytest.raises(ConnectionLostError):
        await watcher.attached()
    daemon.up = True
    with anyio.fail_after(30):
        await watcher.attached()
    assert not exited.done()
    daemon.exit("web", code=4)
    with anyio.fail_after(30):
        assert (await exited).code == 4


async def test_a_process_that_containerd_forgot_while_it_was_down_is_lost_and_so_are_its_execs(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    task = await running(watcher, daemon)
    process = await running(watcher, daemon, exec_id="ps", pid=8)
    waits = [task.wait(), process.wait()]
    daemon.stop()
    daemon.processes.clear()
    daemon.up = True
    for wait in waits:
        with anyio.fail_after(30), pytest.raises(ProcessLostError, match="while containerd was down"):
            await wait


async def test_many_are_asked_for_by_one_list(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    records = [await running(watcher, daemon, f"web-{n}", pid=n + 1) for n in range(100)]
    execs = [await running(watcher, daemon, "web-1", f"ps-{n}", pid=1000 + n) for n in range(3)]
    waits = [record.wait() for record in [*records, *execs]]
    daemon.lose()
    daemon.calls.clear()
    for n in range(100):
        daemon.exit(f"web-{n}", told=False)
    for n in range(3):
        daemon.exit("web-1", f"ps-{n}", told=False)
    with anyio.fail_after(30):
        await asyncio.wait(waits)
    assert daemon.calls.count("list") == 1
    assert daemon.calls.count("get") == 3


@pytest.mark.parametrize("code", [137, 255])
async def test_a_made_up_code_of_a_dead_shim_is_asked_about_and_lost(
    daemon: FakeDaemon, watcher: ExitWatcher, code: int
) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.processes.clear()
    daemon.tell("web", pid=7, status=ExitStatus(code, 1_000))
    with anyio.fail_after(30), pytest.raises(ProcessLostError, match="shim died"):
        await exited


async def test_a_real_137_is_believed_when_containerd_confirms_it(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    daemon.exit("web", code=137)
    with anyio.fail_after(30):
        assert (await record.wait()).code == 137


async def test_a_shim_that_does_not_answer_is_asked_again(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.processes["web", ""] = ProcessRecord("web", "", 0, Status(ProcessState.UNKNOWN))
    daemon.lose()
    asked = daemon.asked
    with anyio.fail_after(30):
        await asked.wait()
        await anyio.wait_all_tasks_blocked()
    assert not exited.done()
    daemon.processes["web", ""] = ProcessRecord(
        "web", "", 7, Status(ProcessState.STOPPED, ExitStatus(5, 1_000))
    )
    with anyio.fail_after(30):
        assert (await exited).code == 5


async def test_a_process_under_creation_is_not_taken_for_lost(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    await watcher.attached()
    record = watcher.track("web")
    daemon.lose()
    with anyio.fail_after(30):
        await watcher.attached()
        await anyio.wait_all_tasks_blocked()
    assert not record.settled
    daemon.run("web")
    daemon.exit("web", code=6, told=False)  # while it was passed over
    watcher.created(record, 7)
    with anyio.fail_after(30):
        assert (await record.wait()).code == 6


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"publish_error": PermissionDeniedError("no")}, id="refused"),
        pytest.param({"deaf": True}, id="deaf"),
    ],
)
async def test_where_the_stream_cannot_be_proved_containerd_is_asked(
    fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._KNOCK_PATIENCE", 0.05)
    monkeypatch.setattr("containerd_aio._exits.watcher._SWEEP_DEAF", 0.02)
    daemon = FakeDaemon()
    for name, value in fault.items():
        setattr(daemon, name, value)
    watcher = ExitWatcher(daemon, daemon, NAMESPACE)
    try:
        record = await running(watcher, daemon)
        daemon.exit("web", code=8, told=False)
        with anyio.fail_after(30):
            assert (await record.wait()).code == 8
    finally:
        await watcher.aclose()


async def test_an_exit_that_no_event_told_of_is_found_by_the_sweep(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._SWEEP", 0.02)
    record = await running(watcher, daemon)
    exited = record.wait()
    daemon.exit("web", code=9, told=False)
    with anyio.fail_after(30):
        assert (await exited).code == 9


async def test_execs_whose_exit_was_dropped_are_asked_for_after_their_init_s(
    daemon: FakeDaemon, watcher: ExitWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._EXEC_GRACE", 0.02)
    task = await running(watcher, daemon)
    process = await running(watcher, daemon, exec_id="ps", pid=8)
    daemon.exit("web", "ps", code=2, told=False)
    daemon.exit("web")
    with anyio.fail_after(30):
        assert (await process.wait()).code == 2
        assert (await task.wait()).code == 0


async def test_closing_fails_the_open_waits_and_ends_the_stream(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    exited = (await running(watcher, daemon)).wait()
    await watcher.aclose()
    with pytest.raises(ClientClosedError):
        await exited
    with pytest.raises(ClientClosedError):
        await watcher.attached()
    assert daemon.subscriptions == 0


async def test_it_can_be_closed_at_the_moment_of_a_loss(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    await running(watcher, daemon)
    daemon.stop()
    with anyio.fail_after(30):
        await watcher.aclose()


async def test_a_bug_in_the_watcher_fails_the_waits_with_its_cause_and_is_logged_once(
    daemon: FakeDaemon,
    watcher: ExitWatcher,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exited = (await running(watcher, daemon)).wait()

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("containerd_aio._exits.watcher.decode", broken)
    daemon.exit("web")
    with anyio.fail_after(30), pytest.raises(ContainerdError, match="a bug") as failure:
        await exited
    assert isinstance(failure.value.__cause__, RuntimeError)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    with pytest.raises(ContainerdError, match="a bug"):
        await watcher.attached()


async def test_the_seams_are_logged(
    daemon: FakeDaemon, watcher: ExitWatcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "containerd_aio.exits")
    record = await running(watcher, daemon)
    daemon.lose()
    daemon.exit("web", told=False)
    with anyio.fail_after(30):
        await record.wait()
        await anyio.wait_all_tasks_blocked()
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("attached to namespace 'test'")
    assert "lost the event stream" in messages[1]
    assert messages[2] == "attached to namespace 'test', reconciled 1"
