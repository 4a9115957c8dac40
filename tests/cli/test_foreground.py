"""A process in the foreground, and the signals that come meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from containerd_aio.cli.foreground import own_streams, run_to_the_end
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.task import Task
from containerd_aio.testing import FakeContainerd

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def created(fake: FakeContainerd) -> AsyncIterator[Task]:
    async with (
        fake.client() as client,
        await client.new_container("web", image="fake", args=["serve"]) as container,
        await container.new_task() as task,
    ):
        yield task


async def ended_by(
    fake: FakeContainerd, task: Task, *sent: signal.Signals, grace: float = 1000, raw: bool = False
) -> int | None:
    """Run the task in the foreground, send ourselves signals, and return the code that the command ends with."""
    signals = SignalsCaught()

    async def send() -> None:
        await fake.called("Tasks/Start")
        await anyio.wait_all_tasks_blocked()
        for number in sent:
            os.kill(os.getpid(), number)
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            with signals.ending():
                return await run_to_the_end(task, signals, grace=grace, raw=raw)
    assert signals.ended_by is not None
    return 128 + signals.ended_by


async def test_who_types_the_keys_to_detach_leaves_the_process_as_it_is() -> None:
    codes: list[int | None] = []
    async with FakeContainerd() as fake, created(fake) as task:

        async def run() -> None:
            codes.append(await run_to_the_end(task, SignalsCaught(), grace=1000, raw=True))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await fake.called("Tasks/Start")
                await anyio.wait_all_tasks_blocked()
                assert codes == []
                task.stdio.detached.set()
        assert codes == [None]
        assert (await task.status()).state == "running"


async def test_the_code_is_the_process_s() -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], code=3)
        async with created(fake) as task:
            assert await ended_by(fake, task) == 3
            assert fake.calls["Tasks/Delete"] == 1


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
)
async def test_a_signal_is_handed_on(number: signal.Signals) -> None:
    async with FakeContainerd() as fake, created(fake) as task:
        assert await ended_by(fake, task, number) == 128 + number
        assert fake.calls["Tasks/Kill"] == 1
        assert (await task.wait()).code == 128 + number


@pytest.mark.parametrize("seconds", [0.05, 0])
async def test_a_signal_that_comes_during_the_start_is_the_process_s(seconds: float) -> None:
    """What the process shows is seen before start() has its answer, and may be what the signal is sent for."""
    async with FakeContainerd() as fake, created(fake) as task:
        with fake.delay("Tasks/Start", seconds):
            assert await ended_by(fake, task, signal.SIGUSR1) == 128 + signal.SIGUSR1
        assert (await task.wait()).code == 128 + signal.SIGUSR1


async def test_the_second_one_ends_the_command_also_while_it_starts() -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], seconds=None, ignores=IGNORED)
        async with created(fake) as task:
            with fake.delay("Tasks/Start", 0.5):
                assert await ended_by(fake, task, signal.SIGINT, signal.SIGTERM) == 128 + signal.SIGTERM


async def test_the_second_one_ends_the_command_also_while_the_while_the_first_is_on_its_way() -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], seconds=None, ignores=IGNORED)
        async with created(fake) as task:
            with fake.delay("Tasks/Kill", 1000):
                assert await ended_by(fake, task, signal.SIGINT, signal.SIGTERM) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_after_the_grace_one_is_enough(number: signal.Signals) -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], seconds=None, ignores=IGNORED)
        async with created(fake) as task:
            assert await ended_by(fake, task, number, grace=0.01) == 128 + number


async def test_signals_that_do_not_end_may_come_any_number_of_times() -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], seconds=None, ignores=(signal.SIGUSR1, signal.SIGQUIT))
        async with created(fake) as task:
            sent = (signal.SIGUSR1, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTERM)
            assert await ended_by(fake, task, *sent, grace=0) == 128 + signal.SIGTERM
            assert fake.calls["Tasks/Kill"] == 4


async def test_with_a_raw_terminal_a_signal_ends_the_command() -> None:
    async with FakeContainerd() as fake:
        fake.script(["serve"], seconds=None, ignores=IGNORED)
        async with created(fake) as task:
            assert await ended_by(fake, task, signal.SIGTERM, raw=True) == 128 + signal.SIGTERM
            assert fake.calls["Tasks/Kill"] == 0


async def test_a_signal_that_cannot_be_handed_on_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeContainerd() as fake, created(fake) as task:
        with fake.refuse("Tasks/Kill"):
            assert await ended_by(fake, task, signal.SIGTERM, grace=0.01) == 128 + signal.SIGTERM
        assert "Tasks/Kill" in capsys.readouterr().err


def test_a_terminal_is_typed_into_only_where_stdin_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as no_terminal:
        monkeypatch.setattr(sys, "stdin", no_terminal)
        with pytest.raises(InvalidArgumentError, match="leave -t out"):
            own_streams(interactive=True, terminal=True)
        assert own_streams(interactive=False, terminal=True).terminal
        assert not own_streams(interactive=True, terminal=False).terminal
