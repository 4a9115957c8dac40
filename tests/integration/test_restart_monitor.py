"""containerd's own restarts, as its labels ask for them: seen by events, and by who waits for the task."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from containerd_aio import Container, NotFoundError, ProcessState, Task, where
from containerd_aio.events import Event, TaskCreate
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services.events.subscription import Subscription
from tests.integration.conftest import CONTAINERD, private_daemon
from tests.integration.test_exits import SLEEP, eventually, image_in

pytestmark = pytest.mark.integration

OFTEN = """
[plugins."io.containerd.internal.v1.restart"]
  interval = "100ms"
"""
STATUS = "containerd.io/restart.status"
POLICY = "containerd.io/restart.policy"


@pytest.fixture
async def restarting() -> AsyncIterator[PrivateDaemon]:
    """A containerd that looks for what it has to restart ten times a second."""
    async with private_daemon(containerd=CONTAINERD, config=OFTEN) as daemon:
        yield daemon


async def next_task(events: Subscription[Event], id: str) -> int:
    """The pid of the next task that is made of this container, by whomever."""
    with anyio.fail_after(60):
        async for event in events:
            if isinstance(event.payload, TaskCreate) and event.payload.container_id == id:
                return event.payload.pid
    raise AssertionError("the stream has ended")


async def running(container: Container) -> Task:
    """Its task, once it runs."""

    async def is_running() -> bool:
        try:
            return (await (await container.task()).status()).state is ProcessState.RUNNING
        except NotFoundError:
            return False

    await eventually(is_running)
    return await container.task()


async def given_up(container: Container) -> None:
    """No monitor makes a task of it from now on."""
    await container.set_labels({STATUS: "stopped"})

    async def is_stopped() -> bool:
        try:
            return (await (await container.task()).status()).state is ProcessState.STOPPED
        except NotFoundError:
            return True

    await eventually(is_stopped)


async def test_what_its_label_wants_to_run_is_made_anew(restarting: PrivateDaemon, archive: bytes) -> None:
    """Without its first task, after a kill, and again; who waits for a task is told of that one's end."""
    async with restarting.client() as client:
        image = await image_in(client, restarting, archive)
        async with (
            client.events.subscribe(where(topic="/tasks/create")) as created,
            await client.new_container("web", image=image, args=SLEEP, labels={STATUS: "running"}) as web,
        ):
            pids = []
            for _ in range(3):
                pids.append(await next_task(created, "web"))
                task = await running(web)
                assert task.pid == pids[-1]
                exited = task.wait()
                await task.kill()
                with anyio.fail_after(60):
                    assert (await exited).code == 137
            assert len(set(pids)) == 3
            await running(web)
            await given_up(web)


async def test_what_fails_is_made_anew_as_often_as_its_label_says(
    restarting: PrivateDaemon, archive: bytes
) -> None:
    """Another container, which is always made anew, is the clock. containerd 1.6 knows no such label."""
    async with restarting.client() as client:
        image = await image_in(client, restarting, archive)
        fails = ["sh", "-c", "exit 7"]
        async with (
            client.events.subscribe(where(topic="/tasks/create")) as created,
            await client.new_container("fails", image=image, args=fails) as failing,
            await failing.new_task() as task,
        ):
            exited = task.wait()
            await task.start()
            with anyio.fail_after(60):
                assert (await exited).code == 7
            await failing.set_labels({STATUS: "running", POLICY: "on-failure:2"})
            assert await next_task(created, "fails") == task.pid
            for _ in range(2):
                assert await next_task(created, "fails") != task.pid
            if (await client.version.get()).release < (1, 7):
                await next_task(created, "fails")
                await given_up(failing)
                return

            async def is_stopped() -> bool:
                return (await (await failing.task()).status()).state is ProcessState.STOPPED

            await eventually(is_stopped)
            last = (await failing.task()).pid
            async with await client.new_container(
                "clock", image=image, args=["true"], labels={STATUS: "running"}
            ) as clock:
                for _ in range(3):
                    await next_task(created, "clock")
                await given_up(clock)
            assert (await failing.task()).pid == last
            assert (await failing.labels())["containerd.io/restart.count"] == "2"


async def test_a_paused_task_is_let_alone_by_containerd_2(restarting: PrivateDaemon, archive: bytes) -> None:
    """Older ones take it for one that does not run, and make it anew."""
    async with restarting.client() as client:
        image = await image_in(client, restarting, archive)
        async with (
            client.events.subscribe(where(topic="/tasks/create")) as created,
            await client.new_container("web", image=image, args=SLEEP, labels={STATUS: "running"}) as web,
        ):
            task = await running(web)
            assert await next_task(created, "web") == task.pid
            await task.pause()
            if (await client.version.get()).release < (2, 0):
                assert await next_task(created, "web") != task.pid
                await running(web)
                await given_up(web)
                return
            async with await client.new_container(
                "clock", image=image, args=["true"], labels={STATUS: "running"}
            ) as clock:
                for _ in range(3):
                    await next_task(created, "clock")
                await given_up(clock)
            assert (await (await web.task()).status()).state is ProcessState.PAUSED
            assert (await web.task()).pid == task.pid
            await task.resume()
            await given_up(web)
