"""What a state forbids: each call in each state, by the same table on every containerd.

containerd answers most of these with UNKNOWN and a text, some with FAILED_PRECONDITION, and which of them depends on
its version; here each is a ``FailedPreconditionError`` that names the state and the way out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from containerd_aio import Client, FailedPreconditionError, Image, NotFoundError, Process, Task, attach, spec
from containerd_aio.cli.busybox import busybox_archive
from tests.integration.conftest import private_daemon

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]
ENDED = r"delete\(\) it and make another$"


@dataclass(frozen=True, slots=True)
class Subjects:
    """A task and its execs; ``added`` was never started, ``running`` runs or did so at the end of the task."""

    task: Task
    loaded: Task
    added: Process
    running: Process

    async def add(self) -> None:
        await self.task.exec("more", ["true"])


Case = tuple[str, Callable[[Subjects], Awaitable[object]], str]

CREATED: list[Case] = [
    ("pause", lambda on: on.task.pause(), r"task 'web' is created; start\(\) it first$"),
    ("resume", lambda on: on.task.resume(), r"task 'web' is created; start\(\) it first$"),
    (
        "checkpoint",
        lambda on: on.task.checkpoint(),
        "task 'web' cannot be checkpointed: it is created, and only",
    ),
    ("stop", lambda on: on.task.stop(), r"task 'web' is created; it was not started; delete\(\) it$"),
    (
        "kill of an exec",
        lambda on: on.added.kill(),
        r"exec 'added'.* is created; start\(\) it first, or delete",
    ),
    ("stop of an exec", lambda on: on.added.stop(), r"exec 'added'.* is created; it was not started"),
]
RUNNING: list[Case] = [
    ("start", lambda on: on.task.start(), "task 'web' is running; it was started before$"),
    ("start by another", lambda on: on.loaded.start(), "task 'web' is running; it was started before$"),
    (
        "delete",
        lambda on: on.task.delete(),
        r"task 'web' is running; wait for its end, kill\(\) it, or delete",
    ),
    ("resume", lambda on: on.task.resume(), "task 'web' is running; only a paused task can be resumed$"),
    ("kill of an exec", lambda on: on.added.kill("TERM"), r"exec 'added'.* is created; start\(\) it first"),
    (
        "start of an exec",
        lambda on: on.running.start(),
        "exec 'running'.* is running; it was started before$",
    ),
    (
        "delete of an exec",
        lambda on: on.running.delete(),
        r"exec 'running'.* is running; .*delete\(kill=True\)",
    ),
]
PAUSED: list[Case] = [
    ("start", lambda on: on.task.start(), "task 'web' is paused; it was started before$"),
    (
        "delete",
        lambda on: on.task.delete(),
        r"task 'web' is paused; wait for its end, kill\(\) it, or delete",
    ),
    ("pause", lambda on: on.task.pause(), r"task 'web' is paused; it stays so until resume\(\)$"),
    (
        "exec",
        lambda on: on.add(),
        r"exec 'more' cannot be added: task 'web' is paused; resume\(\) the task first$",
    ),
    ("kill of an exec", lambda on: on.added.kill(), r"exec 'added'.* is created; start\(\) it first"),
    (
        "delete of an exec",
        lambda on: on.running.delete(),
        r"exec 'running'.* is paused; .*delete\(kill=True\)",
    ),
    (
        "stop of an exec",
        lambda on: on.running.stop(),
        r"exec 'running'.* is paused; resume\(\) the task first$",
    ),
    (
        "start of an exec",
        lambda on: on.added.start(),
        r"exec 'added'.* cannot be started: task 'web' is paused; resume\(\) the task, delete\(\) the exec and add",
    ),
    (
        "start of it again",
        lambda on: on.added.start(),
        "exec 'added'.* it has failed before .*task 'web' is paused",
    ),
]
STOPPED: list[Case] = [
    ("start", lambda on: on.task.start(), r"task 'web' is stopped; it has run, and ended; delete\(\) it"),
    ("start by another", lambda on: on.loaded.start(), "task 'web' is stopped; it has run, and ended"),
    ("pause", lambda on: on.task.pause(), f"task 'web' is stopped; it has ended: {ENDED}"),
    ("resume", lambda on: on.task.resume(), f"task 'web' is stopped; it has ended: {ENDED}"),
    ("exec", lambda on: on.add(), f"exec 'more' cannot be added: task 'web' is stopped; .*{ENDED}"),
    (
        "update",
        lambda on: on.task.update(spec.resources(pids=9)),
        f"task 'web' is stopped; it has ended: {ENDED}",
    ),
    (
        "checkpoint",
        lambda on: on.task.checkpoint(),
        "task 'web' cannot be checkpointed: it is stopped, and only",
    ),
    ("kill of an exec", lambda on: on.added.kill(), r"exec 'added'.* is created; start\(\) it first"),
    ("resize of an exec", lambda on: on.running.resize(80, 25), "exec 'running'.* is stopped; it has ended$"),
    ("start of an exec", lambda on: on.running.start(), "exec 'running'.* is stopped; it has run, and ended"),
    (
        "start of an added exec",
        lambda on: on.added.start(),
        "exec 'added'.* cannot be started: task 'web' is stopped; nothing can run in it any more",
    ),
]


@asynccontextmanager
async def subjects(client: Client, image: Image, state: str) -> AsyncIterator[Subjects]:
    """A task in a state, with its execs."""
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        loaded = await (await client.load_container("web")).task()
        added = await task.exec("added", SLEEP)
        running = await task.exec("running", SLEEP)
        if state != "created":
            await task.start()
            await running.start()
        if state == "paused":
            await task.pause()
        if state == "stopped":
            await task.kill()
            await task.wait()
        yield Subjects(task, loaded, added, running)


async def unlike(client: Client, image: Image, state: str, cases: list[Case]) -> list[str]:
    """What does not answer as the table says."""
    wrong: list[str] = []
    async with subjects(client, image, state) as found:
        for name, call, message in cases:
            try:
                with pytest.raises(FailedPreconditionError, match=message):
                    await call(found)
            except (Exception, pytest.fail.Exception) as error:  # all of the table is to be seen
                wrong.append(f"{state}: {name}: {error!r}")
    return wrong


TABLE: Mapping[str, list[Case]] = {
    "created": CREATED,
    "running": RUNNING,
    "paused": PAUSED,
    "stopped": STOPPED,
}


@pytest.mark.parametrize("state", TABLE)
async def test_what_the_state_forbids_is_said_with_the_way_out(
    client: Client, image: Image, state: str
) -> None:
    assert await unlike(client, image, state, TABLE[state]) == []


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["1.7", "2.1"])
async def test_what_the_state_forbids_is_said_the_same_way_by_other_containerds(
    containerd_versions: Mapping[str, str], version: str
) -> None:
    async with (
        private_daemon(containerd=containerd_versions[version]) as daemon,
        daemon.client() as client,
    ):
        [image] = await client.import_images(busybox_archive())
        for state, cases in TABLE.items():
            assert await unlike(client, image, state, cases) == []


async def test_what_was_deleted_is_not_found_by_any_call(client: Client, image: Image) -> None:
    async with subjects(client, image, "stopped") as found:
        await found.task.delete()
        for call in (
            found.task.start,
            found.task.status,
            found.task.kill,
            found.task.pause,
            found.task.resume,
            found.task.metrics,
            found.task.pids,
            found.add,
            found.loaded.status,
        ):
            with pytest.raises(NotFoundError, match="web"):
                await call()
        with pytest.raises(NotFoundError, match="web"):
            await found.task.update({})
        with pytest.raises(NotFoundError, match="web"):
            await found.task.load_process("running", stdio=attach())
