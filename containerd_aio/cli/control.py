"""What is done to running tasks: ``kill``, ``stop``, ``pause``, ``resume``, ``wait``; each to several at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from containerd_aio.cli.lookup import each, state_told, task_named
from containerd_aio.client import Client
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.task import Task
from containerd_aio.types.signal import signal_number

Act = Callable[[Task], Awaitable[str]]


async def for_tasks(names: Sequence[str], act: Act, *, address: str | None, namespace: str | None) -> int:
    """Do something to the tasks of containers, print what it gives for each, and return 1 if any failed."""
    async with Client(address, namespace=namespace) as client:

        async def found(name: str) -> str:
            return await act(await task_named(client, name))

        return await each(names, found)


async def send_signal(
    names: Sequence[str], signal: str, *, all: bool, address: str | None, namespace: str | None
) -> int:
    """Send a signal, by number or name, to tasks; return 1 if any failed.

    :raises InvalidArgumentError: if there is no such signal, before anything is asked of containerd
    """
    return await for_tasks(names, killed(signal, all=all), address=address, namespace=namespace)


def killed(signal: str, *, all: bool) -> Act:
    """Return the act of sending a signal, by number or name.

    :raises InvalidArgumentError: if there is no such signal
    """
    wanted = signal_number(int(signal) if signal.isdecimal() else signal)

    async def act(task: Task) -> str:
        try:
            await task.kill(wanted, all=all)
        except NotFoundError as error:
            if (ended := (await task.status()).exit_status) is None:
                raise
            raise FailedPreconditionError(f"{task.name} has {ended}: there is nothing to kill") from error
        return task.id

    return act


def stopped(grace: float) -> Act:
    """Return the act of asking for the end, and killing after ``grace`` seconds."""

    async def act(task: Task) -> str:
        async with state_told(task, "be stopped"):
            await task.stop(grace)
        return task.id

    return act


async def paused(task: Task) -> str:
    """Freeze a task."""
    async with state_told(task, "be paused"):
        await task.pause()
    return task.id


async def resumed(task: Task) -> str:
    """Let a frozen task go on."""
    async with state_told(task, "be resumed"):
        await task.resume()
    return task.id


async def awaited(task: Task) -> str:
    """Wait for the end of a task, and return its code."""
    return str((await task.wait()).code)
