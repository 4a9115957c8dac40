"""A shim is killed: containerd says NOT_FOUND at once, and ends what it left behind a moment later."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from containerd_aio._exits.record import ExitRecord
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio.errors import ProcessLostError
from containerd_aio.types import ExitStatus
from tests.exits.fakes import NAMESPACE, FakeDaemon, FakeWitness
from tests.exits.test_watcher import daemon, running, watcher

__all__ = ["daemon", "watcher"]  # fixtures


def witnessed(record: ExitRecord) -> FakeWitness:
    record.witness = witness = FakeWitness()
    return witness


async def test_a_process_that_outlives_its_shim_is_waited_for_and_so_are_its_execs(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    task = await running(watcher, daemon)
    process = await running(watcher, daemon, exec_id="ps", pid=8)
    init_seen, exec_seen = witnessed(task), witnessed(process)
    waits = [task.wait(), process.wait()]
    daemon.processes.clear()
    daemon.tell("web", pid=7, status=ExitStatus(137, 1_000))  # made up: it runs on
    await anyio.wait_all_tasks_blocked()
    init_seen.end(7)
    await anyio.wait_all_tasks_blocked()
    assert not any(wait.done() for wait in waits)
    exec_seen.end(137)
    with anyio.fail_after(30):
        assert [await wait for wait in waits] == [ExitStatus(7), ExitStatus(137)]


async def test_what_a_status_tells_waits_for_the_end_too(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    record = await running(watcher, daemon)
    witness = witnessed(record)
    exited = record.wait()
    daemon.processes.clear()
    watcher.missing(record)
    assert not exited.done()
    witness.end(3)
    with anyio.fail_after(30):
        assert await exited == ExitStatus(3)


async def test_without_a_stream_it_is_asked_for_when_there_is_one_again(
    daemon: FakeDaemon, watcher: ExitWatcher
) -> None:
    record = await running(watcher, daemon)
    witness = witnessed(record)
    exited = record.wait()
    daemon.stop()
    daemon.processes.clear()
    await anyio.wait_all_tasks_blocked()
    watcher.missing(record)
    daemon.up = True
    with anyio.fail_after(30):
        await watcher.attached()
        await anyio.wait_all_tasks_blocked()
        assert not exited.done()
        witness.end(4)
        assert await exited == ExitStatus(4)


@pytest.mark.parametrize("last_breath", [0.05, 600])
async def test_one_that_does_not_end_is_given_up_and_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, last_breath: float
) -> None:
    """The stream is deaf: one exit is learned by the sweep, which meets the other each time."""
    monkeypatch.setattr("containerd_aio._exits.watcher._KNOCK_PATIENCE", 0.05)
    monkeypatch.setattr("containerd_aio._exits.watcher._SWEEP_DEAF", 0.02)
    monkeypatch.setattr("containerd_aio._exits.inquiry._LAST_BREATH", last_breath)
    daemon = FakeDaemon(deaf=True)
    watcher = ExitWatcher(daemon, daemon, NAMESPACE)
    try:
        stuck = await running(watcher, daemon, "stuck", pid=8)
        witnessed(stuck)
        record = await running(watcher, daemon)
        waits = [stuck.wait(), record.wait()]
        del daemon.processes["stuck", ""]
        daemon.exit("web", code=5, told=False)
        with anyio.fail_after(30):
            assert (await waits[1]).code == 5
            if last_breath == 600:
                assert not waits[0].done()
            else:
                with pytest.raises(ProcessLostError, match="its shim died"):
                    await waits[0]
    finally:
        await watcher.aclose()


async def test_closing_ends_the_waiting_for_an_end(daemon: FakeDaemon, watcher: ExitWatcher) -> None:
    record = await running(watcher, daemon)
    witnessed(record)
    exited = record.wait()
    daemon.processes.clear()
    watcher.doubt(record)
    await anyio.wait_all_tasks_blocked()
    with anyio.fail_after(30):
        await watcher.aclose()
        await asyncio.wait([exited])
