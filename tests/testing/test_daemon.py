"""The fake as a user's test sees it: what runs in it, and what is told of it."""

from __future__ import annotations

import os
import signal
import socket
import stat
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    Container,
    InvalidArgumentError,
    NotFoundError,
    ProcessState,
    StartFailedError,
    Task,
    UnknownError,
    log_file,
    pipes,
)
from containerd_aio.events import TaskCreate, TaskDelete, TaskExit
from containerd_aio.services.tasks import Tasks
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd


async def running(client: Client, id: str = "web", *args: str) -> tuple[Container, Task]:
    container = await client.new_container(id, image=FAKE_IMAGE, args=args or None)
    task = await container.new_task()
    await task.start()
    return container, task


async def test_a_test_of_a_user_reads_like_this() -> None:
    async with FakeContainerd() as fake, fake.client() as client:
        fake.script(["greet"], stdout=b"hello", code=3)
        done = await client.run("fake", ["greet"])
        assert (done.stdout, done.exit_status.code) == (b"hello", 3)

        container = await client.new_container("web", image="fake", args=["serve"])
        task = await container.new_task()
        await task.start()
        fake.exit(task, code=1)
        assert (await task.wait()).code == 1


async def test_options_of_the_client_are_the_clients(fake: FakeContainerd, tmp_path: Path) -> None:
    async with fake.client(namespace="mine", fifo_dir=tmp_path) as client:
        assert (client.address, client.namespace) == (fake.address, "mine")
        container = await client.new_container("web", image="fake")
        async with await container.new_task(stdio=pipes()) as task:
            assert Path(task.stdio.stdout_path).is_relative_to(tmp_path)
            await task.start()


async def test_the_socket_is_private_and_no_longer_than_a_socket_may_be(fake: FakeContainerd) -> None:
    directory = Path(fake.address).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_ISSOCK(os.stat(fake.address).st_mode)
    assert len(fake.address) < 100


async def test_a_process_runs_until_it_is_told_to_end(fake: FakeContainerd, client: Client) -> None:
    _, task = await running(client)
    exited = task.wait()
    await anyio.wait_all_tasks_blocked()
    assert not exited.done()
    fake.exit(task, 42)
    status = await exited
    assert (status.code, status.exited_at_ns is None) == (42, False)
    assert await task.delete() == status


async def test_a_process_is_told_by_its_ids_as_well(fake: FakeContainerd, client: Client) -> None:
    _, task = await running(client)
    ps = await task.exec("ps", ["ps"])
    await ps.start()
    fake.exit("web", 3, exec_id="ps")
    assert (await ps.wait()).code == 3
    fake.exit("web", 4)
    assert (await task.wait()).code == 4


async def test_an_exec_ends_alone_and_an_init_takes_its_execs_with_it(
    fake: FakeContainerd, client: Client
) -> None:
    _, task = await running(client)
    one, two = [await task.exec(id, ["ps"]) for id in ("one", "two")]
    await one.start()
    await two.start()
    fake.exit(one, 1)
    assert (await one.wait()).code == 1
    assert (await task.status()).state is ProcessState.RUNNING
    fake.exit(task)
    assert ((await two.wait()).code, (await task.wait()).code) == (137, 0)


async def test_only_a_process_that_runs_can_be_told_to_end(fake: FakeContainerd, client: Client) -> None:
    container = await client.new_container("web", image="fake")
    with pytest.raises(LookupError, match="'web'"):
        fake.exit("web")
    task = await container.new_task()
    await task.exec("ps", ["ps"])
    with pytest.raises(LookupError, match="created"):
        fake.exit("web", exec_id="ps")
    with pytest.raises(LookupError, match="exec 'none'"):
        fake.exit("web", exec_id="none")
    await task.start()
    fake.exit(task)
    with pytest.raises(LookupError, match="stopped"):
        fake.exit(task)


async def test_a_task_uses_what_it_is_told(fake: FakeContainerd, client: Client) -> None:
    _, task = await running(client)
    assert (await task.metrics()).memory.usage == 1 << 20
    fake.use(task, memory=5000)
    fake.use("web", cpu_ns=7000)
    metrics = await task.metrics()
    assert (metrics.memory.usage, metrics.cpu.usage_ns) == (5000, 7000)
    with pytest.raises(LookupError, match="'none'"):
        fake.use("none", memory=1)


