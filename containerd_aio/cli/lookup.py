"""What was named on the command line, containers and images, and doing something to several containers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio

from containerd_aio.cli.program import FAILED, complain
from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import ContainerdError, FailedPreconditionError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.stdio import Stdio
from containerd_aio.task import Task
from containerd_aio.types import ProcessState

_WAYS: Final = {
    ProcessState.CREATED: "it was never started; `rm` removes it",
    ProcessState.PAUSED: "it is paused; `resume` lets it go on",
    ProcessState.STOPPED: "it has ended; `rm` removes it, `run` makes another",
}


async def container_named(client: Client, id: str) -> Container:
    """Return a container.

    :raises NotFoundError: if there is none of that id; the message says where to look
    """
    try:
        return await client.load_container(id)
    except NotFoundError as error:
        raise error.reworded(
            f"there is no container '{id}' in namespace '{client.namespace}'; `ps --all` shows those that are, "
            "-n takes another namespace"
        ) from error


async def image_named(client: Client, name: str) -> Image:
    """Return an image.

    :raises NotFoundError: if there is none of that name; the message says what to do
    """
    try:
        return await client.image(name)
    except NotFoundError as error:
        raise error.reworded(
            f"there is no image '{name}' in namespace '{client.namespace}'; `images` shows those that are, "
            "`import` brings one from an archive"
        ) from error


async def task_of(container: Container, stdio: Stdio | None = None) -> Task:
    """Return a container's task, connected with ``stdio``.

    :raises NotFoundError: if it has none
    """
    try:
        return await container.task(stdio)
    except NotFoundError as error:
        raise error.reworded(
            f"container '{container.id}' has no task: it is only stored, nothing runs in it"
        ) from error


async def task_named(client: Client, id: str) -> Task:
    """Return the task of a container, connected with nothing.

    :raises NotFoundError: if there is no such container, or it has no task
    """
    return await task_of(await container_named(client, id))


@asynccontextmanager
async def state_told(task: Task, what: str) -> AsyncGenerator[None]:
    """Block with a call that the task's state may forbid; the way out is then told as a command, not as a method.

    :raises FailedPreconditionError: if the state forbids it
    """
    try:
        yield
    except FailedPreconditionError as error:
        way = _WAYS.get((await task.status()).state)
        if way is None:
            raise
        raise error.reworded(f"{task.name} cannot {what}: {way}") from error


async def each(names: Sequence[str], act: Callable[[str], Awaitable[str]]) -> int:
    """Do something to all of them at once, and print what it gives for each, in their order.

    What fails is told on stderr and keeps nothing else from being done; the code is 1 then.
    """
    acts = [_Act(name, act) for name in dict.fromkeys(names)]
    code = 0
    async with anyio.create_task_group() as group:
        for one in acts:
            group.start_soon(one.run)
        for one in acts:
            code = max(code, await one.told())
    return code


class _Act:
    """What is done to one of several."""

    def __init__(self, name: str, act: Callable[[str], Awaitable[str]]) -> None:
        self._name = name
        self._act = act
        self._done = anyio.Event()
        self._result = ""
        self._failure: ContainerdError | OSError | None = None

    async def run(self) -> None:
        try:
            self._result = await self._act(self._name)
        except (ContainerdError, OSError) as error:
            self._failure = error
        self._done.set()

    async def told(self) -> int:
        await self._done.wait()
        if self._failure is not None:
            complain(self._failure)
            return FAILED
        print(self._result, flush=True)
        return 0
