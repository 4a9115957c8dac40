"""What is done to running tasks, and what is said where their state forbids it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from containerd_aio.cli.control import Act, for_tasks, paused, resumed, send_signal, stopped
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.task import Task
from containerd_aio.testing import FakeContainerd


async def test_a_signal_that_is_none_is_refused_before_anything_is_looked_for() -> None:
    with pytest.raises(InvalidArgumentError, match="there is no signal 'NOSUCH'; give"):
        await send_signal(["web"], "NOSUCH", all=False, address="/no/such.sock", namespace=None)


async def created(task: Task) -> None:
    pass


async def frozen(task: Task) -> None:
    await task.start()
    await task.pause()


async def ended(task: Task) -> None:
    exited = task.wait()
    await task.start()
    await task.kill()
    await exited


@pytest.mark.parametrize(
    ("bring", "act", "complaint"),
    [
        (created, paused, "cannot be paused: it was never started; `rm` removes it"),
        (created, stopped(0), "cannot be stopped: it was never started; `rm` removes it"),
        (frozen, paused, "cannot be paused: it is paused; `resume` lets it go on"),
        (ended, resumed, "cannot be resumed: it has ended; `rm` removes it, `run` makes another"),
    ],
)
async def test_a_state_that_forbids_it_is_told_with_the_command_that_helps(
    bring: Callable[[Task], Awaitable[None]], act: Act, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        FakeContainerd() as fake,
        fake.client() as client,
        await client.new_container("web", image="fake") as container,
        await container.new_task() as task,
    ):
        await bring(task)
        assert await for_tasks(["web"], act, address=fake.address, namespace=client.namespace) == 1
    assert capsys.readouterr().err == f"containerd-aio: task 'web' {complaint}\n"