async def test_the_same_id_in_two_namespaces_needs_the_namespace(
    fake: FakeContainerd, client: Client
) -> None:
    other = client.with_namespace("other")
    _, here = await running(client)
    _, there = await running(other)
    with pytest.raises(LookupError, match="several namespaces"):
        fake.exit("web")
    fake.exit("web", 1, namespace="other")
    assert (await there.wait()).code == 1
    fake.exit(here, 2)  # the object says which
    assert (await here.wait()).code == 2


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, 34])
async def test_a_signal_ends_a_process_with_128_and_its_number(client: Client, sent: int) -> None:
    _, task = await running(client)
    await task.kill(sent)
    assert (await task.wait()).code == 128 + sent


async def test_signals_that_end_nothing_end_nothing(fake: FakeContainerd, client: Client) -> None:
    fake.script(["deaf"], seconds=None, ignores=[signal.SIGTERM])
    _, task = await running(client, "web", "deaf")
    for harmless in (signal.SIGTERM, signal.SIGWINCH, signal.SIGCHLD, signal.SIGCONT):
        await task.kill(harmless)
    assert (await task.status()).state is ProcessState.RUNNING
    await task.kill(signal.SIGKILL)
    assert (await task.wait()).code == 137


async def test_a_signal_waits_while_a_container_is_paused_but_for_kill(client: Client) -> None:
    _, task = await running(client)
    await task.pause()
    await task.kill(signal.SIGTERM)
    assert (await task.status()).state is ProcessState.PAUSED
    await task.resume()
    assert (await task.wait()).code == 143
    _, other = await running(client, "other")
    await other.pause()
    await other.kill(signal.SIGKILL)
    assert (await other.wait()).code == 137


async def test_the_latest_script_that_a_process_begins_with_counts(
    fake: FakeContainerd, client: Client
) -> None:
    fake.script(["sh"], code=1)
    fake.script(["sh", "-c", "x"], code=2)
    fake.script([], code=3)
    fake.script(["sh", "-c"], code=4)
    codes = [
        (await client.run("fake", args)).exit_status.code
        for args in (["sh"], ["sh", "-c"], ["sh", "-c", "x"], ["other"])
    ]
    assert codes == [3, 4, 4, 3]


async def test_a_script_takes_its_time(fake: FakeContainerd, client: Client) -> None:
    fake.script(["slow"], seconds=0.05, code=1, stdout=b"at once")
    start = anyio.current_time()
    done = await client.run("fake", ["slow"])
    assert anyio.current_time() - start >= 0.05
    assert (done.stdout, done.exit_status.code) == (b"at once", 1)


async def test_a_script_that_fails_starts_nothing(fake: FakeContainerd, client: Client) -> None:
    fake.script(["/nope"], fails="stat /nope: no such file or directory")
    container = await client.new_container("web", image="fake", args=["/nope"])
    with pytest.raises(StartFailedError, match="no such file or directory"):
        await container.new_task()
    with pytest.raises(InvalidArgumentError, match="list of strings"):
        fake.script("sh -c")


async def test_a_second_start_of_an_exec_that_failed_kills_the_shim_as_it_does_on_1_6(
    fake: FakeContainerd, client: Client
) -> None:
    fake.script(["/nope"], fails="no such file")
    _, task = await running(client)
    ps = await task.exec("ps", ["/nope"])
    with pytest.raises(StartFailedError):
        await ps.start()
    tasks: Tasks = client.tasks
    with pytest.raises(UnknownError, match="ttrpc: closed"):
        await tasks.start("web", "ps")
    with pytest.raises(NotFoundError):
        await tasks.get("web")


async def test_a_process_writes_when_it_is_told(fake: FakeContainerd, client: Client) -> None:
    container = await client.new_container("web", image="fake")
    task = await container.new_task(stdio=pipes())
    with pytest.raises(LookupError, match="created"):
        await fake.write(task, b"x")
    await task.start()
    assert task.stdout is not None
    assert task.stderr is not None
    await fake.write(task, b"one")
    assert await task.stdout.receive() == b"one"
    await fake.write("web", b"two", stderr=True)
    assert await task.stderr.receive() == b"two"
    fake.exit(task)
    await task.wait()
    await task.delete()


async def test_a_process_that_is_killed_while_it_writes_is_gone(fake: FakeContainerd, client: Client) -> None:
    fake.script(["flood"], stdout=bytes(10_000_000))
    container = await client.new_container("web", image="fake", args=["flood"])
    task = await container.new_task(stdio=pipes())
    await task.start()
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await task.wait()
    await task.kill()
    assert (await task.wait()).code == 137
    await task.delete()


async def test_input_is_echoed_to_its_end(fake: FakeContainerd, client: Client) -> None:
    fake.script(["cat"], echo=True, code=5)
    done = await client.run("fake", ["cat"], input=bytes(range(256)) * 2000)
    assert (done.stdout, done.exit_status.code) == (bytes(range(256)) * 2000, 5)


