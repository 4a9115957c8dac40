"""``wait()`` against a real containerd that is killed, frozen and restarted, and whose shims die."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    ConnectionLostError,
    Image,
    NotFoundError,
    Process,
    ProcessLostError,
    ProcessState,
    StartFailedError,
    Task,
    pipes,
)
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._exits.witness import supported as witness_supported
from containerd_aio.errors import FailedPreconditionError
from containerd_aio.events import TaskExit
from containerd_aio.filters import where
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.types import ExitStatus, Status
from tests.integration.conftest import crash
from tests.integration.host import frozen, is_gone, is_runc

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]
ENDS_WITH_7 = ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.02; done"]


async def image_in(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    [image] = await client.import_images(archive)
    await image.unpack(daemon.snapshotter)
    return image


async def started(
    stack: AsyncExitStack, client: Client, image: Image, id: str, args: list[str] = SLEEP
) -> Task:
    container = await stack.enter_async_context(await client.new_container(id, image=image, args=args))
    task = await stack.enter_async_context(await container.new_task())
    await task.start()
    return task


def shim_of(task: Task) -> int:
    return int(Path(f"/proc/{task.pid}/stat").read_text().rpartition(")")[2].split()[1])


async def begun(process: Process) -> None:
    """Wait until it is the program that was started."""

    async def is_itself() -> bool:
        return not is_runc(process.pid)

    await eventually(is_itself)


async def traps(process: Process) -> bool:
    """Whether it has got as far as catching SIGTERM. runc, which it was before, catches all signals."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    if status.startswith("Name:\trunc"):
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> signal.SIGTERM - 1 & 1)


def ended(*pids: int) -> Callable[[], Awaitable[bool]]:
    """What tells whether all of these processes have ended and were reaped."""

    async def all_gone() -> bool:
        return all(is_gone(pid) for pid in pids)

    return all_gone


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(60):
        while not await true():  # noqa: ASYNC110 (there is no event of it)
            await anyio.sleep(0.02)


# -- the stream ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rounds", [20, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
async def test_the_watcher_hears_all_exits_from_the_moment_it_is_attached(
    services: Services, namespace: str, rounds: int
) -> None:
    """In each round a new watcher is attached and told of 100 exits at once; its stream is new each time."""
    lost = 0
    for number in range(rounds):
        watcher = ExitWatcher(services.events, services.tasks, namespace)
        records = [watcher.track("web", f"ps-{number}-{n}") for n in range(100)]
        await watcher.attached()
        for n, record in enumerate(records):
            record.created(0)
            record.starting()
            record.started(n + 1)
        waits = [record.wait() for record in records]

        async def publish(n: int, number: int = number) -> None:
            exit = TaskExit(
                container_id="web", id=f"ps-{number}-{n}", pid=n + 1, exit_status=3, exited_at_ns=10**18
            )
            await services.events.publish("/tasks/exit", exit)

        async with anyio.create_task_group() as group:
            for n in range(100):
                group.start_soon(publish, n)
        done, pending = await asyncio.wait(waits, timeout=60)
        lost += len(pending) + sum(future.result() != ExitStatus(3, 10**18) for future in done)
        await watcher.aclose()
        assert watcher.table.records(records[0].key) == [records[0]]
    assert lost == 0


async def test_without_the_knock_events_after_subscribe_are_missed(daemon_of_its_own: PrivateDaemon) -> None:
    """What the knock is for: containerd says nothing when a subscription begins.

    Both calls reach it while it stands still, Subscribe first; then it takes them up as it likes.
    """
    daemon = daemon_of_its_own
    event = TaskExit(container_id="web", id="web", pid=1, exit_status=0, exited_at_ns=1)
    missed = 0

    async def subscribe(topic: str) -> None:
        nonlocal missed
        async with subscriber.events.stream(where(topic=topic)) as stream:
            await published.wait()
            with anyio.move_on_after(0.5) as scope:
                await anext(stream)
            missed += scope.cancelled_caught

    async with daemon.client() as subscriber, daemon.client() as publisher:
        await subscriber.version.get()
        await publisher.version.get()
        while not missed:
            published = anyio.Event()
            async with anyio.create_task_group() as subscriptions:
                with frozen(daemon.pid):
                    for number in range(100):
                        subscriptions.start_soon(subscribe, f"/race/{number}")
                    await anyio.wait_all_tasks_blocked()
                    publications = [
                        asyncio.create_task(publisher.events.publish(f"/race/{number}", event))
                        for number in range(100)
                    ]
                    await anyio.wait_all_tasks_blocked()
                await asyncio.gather(*publications)
                published.set()
    assert missed > 0


