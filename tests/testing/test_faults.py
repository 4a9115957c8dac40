"""What goes wrong on demand, and what this library makes of it."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from grpclib.const import Status

from containerd_aio import (
    Client,
    ConnectionLostError,
    DeadlineExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProcessLostError,
    ProcessState,
    Task,
    events,
)
from containerd_aio._api.containerd.services.events.v1 import SubscribeRequest
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.errors import UnavailableError
from containerd_aio.events import Event, TaskExit
from containerd_aio.services.version import Version
from containerd_aio.testing import FakeContainerd


async def running(client: Client, id: str = "web") -> Task:
    container = await client.new_container(id, image="fake")
    task = await container.new_task()
    await task.start()
    return task


async def test_a_process_that_ran_on_while_the_daemon_was_down_is_waited_for(
    fake: FakeContainerd, client: Client
) -> None:
    task = await running(client)
    exited = task.wait()
    async with fake.down():
        with pytest.raises(ConnectionLostError, match="socket"):
            await Client(fake.address).connect()
    await client.version.get()
    fake.exit(task, 7)
    with anyio.fail_after(60):
        assert (await exited).code == 7


async def test_an_exit_while_the_daemon_was_down_is_kept_as_1_6_keeps_it(
    fake: FakeContainerd, client: Client
) -> None:
    task = await running(client)
    ps = await task.exec("ps", ["ps"])
    await ps.start()
    waits = [task.wait(), ps.wait()]
    async with fake.down():
        fake.exit(task, 7)
    with anyio.fail_after(60):
        assert [(await wait).code for wait in waits] == [7, 137]
    assert await task.delete() == await waits[0]


async def test_an_exit_while_the_daemon_was_down_is_forgotten_as_1_7_forgets_it(
    fake: FakeContainerd, client: Client
) -> None:
    ended, alive = await running(client), await running(client, "alive")
    ps = await alive.exec("ps", ["ps"])
    await ps.start()
    waits = [ended.wait(), ps.wait(), alive.wait()]
    async with fake.down(forget=True):
        fake.exit(ended, 7)
        fake.exit(ps, 8)
    with anyio.fail_after(60):
        with pytest.raises(ProcessLostError, match="containerd was down"):
            await waits[0]
        assert (await waits[1]).code == 8  # execs of a living init are kept
    with pytest.raises(NotFoundError):
        await client.tasks.get("web")
    assert not waits[2].done()
    fake.exit(alive)
    assert (await waits[2]).code == 0


async def test_a_restart_forgets_also_what_had_ended_before(fake: FakeContainerd, client: Client) -> None:
    task = await running(client)
    fake.exit(task, 7)
    assert (await task.wait()).code == 7
    async with fake.down(forget=True):
        pass
    with pytest.raises(NotFoundError):
        await client.tasks.get("web")
    status = await task.delete()
    assert status is not None
    assert status.code == 7


async def test_calls_under_way_break_when_the_daemon_dies(fake: FakeContainerd, client: Client) -> None:
    await running(client)
    with fake.delay("Tasks/Get", 60):
        call = asyncio.ensure_future(client.tasks.get("web"))
        await fake.called("Tasks/Get")
        await fake.die()
        with anyio.fail_after(60), pytest.raises(ConnectionLostError):
            await call
    with pytest.raises(ConnectionLostError, match="nothing listens"):
        await client.version.get()
    await fake.start()
    assert (await client.tasks.get("web")).status.state is ProcessState.RUNNING


async def test_calls_that_are_held_are_answered_when_they_are_let_go(
    fake: FakeContainerd, client: Client
) -> None:
    task = await running(client)
    fake.calls.clear()
    held = fake.hold("Tasks/Get")
    call = asyncio.ensure_future(client.tasks.get("web"))
    await fake.called("Tasks/Get")
    await client.tasks.pause("web")
    assert not call.done()
    held.lift()
    assert (await call).status.state is ProcessState.PAUSED
    assert (await task.status()).state is ProcessState.PAUSED


async def test_a_subscriber_is_registered_late_and_misses_what_comes_before() -> None:
    async with FakeContainerd(subscribe_turns=50) as fake:
        connection = Connection(Address.parse(fake.address))
        caller = connection.caller("default")
        async with (
            Client(fake.address) as client,
            caller.server_stream(
                "containerd.services.events.v1.Events/Subscribe", SubscribeRequest(), Envelope
            ) as stream,
        ):
            await client.events.publish("/early", events.TaskOOM(container_id="a"))
            assert fake.subscriptions == 1
            for _ in range(60):
                await asyncio.sleep(0)
            await client.events.publish("/late", events.TaskOOM(container_id="a"))
            with anyio.fail_after(60):
                assert (await anext(stream)).topic == "/late"
        await connection.aclose()


async def test_a_dropped_exit_is_found_when_the_stream_is_reconciled(
    fake: FakeContainerd, client: Client
) -> None:
    task = await running(client)
    exited = task.wait()
    fake.drop_events()
    fake.exit(task, 7)
    await client.version.get()
    assert not exited.done()
    async with fake.down():
        pass
    with anyio.fail_after(60):
        assert (await exited).code == 7


async def test_events_are_dropped_by_number_and_by_choice(fake: FakeContainerd, client: Client) -> None:
    tasks = [await running(client, f"web-{n}") for n in range(5)]
    seen: list[str] = []
    async with client.events.subscribe("topic~=exit", "topic==" + '"/test/end"') as stream:
        fake.drop_events(2)
        fake.drop_events(lambda event: isinstance(event.payload, TaskExit) and event.payload.id == "web-3")
        for task in tasks:
            fake.exit(task)
        await client.events.publish("/test/end", events.TaskOOM(container_id="end"))
        with anyio.fail_after(60):
            async for event in stream:
                if not isinstance(event.payload, TaskExit):
                    break
                seen.append(event.payload.id)
    assert seen == ["web-2", "web-4"]


async def test_doubled_events_settle_a_wait_once(fake: FakeContainerd, client: Client) -> None:
    task = await running(client)
    with fake.double_events():
        async with client.events.subscribe("topic~=tasks") as stream:
            fake.exit(task, 3)
            seen: list[Event] = []
            with anyio.fail_after(60):
                async for event in stream:
                    seen.append(event)
                    if len(seen) == 2:
                        break
    assert seen[0] == seen[1]
    assert (await task.wait()).code == 3
    await task.delete()


async def test_a_fault_ends_when_it_is_lifted(fake: FakeContainerd, client: Client) -> None:
    doubled = fake.double_events(lambda event: event.topic == "/test/a")
    async with client.events.subscribe("topic~=test") as stream:
        await client.events.publish("/test/a", events.TaskOOM(container_id="1"))
        await client.events.publish("/test/b", events.TaskOOM(container_id="2"))
        doubled.lift()
        doubled.lift()
        await client.events.publish("/test/a", events.TaskOOM(container_id="3"))
        await client.events.publish("/test/end", events.TaskOOM(container_id="4"))
        with anyio.fail_after(60):
            seen: list[str] = []
            async for event in stream:
                assert isinstance(event.payload, events.TaskOOM)
                seen.append(event.payload.container_id)
                if event.topic == "/test/end":
                    break
    assert seen == ["1", "1", "2", "3", "4"]


async def test_late_events_come_late(fake: FakeContainerd, client: Client) -> None:
    task = await running(client)
    exited = task.wait()
    fake.delay_events(0.1, 1)
    start = anyio.current_time()
    fake.exit(task)
    with anyio.fail_after(60):
        await exited
    assert anyio.current_time() - start >= 0.1


async def test_a_slow_reply_meets_the_deadline(fake: FakeContainerd) -> None:
    connection = Connection(Address.parse(fake.address))
    await connection.connect()
    version = Version(connection.caller("default"))
    with fake.delay("Version/Version", 600):
        connection.rpc_timeout = 0.05
        with pytest.raises(DeadlineExceededError):
            await version.get()
    connection.rpc_timeout = 60
    await version.get()
    await connection.aclose()


async def test_calls_are_refused_as_often_as_wished(fake: FakeContainerd, client: Client) -> None:
    fake.refuse("Version/Version", Status.UNAVAILABLE, "busy", times=2)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="busy"):
            await client.version.get()
    await client.version.get()


async def test_where_publishing_is_refused_exits_are_found_by_asking(
    fake: FakeContainerd, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio._exits.watcher._KNOCK_PATIENCE", 0.1)
    with fake.refuse_publish():
        with pytest.raises(PermissionDeniedError):
            await client.events.publish("/test", events.TaskOOM(container_id="1"))
        with anyio.fail_after(60):
            task = await running(client)
            fake.exit(task, 5)
            assert (await task.wait()).code == 5


async def test_an_unknown_status_has_no_pid_and_is_no_answer(fake: FakeContainerd, client: Client) -> None:
    task = await running(client)
    exited = task.wait()
    silence = fake.unknown_status(task)
    record = await client.tasks.get("web")
    assert (record.pid, record.status.state, record.status.exit_status) == (0, ProcessState.UNKNOWN, None)
    assert [each.status.state for each in await client.tasks.list()] == [ProcessState.UNKNOWN]
    async with fake.down():
        fake.exit(task, 7)
    await client.version.get()
    assert not exited.done()
    silence.lift()
    with anyio.fail_after(60):
        assert (await exited).code == 7


async def test_a_killed_shim_takes_its_processes_along_and_no_code_is_invented(
    fake: FakeContainerd, client: Client
) -> None:
    task = await running(client)
    ps = await task.exec("ps", ["ps"])
    await ps.start()
    waits = [task.wait(), ps.wait()]
    async with client.events.subscribe("topic~=tasks") as stream:
        fake.kill_shim(task, seconds=0.05)
        for exec_id in ("", "ps"):
            with pytest.raises(NotFoundError):
                await client.tasks.get("web", exec_id)
        assert await client.tasks.list() == []
        with anyio.fail_after(60):
            told = [await anext(stream) for _ in range(2)]
    payload = told[0].payload
    assert isinstance(payload, TaskExit)
    assert (payload.id, payload.pid, payload.exit_status) == ("web", task.pid, 137)
    assert told[1].topic == "/tasks/delete"
    for wait in waits:
        with anyio.fail_after(60), pytest.raises(ProcessLostError):
            await wait
    container = await client.load_container("web")
    again = await container.new_task()
    await again.start()
    fake.exit(again)
    assert (await again.wait()).code == 0


async def test_a_wait_call_breaks_with_its_shim(fake: FakeContainerd, client: Client) -> None:
    await running(client)
    call = asyncio.ensure_future(client.tasks.wait("web"))
    await fake.called("Tasks/Wait")
    fake.kill_shim("web", seconds=0)
    with anyio.fail_after(60), pytest.raises(Exception, match="ttrpc: closed"):
        await call