async def test_output_goes_to_a_log_file(fake: FakeContainerd, client: Client, tmp_path: Path) -> None:
    fake.script(["speak"], stdout=b"out ", stderr=b"err")
    container = await client.new_container("web", image="fake", args=["speak"])
    task = await container.new_task(stdio=log_file(tmp_path / "log"))
    await task.start()
    await task.wait()
    assert (tmp_path / "log").read_bytes() == b"out err"


async def test_create_waits_for_somebody_who_reads_the_output(
    fake: FakeContainerd, client: Client, tmp_path: Path
) -> None:
    await client.new_container("web", image="fake")
    fifo = tmp_path / "out"
    os.mkfifo(fifo)
    mounts = await client.snapshotter("overlayfs").mounts("web")
    with anyio.move_on_after(0.05) as patience:
        await client.tasks.create("web", rootfs=mounts, stdout=str(fifo))
    assert patience.cancelled_caught
    await client.version.get()  # by now the fake has heard of the end, and what was half-made is gone
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        await client.tasks.create("web", rootfs=mounts, stdout=str(fifo))
    finally:
        os.close(reader)


async def test_no_pid_is_of_this_machine(client: Client) -> None:
    _, task = await running(client)
    assert task.pid > 2**22
    with pytest.raises(OSError, match=r"Invalid argument|No such process"):
        os.pidfd_open(task.pid)


async def test_the_image_is_in_every_namespace_unless_it_is_not_wanted(client: Client) -> None:
    for each in (client, client.with_namespace("other")):
        image = await each.image("fake")
        assert image.name == FAKE_IMAGE
        assert (await image.config()).cmd == ("fake",)
        assert not await image.is_unpacked()
        await image.unpack()
        assert await image.is_unpacked()
    async with FakeContainerd(image=None) as bare, Client(bare.address) as other:
        assert await other.list_images() == []
    async with FakeContainerd(image="example.com/mine:1") as own, Client(own.address) as other:
        assert [image.name for image in await other.list_images()] == ["example.com/mine:1"]


async def test_the_image_survives_a_collection_while_it_has_its_name(client: Client) -> None:
    image = await client.image("fake")
    await image.unpack()
    lease = await client.leases.create()
    await client.leases.delete(lease.id, sync=True)
    assert await image.is_unpacked()
    await image.delete(sync=True)
    assert await client.content.list() == []
    assert await client.snapshotter("overlayfs").list() == []


async def test_calls_are_counted(fake: FakeContainerd, client: Client) -> None:
    fake.calls.clear()
    await client.version.get()
    await client.version.get()
    with pytest.raises(NotFoundError):
        await client.tasks.get("none")
    assert fake.calls == {"Version/Version": 2, "Tasks/Get": 1}


async def test_subscriptions_are_counted(fake: FakeContainerd, client: Client) -> None:
    assert fake.subscriptions == 0
    async with client.events.subscribe(), client.events.subscribe():
        assert fake.subscriptions == 2
    await client.version.get()  # what ended them was sent before this
    assert fake.subscriptions == 0


async def test_all_waits_of_a_namespace_take_one_subscription(fake: FakeContainerd, client: Client) -> None:
    tasks = [(await running(client, f"web-{n}"))[1] for n in range(20)]
    waits = [task.wait() for task in tasks for _ in range(3)]
    assert fake.subscriptions == 1
    assert fake.calls["Tasks/Wait"] == 0
    for number, task in enumerate(tasks):
        fake.exit(task, number)
    assert [(await wait).code for wait in waits] == [number for number in range(20) for _ in range(3)]


async def test_two_fakes_know_nothing_of_each_other(fake: FakeContainerd, client: Client) -> None:
    async with FakeContainerd() as second, Client(second.address) as other:
        _, task = await running(other)
        with pytest.raises(NotFoundError):
            await client.tasks.get("web")
        with pytest.raises(LookupError):
            fake.exit(task)
        second.exit(task)
        await task.wait()


async def test_an_old_socket_can_be_connected_to_no_more(fake: FakeContainerd) -> None:
    await fake.die()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(fake.address)
    await fake.start()
    async with Client(fake.address) as again:
        await again.version.get()


async def test_a_deleted_created_task_is_told_as_an_exit_without_a_time(client: Client) -> None:
    container = await client.new_container("web", image="fake")
    async with client.events.subscribe("topic~=tasks") as stream:
        task = await container.new_task()
        await client.tasks.delete("web")  # task.delete() kills it first
        with anyio.fail_after(60):
            created, exited, deleted = [(await anext(stream)).payload for _ in range(3)]
    assert isinstance(created, TaskCreate)
    assert exited == TaskExit("web", "web", task.pid, 137, None)
    assert deleted == TaskDelete("web", task.pid, 0, None, "")