# -- the daemon ------------------------------------------------------------------------------------------------


async def test_waits_survive_a_killed_containerd(
    daemon_of_its_own: PrivateDaemon, archive: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """20 processes, three waits each; the daemon dies twice, is away, and they end with their own codes."""
    daemon = daemon_of_its_own
    async with daemon.client() as client, AsyncExitStack() as stack:
        image = await image_in(client, daemon, archive)
        task = await started(stack, client, image, "host")
        processes: list[Process] = [task]
        for number in range(19):
            process = await stack.enter_async_context(await task.exec(f"ps-{number}", ENDS_WITH_7))
            await process.start()
            processes.append(process)
        for process in processes[1:]:
            await eventually(partial(traps, process))
        waits = [[process.wait() for _ in range(3)] for process in processes]
        for _ in range(2):
            daemon.kill()
            lost = await asyncio.gather(*(process.status() for process in processes), return_exceptions=True)
            assert {type(answer) for answer in lost} <= {
                ConnectionLostError,
                Status,
            }  # some may come before it dies
            await daemon.stop()  # waits for its end
            with pytest.raises(ConnectionLostError):
                await client.version.get()
            await daemon.start()
        assert "socket.send() raised exception" not in caplog.text  # asyncio, of writes to a lost connection
        with anyio.fail_after(60):
            await task.exec("after", ["true"])  # waits until the stream is live again
        assert not any(wait.done() for each in waits for wait in each)
        for process in processes[1:]:
            await process.kill("TERM")
        with anyio.fail_after(60):
            codes = [[(await wait).code for wait in each] for each in waits[1:]]
            await task.kill()
            assert [(await wait).code for wait in waits[0]] == [137] * 3
        assert codes == [[7] * 3] * 19


@pytest.mark.parametrize("witness", [True, False], ids=["with a witness", "without"])
async def test_an_exit_while_containerd_is_down_is_told_truly_or_as_lost(
    daemon_of_its_own: PrivateDaemon, archive: bytes, witness: bool
) -> None:
    daemon = daemon_of_its_own
    async with daemon.client(exit_witness=witness) as client, AsyncExitStack() as stack:
        image = await image_in(client, daemon, archive)
        version = (await client.version.get()).version.removeprefix("v")
        tasks = [await started(stack, client, image, f"web-{n}", ENDS_WITH_7) for n in range(3)]
        process = await stack.enter_async_context(await tasks[2].exec("ps", ENDS_WITH_7))
        await process.start()
        for each in (tasks[1], process):
            await eventually(partial(traps, each))
        waits = [tasks[0].wait(), tasks[1].wait(), process.wait()]
        lives_on = tasks[2].wait()
        await crash(daemon)
        for number, pid in enumerate([tasks[0].pid, tasks[1].pid, process.pid]):
            os.kill(pid, signal.SIGKILL if number == 0 else signal.SIGTERM)
        await eventually(ended(tasks[0].pid, tasks[1].pid, process.pid))
        await daemon.start()
        results: list[int | None] = []
        reasons: list[str] = []
        with anyio.fail_after(60):
            for wait in waits:
                try:
                    results.append((await wait).code)
                except ProcessLostError as error:
                    results.append(None)
                    reasons.append(str(error))
        assert all("containerd was down" in reason for reason in reasons)
        assert not lives_on.done()
    if version.startswith("1.6") or (witness and witness_supported()):
        assert results == [137, 7, 7]
    else:
        assert results == [None, None, 7]  # it removed the tasks when it started


async def test_nothing_is_lost_when_containerd_stands_still(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    daemon = daemon_of_its_own
    async with daemon.client() as client, AsyncExitStack() as stack:
        image = await image_in(client, daemon, archive)
        tasks = [await started(stack, client, image, f"web-{n}") for n in range(4)]
        waits = [task.wait() for task in tasks]
        with frozen(daemon.pid):
            for task in tasks[1:3]:
                os.kill(task.pid, signal.SIGKILL)
            await eventually(ended(*(task.pid for task in tasks[1:3])))
            await anyio.wait_all_tasks_blocked()
            assert not any(wait.done() for wait in waits)
        with anyio.fail_after(60):
            assert {(await wait).code for wait in waits[1:3]} == {137}
        assert not waits[0].done()
        assert not waits[3].done()


@pytest.mark.parametrize("witness", [True, False], ids=["with a witness", "without"])
async def test_a_shim_that_is_killed_makes_no_code_up(
    daemon_of_its_own: PrivateDaemon, archive: bytes, witness: bool
) -> None:
    """containerd says 137 of the init then; the process itself runs on, until containerd kills it."""
    daemon = daemon_of_its_own
    async with daemon.client(exit_witness=witness) as client, AsyncExitStack() as stack:
        image = await image_in(client, daemon, archive)
        task = await started(stack, client, image, "web")
        process = await stack.enter_async_context(await task.exec("ps", SLEEP))
        await process.start()
        waits = [task.wait(), process.wait()]
        os.kill(shim_of(task), signal.SIGKILL)
        with anyio.fail_after(60):
            await asyncio.wait(waits)
        for wait in waits:
            if witness and wait.exception() is None:
                assert wait.result() == ExitStatus(137)  # the kernel's word: it has no time
            else:
                assert isinstance(wait.exception(), ProcessLostError)


@pytest.mark.parametrize("witness", [True, False], ids=["with a witness", "without"])
@pytest.mark.parametrize(("exec_id", "kill"), [("", False), ("ps", True)], ids=["task", "exec, with kill"])
async def test_what_is_deleted_right_after_its_shim_died_is_told_as_its_wait_tells_it(
    daemon_of_its_own: PrivateDaemon, archive: bytes, exec_id: str, kill: bool, witness: bool
) -> None:
    """containerd has forgotten it some 100 ms before it kills what the shim has left behind."""
    daemon = daemon_of_its_own
    async with daemon.client(exit_witness=witness) as client, AsyncExitStack() as stack:
        image = await image_in(client, daemon, archive)
        task = await started(stack, client, image, "web")
        process: Process = task
        if exec_id:
            process = await stack.enter_async_context(await task.exec(exec_id, SLEEP))
            await process.start()
        exited = process.wait()
        os.kill(shim_of(task), signal.SIGKILL)
        with anyio.fail_after(60):
            deleted = await process.delete(kill=kill)
            assert await process.delete(kill=kill) == deleted
            if witness and witness_supported():
                assert deleted == await exited
                assert deleted == ExitStatus(137)
            else:
                assert deleted is None
                with pytest.raises(ProcessLostError):
                    await exited


async def test_leaving_blocks_while_containerd_is_away_leaves_nothing_open_here(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    """Descriptors and asyncio tasks are looked for by the fixtures."""
    daemon = daemon_of_its_own
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        with pytest.raises(ValueError, match="a bug of the user's") as failure:
            async with (
                await client.new_container("web", image=image, args=["cat"]) as container,
                await container.new_task(stdio=pipes(stdin=True)) as task,
            ):
                await task.start()
                await crash(daemon)
                raise ValueError("a bug of the user's")
        assert len(failure.value.__notes__) == 2


# -- start, kill and delete ------------------------------------------------------------------------------------


async def test_execs_that_die_with_their_task_are_told_as_killed(client: Client, image: Image) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        processes = [await task.exec(f"ps-{n}", SLEEP) for n in range(20)]
        for process in processes:
            await process.start()
        waits = [process.wait() for process in processes]
        await task.delete(kill=True)
        with anyio.fail_after(60):
            assert [(await wait).code for wait in waits] == [137] * 20


async def test_a_paused_task_is_removed_by_its_block(client: Client, image: Image) -> None:
    with anyio.fail_after(60):
        async with (
            await client.new_container("frozen", image=image, args=SLEEP) as container,
            await container.new_task() as task,
        ):
            await task.start()
            await task.pause()


async def test_a_task_outside_of_a_block_is_removed_with_its_container_and_so_are_its_streams(
    client: Client, image: Image, fifo_dir: Path
) -> None:
    async with await client.new_container("loose", image=image, args=["cat"]) as container:
        task = await container.new_task(stdio=pipes(stdin=True))
        await task.start()
    assert os.listdir(fifo_dir) == []
    assert (await task.wait()).code == 137


async def test_a_task_that_another_client_started_is_not_said_to_have_failed(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str
) -> None:
    async with (
        await client.new_container("theirs", image=image, args=SLEEP) as container,
        await container.new_task() as task,
        Client(daemon.address, namespace=namespace) as other,
    ):
        exited = task.wait()
        await (await (await other.load_container("theirs")).task()).start()
        with pytest.raises(
            FailedPreconditionError,
            match="it cannot be started: task 'theirs' is running; it was started before",
        ):
            await task.start()
        assert not exited.done()
        await task.kill("KILL")
        assert (await exited).code == 137


async def test_a_task_that_another_client_started_is_killed_by_its_block(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str
) -> None:
    async with (
        await client.new_container("theirs", image=image, args=SLEEP) as container,
        await container.new_task(),
        Client(daemon.address, namespace=namespace) as other,
    ):
        await (await (await other.load_container("theirs")).task()).start()


async def test_an_old_object_does_nothing_to_a_new_process_of_its_ids(client: Client, image: Image) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        old = await task.exec("ps", ["true"])
        exited = old.wait()
        await old.start()
        status = await exited
        assert await old.delete() == status
        async with await task.exec("ps", SLEEP) as new:
            assert await old.delete() == status
            for call in (old.kill, old.status, old.close_io):
                with pytest.raises(NotFoundError):
                    await call()
            async with old:
                pass
            await new.start()
            assert (await new.status()).state is ProcessState.RUNNING


async def test_an_old_object_that_was_never_started_starts_no_other(client: Client, image: Image) -> None:
    async with (
        Client(client.address, namespace=client.namespace) as other,
        await client.new_container("host", image=image, args=SLEEP) as container,
    ):
        old = await container.new_task()
        theirs = await other.load_container("host")
        await (await theirs.task()).delete()
        async with await theirs.new_task() as new:
            if witness_supported():  # without it, that would take one more call for each start
                # Its end may be told or not: containerd 2.1 drops every third event of an init that never ran.
                with pytest.raises((NotFoundError, FailedPreconditionError), match="was deleted|is stopped"):
                    await old.start()
            await old.delete()
            assert (await new.status()).state is ProcessState.CREATED


@pytest.mark.parametrize("exec_id", ["", "ps"], ids=["task", "exec"])
async def test_an_old_object_does_nothing_to_what_another_client_made_of_its_ids(
    client: Client, image: Image, exec_id: str
) -> None:
    """Its end was told, but nobody tells that it was deleted. What has its ids is created, then it runs, then it
    has ended: in the first and the last state nothing but its pid would save it from being deleted."""
    async with (
        Client(client.address, namespace=client.namespace) as other,
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        theirs = await (await other.load_container("host")).task()
        for state in ("created", "running", "stopped"):
            old: Process = task
            if exec_id:
                old = await task.exec(exec_id, SLEEP)
                await old.start()
            await old.kill()
            status = await old.wait()
            if exec_id:
                await (await theirs.load_process(exec_id)).delete()
                new: Process = await theirs.exec(exec_id, SLEEP)
            else:
                await theirs.delete()
                new = theirs = await (await other.load_container("host")).new_task()
            if state != "created":
                await new.start()
            if state == "stopped":
                await new.kill()
                await new.wait()
            with pytest.raises(NotFoundError, match="has ended"):
                await old.kill()
            assert await old.delete() == status
            for call in (old.status, old.kill, old.close_io):
                with pytest.raises(NotFoundError, match="was deleted"):
                    await call()
            assert (await new.status()).state == state
            if exec_id:
                await new.delete(kill=True)
            elif state != "stopped":
                if state == "created":
                    await new.start()
                task = await container.task()
        await theirs.delete(kill=True)


async def test_an_exec_that_cannot_start_says_why_and_is_removed(client: Client, image: Image) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("ps", ["/no/such/binary"], stdio=pipes()) as process:
            exited = process.wait()
            with pytest.raises(StartFailedError, match=r"exec 'ps' of container 'host'.*no/such/binary"):
                await process.start()
            with pytest.raises(StartFailedError):
                await exited
            assert await process.delete() is None
        with pytest.raises(NotFoundError):
            await client.tasks.get("host", "ps")


async def test_what_a_state_forbids_is_named(client: Client, image: Image) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        with pytest.raises(
            FailedPreconditionError, match=r"^it cannot be paused: task 'host' is created; start"
        ):
            await task.pause()
        await task.start()
        with pytest.raises(FailedPreconditionError, match=r"^it cannot be started: task 'host' is running"):
            await task.start()
        with pytest.raises(
            FailedPreconditionError, match=r"^it cannot be resumed: task 'host' is running; only"
        ):
            await task.resume()
        async with await task.exec("ps", ["true"]) as process:
            with pytest.raises(FailedPreconditionError):
                await process.kill()
        await task.kill()
        await task.wait()
        with pytest.raises(FailedPreconditionError, match="is stopped"):
            await task.exec("ps", ["true"])


async def test_a_paused_block_tells_the_user_s_error_and_forgives_the_task_s_end(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(ValueError, match="^a bug of the user's$"):
            async with task.paused():
                raise ValueError("a bug of the user's")
        assert (await task.status()).state is ProcessState.RUNNING
        async with task.paused():
            await task.delete(kill=True)


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_run_with_input_that_nobody_reads_is_no_error(client: Client, image: Image, size: int) -> None:
    with anyio.fail_after(60):
        completed = await client.run(image, ["true"], input=b"x" * size)
    assert completed.exit_status.code == 0


async def test_run_raises_plain_errors_when_containerd_goes_away(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    daemon = daemon_of_its_own
    async with daemon.client() as client:
        image = await image_in(client, daemon, archive)
        async with anyio.create_task_group() as group:

            async def kill() -> None:
                pids: list[int] = []

                async def runs() -> bool:
                    tasks = await client.tasks.list()
                    pids[:] = [task.pid for task in tasks if task.status.state is ProcessState.RUNNING]
                    return bool(pids)

                await eventually(runs)
                await crash(daemon)
                Path(f"/proc/{pids[0]}/root/go").touch()

            group.start_soon(kill)
            with anyio.fail_after(60), pytest.raises((ConnectionLostError, ProcessLostError)):
                script = "until [ -e /go ]; do usleep 10000; done; yes"
                await client.run(image, ["sh", "-c", script], max_output=1000)


# -- the client ------------------------------------------------------------------------------------------------


def test_a_client_may_be_made_outside_of_a_loop_and_thrown_away() -> None:
    Client("/no/such/socket").with_namespace("other")


async def test_a_client_that_was_made_outside_of_a_loop_works(
    daemon_of_its_own: PrivateDaemon, archive: bytes
) -> None:
    client = await anyio.to_thread.run_sync(daemon_of_its_own.client)
    async with client:
        image = await image_in(client, daemon_of_its_own, archive)
        assert (await client.run(image, ["echo", "hi"])).stdout == b"hi\n"


async def test_closing_is_done_also_when_it_is_cancelled(client: Client, image: Image) -> None:
    view = client.with_namespace(client.namespace)
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task() as task:
            other = Client(client.address, namespace=client.namespace)
            async with other:
                exited = (await (await other.load_container("web")).task()).wait()
                closing = asyncio.create_task(other.aclose())
                await asyncio.sleep(0)
                closing.cancel()
                closing.cancel()
                await asyncio.wait([closing])
                assert isinstance(exited.exception(), Exception)
            assert task.pid
    assert await view.list_containers() == []


async def test_a_client_of_another_loop_says_so(client: Client) -> None:
    def elsewhere() -> None:
        for call in (client.connect, client.aclose, client.list_containers):
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(call())

    await anyio.to_thread.run_sync(elsewhere)
    assert await client.list_containers() == []


# -- cancelled twice -------------------------------------------------------------------------------------------


async def cancelled_twice(call: Callable[[], Awaitable[object]], after: int) -> bool:
    """Run it as a task, cancel it after so many turns of the loop, and again and again; tell whether it was."""
    task = asyncio.ensure_future(call())
    for _ in range(after):
        if task.done():
            break
        await asyncio.sleep(0)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    return task.cancelled()


async def test_start_and_delete_leave_nothing_when_they_are_cancelled_twice(
    client: Client, image: Image, fifo_dir: Path
) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34, 100):
            async with await task.exec("nap", SLEEP, stdio=pipes(stdin=True)) as process:
                await cancelled_twice(process.start, turns)
                await cancelled_twice(lambda process=process: process.delete(kill=True), turns)  # type: ignore[misc]
            with pytest.raises(NotFoundError):
                await client.tasks.get("host", "nap")
            assert os.listdir(fifo_dir) == []
