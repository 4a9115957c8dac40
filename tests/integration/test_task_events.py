"""What containerd tells of a task's end: one exit, and none of what never ran."""

from __future__ import annotations

import pytest

from containerd_aio import Client, Image, NotFoundError, StartFailedError, pipes
from containerd_aio.events import Event, NamespaceDelete, TaskCreate, TaskDelete, TaskExit, TaskStart
from containerd_aio.services.events.subscription import Subscription
from tests.integration.conftest import Shared

pytestmark = pytest.mark.integration


@pytest.fixture
def client(shared: Shared) -> Client:
    return shared.client


@pytest.fixture
def image(shared: Shared) -> Image:
    return shared.image


async def told_so_far(client: Client, events: Subscription[Event]) -> list[object]:
    """The payloads of what came until now; an event of our own is the mark."""
    mark = NamespaceDelete(name="the-end")
    await client.events.publish("/test/end", mark)
    payloads: list[object] = []
    async for event in events:
        assert isinstance(event, Event)
        if event.payload == mark:
            break
        payloads.append(event.payload)
    return payloads


async def test_an_exit_is_told_once_and_with_its_status(client: Client, image: Image) -> None:
    """Also when the task is deleted, which told it a second time once (#4769)."""
    async with client.events.subscribe() as events:
        for code in (0, 3):
            async with (
                await client.new_container(
                    "web", image=image, args=["sh", "-c", f"exit {code}"]
                ) as container,
                await container.new_task() as task,
            ):
                exited = task.wait()
                await task.start()
                status = await exited
                pid = task.pid
                await task.delete()
            payloads = await told_so_far(client, events)
            exits = [payload for payload in payloads if isinstance(payload, TaskExit)]
            assert exits == [TaskExit("web", "web", pid, code, status.exited_at_ns)]
            kinds = [type(payload) for payload in payloads]
            assert kinds.index(TaskCreate) < kinds.index(TaskStart) < kinds.index(TaskExit)
            if TaskDelete in kinds:  # containerd 2.1 loses one now and then
                assert kinds.index(TaskExit) < kinds.index(TaskDelete)


async def test_no_exit_is_told_of_a_task_that_could_not_be_made(client: Client, image: Image) -> None:
    """As it was once (#6429)."""
    async with (
        client.events.subscribe() as events,
        await client.new_container("web", image=image, args=["/no/such/binary"]) as container,
    ):
        for _ in range(3):
            with pytest.raises(StartFailedError, match="/no/such/binary"):
                await container.new_task(stdio=pipes())
        payloads = await told_so_far(client, events)
        assert not any(isinstance(payload, TaskExit | TaskStart) for payload in payloads)
        with pytest.raises(NotFoundError):
            await client.tasks.get("web")
