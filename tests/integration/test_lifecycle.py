"""A container's life on a real containerd, from image to nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    Client,
    ClientClosedError,
    ConnectionLostError,
    FailedPreconditionError,
    Image,
    NotFoundError,
    OutputTooLargeError,
    ProcessFailedError,
    ProcessLostError,
    ProcessState,
    inherit,
    log_file,
    pipes,
    spec,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.types import ExitStatus

pytestmark = pytest.mark.integration


async def test_a_container_runs_speaks_and_ends(client: Client, image: Image) -> None:
    script = "echo out; echo err >&2; exit 7"
    async with (
        await client.new_container("speaker", image=image, args=["sh", "-c", script]) as container,
        await container.new_task(stdio=pipes()) as task,
    ):
        exited = task.wait()
        assert not exited.done()
        assert (await task.status()).state is ProcessState.CREATED
        await task.start()
        status = await exited
        assert status.code == 7
        assert await task.delete() == status
        assert task.stdout is not None
        assert task.stderr is not None
        assert b"".join([chunk async for chunk in task.stdout]) == b"out\n"
        assert b"".join([chunk async for chunk in task.stderr]) == b"err\n"


async def test_every_wait_is_answered_before_and_after_the_end_and_after_delete(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("short", image=image, args=["true"]) as container,
        await container.new_task() as task,
    ):
        early = [task.wait() for _ in range(3)]
        early[0].cancel()
        await task.start()
        statuses = [await wait for wait in early[1:]]
        statuses.append(await task.wait())
        await task.delete()
        statuses.append(await task.wait())
        assert set(statuses) == {statuses[0]}
        assert statuses[0].code == 0


async def test_the_status_is_what_containerd_says_to_the_nanosecond(client: Client, image: Image) -> None:
    async with (
        await client.new_container("exact", image=image, args=["sh", "-c", "exit 5"]) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        await task.start()
        status = await exited
        assert (await task.status()).exit_status == status
        assert await client.tasks.wait(container.id) == status


async def test_a_killed_task_gives_137_and_a_second_kill_finds_nothing(client: Client, image: Image) -> None:
    async with (
        await client.new_container("sleeper", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        await task.start()
        assert (await task.status()).state is ProcessState.RUNNING
        await task.kill("KILL")
        status = await exited
        assert (status.code, status.signal) == (137, signal.SIGKILL)
        with pytest.raises(NotFoundError):
            await task.kill()


async def test_a_running_task_is_not_deleted_unless_it_is_killed(client: Client, image: Image) -> None:
    async with (
        await client.new_container("busy", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(FailedPreconditionError, match=r"task 'busy' is running.*kill"):
            await task.delete()
        with pytest.raises(FailedPreconditionError, match="has a task"):
            await container.delete()
        status = await task.delete(kill=True)
        assert status is not None
        assert status.code == 137


async def test_a_container_is_deleted_with_what_runs_in_it_whoever_started_that(
    client: Client, image: Image
) -> None:
    container = await client.new_container("busy", image=image, args=["sleep", "3600"])
    task = await container.new_task(stdio=pipes())
    exited = task.wait()
    await task.start()
    await (await client.load_container("busy")).delete(kill=True)
    assert (await exited).code == 137
    await task.stdio.aclose()

    container = await client.new_container("busy", image=image, args=["sleep", "3600"])
    await (await container.new_task(stdio=pipes())).start()
    await container.delete(kill=True)
    with pytest.raises(NotFoundError):
        await container.delete(kill=True)


async def test_a_task_that_was_never_started_is_deleted_and_its_waits_fail(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("unborn", image=image, args=["true"]) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        assert await task.delete() is None
        with pytest.raises(ProcessLostError, match="before it was started"):
            await exited


async def test_leaving_the_block_kills_and_removes_everything(client: Client, image: Image) -> None:
    with pytest.raises(ValueError, match="^a bug of the user's$"):
        async with (
            await client.new_container("victim", image=image, args=["sleep", "3600"]) as container,
            await container.new_task(stdio=pipes()) as task,
        ):
            await task.start()
            pid = task.pid
            raise ValueError("a bug of the user's")
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(NotFoundError):
        await client.load_container("victim")


async def test_a_shielded_wait_in_a_cleanup_is_answered(client: Client, image: Image) -> None:
    async with (
        await client.new_container("cleanup", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with anyio.move_on_after(0.05):
            try:
                await task.wait()
            finally:
                with anyio.CancelScope(shield=True), anyio.fail_after(60):
                    await task.kill()
                    assert (await task.wait()).code == 137


async def test_an_exec_runs_beside_the_task_with_its_own_code_env_and_user(
    client: Client, image: Image
) -> None:
    async with (
        await client.new_container("host", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        script = 'echo "$GREETING from $(id -un) in $PWD"; exit 6'
        process = await task.exec(
            "greeter",
            ["sh", "-c", script],
            stdio=pipes(),
            env={"GREETING": "hello"},
            user="app",
            cwd="/tmp",
        )
        async with process:
            assert process.pid == 0
            exited = process.wait()
            await process.start()
            assert process.pid > 0
            assert (await exited).code == 6
            assert process.stdout is not None
            assert b"".join([chunk async for chunk in process.stdout]) == b"hello from app in /tmp\n"
            assert await process.delete() == await exited


async def test_the_pids_of_a_task_name_its_execs(client: Client, image: Image) -> None:
    async with (
        await client.new_container("family", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("nap", ["sleep", "3600"]) as process:
            await process.start()
            pids = {info.exec_id: info.pid for info in await task.pids()}
            assert pids == {None: task.pid, "nap": process.pid}


async def test_a_paused_block_restores_what_it_found(client: Client, image: Image) -> None:
    async with (
        await client.new_container("frozen", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with task.paused():
            assert (await task.status()).state is ProcessState.PAUSED
            async with task.paused():
                pass
            assert (await task.status()).state is ProcessState.PAUSED
            with pytest.raises(FailedPreconditionError, match="paused"):
                await task.pause()
        assert (await task.status()).state is ProcessState.RUNNING


async def test_cat_ends_when_its_stdin_is_closed(client: Client, image: Image) -> None:
    async with (
        await client.new_container("cat", image=image, args=["cat"]) as container,
        await container.new_task(stdio=pipes(stdin=True)) as task,
    ):
        exited = task.wait()
        await task.start()
        assert task.stdin is not None
        assert task.stdout is not None
        await task.stdin.send(b"meow")
        assert await task.stdout.receive() == b"meow"
        await task.stdin.aclose()
        with anyio.fail_after(60):
            assert (await exited).code == 0


async def test_run_gives_what_the_container_wrote(client: Client, image: Image) -> None:
    completed = await client.run(image, ["sh", "-c", "cat; echo err >&2; exit 2"], input=b"x" * 300_000)
    assert completed.exit_status.code == 2
    assert completed.stdout == b"x" * 300_000
    assert completed.stderr == b"err\n"
    assert completed.output_complete


async def test_run_with_check_raises_with_the_end_of_stderr(client: Client, image: Image) -> None:
    with pytest.raises(ProcessFailedError, match="ended with code 3: no luck") as failure:
        await client.run(image, ["sh", "-c", "echo no luck >&2; exit 3"], check=True)
    assert failure.value.exit_status.code == 3
    assert failure.value.stderr == b"no luck\n"


async def test_run_stops_a_container_that_writes_too_much(client: Client, image: Image) -> None:
    with anyio.fail_after(60), pytest.raises(OutputTooLargeError, match="10000 bytes"):
        await client.run(image, ["yes"], max_output=10_000)


async def test_run_that_is_cancelled_leaves_nothing(client: Client, image: Image) -> None:
    with anyio.move_on_after(0.5):
        await client.run(image, ["sleep", "3600"])
    assert await client.list_containers() == []


async def test_output_goes_to_a_log_file(client: Client, image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with (
        await client.new_container(
            "logger", image=image, args=["sh", "-c", "echo a; echo b >&2"]
        ) as container,
        await container.new_task(stdio=log_file(log)) as task,
    ):
        exited = task.wait()
        await task.start()
        await exited
        await task.delete()
    assert sorted(log.read_text().splitlines()) == ["a", "b"]


async def test_output_goes_where_ours_goes(client: Client, image: Image) -> None:
    reading, writing = os.pipe()
    try:
        stdio = inherit(stdin=False, descriptors=(0, writing, writing))
        async with (
            await client.new_container("heir", image=image, args=["echo", "hi"]) as container,
            await container.new_task(stdio=stdio) as task,
        ):
            exited = task.wait()
            await task.start()
            await exited
            await task.delete()
        assert os.read(reading, 100) == b"hi\n"
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_container_is_loaded_and_listed_by_what_is_stored(client: Client, image: Image) -> None:
    async with await client.new_container(
        "stored", image=image, args=["sleep", "9"], labels={"role": "web"}
    ) as container:
        loaded = await client.load_container("stored")
        assert await loaded.spec() == await container.spec()
        assert (await loaded.image()).name == image.name
        found = await client.list_containers("labels.role==web")
        assert [each.id for each in found] == ["stored"]
        assert await loaded.set_labels({"more": "1", "role": ""}) == {"more": "1"}


async def test_a_loaded_task_shares_the_exit_with_the_one_that_made_it(client: Client, image: Image) -> None:
    async with (
        await client.new_container("shared", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        loaded = await (await client.load_container("shared")).task()
        assert loaded.pid == task.pid
        exited = loaded.wait()
        await task.kill()
        assert await exited == await task.wait()


async def test_another_client_waits_for_a_task_that_it_did_not_make(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str
) -> None:
    async with (
        await client.new_container("theirs", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
        Client(daemon.address, namespace=namespace) as other,
    ):
        await task.start()
        exited = (await (await other.load_container("theirs")).task()).wait()
        await task.kill()
        assert (await exited).code == 137
        ended = await (await other.load_container("theirs")).task()
        assert (await ended.wait()).code == 137


async def test_the_image_s_user_and_the_options_reach_the_process(client: Client, image: Image) -> None:
    options = [spec.hostname("box"), spec.user("app"), spec.env({"A": "1"}), spec.memory_limit(64 << 20)]
    completed = await client.run(image, ["sh", "-c", "hostname; id -u; echo $A"], options=options, check=True)
    assert completed.stdout == b"box\n1000\n1\n"


async def test_one_id_is_used_again_and_again(client: Client, image: Image) -> None:
    for code in range(5):
        async with (
            await client.new_container("again", image=image, args=["sh", "-c", f"exit {code}"]) as container,
            await container.new_task() as task,
        ):
            exited = task.wait()
            await task.start()
            assert (await exited).code == code


async def test_true_never_misses_its_exit(client: Client, image: Image) -> None:
    """500 processes that end at once: each wait, asked for before start(), tells what containerd tells."""
    limit = anyio.Semaphore(8)
    seen: list[tuple[ExitStatus, ExitStatus | None]] = []

    async def once(task_id: str, number: int) -> None:
        async with limit, await task.exec(f"true-{number}", ["true"]) as process:
            exited = process.wait()
            await process.start()
            with anyio.fail_after(60):
                status = await exited
            seen.append((status, (await process.status()).exit_status))

    async with (
        await client.new_container("many", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with anyio.create_task_group() as group:
            for number in range(500):
                group.start_soon(once, container.id, number)
    assert len(seen) == 500
    assert all(ours == theirs and ours.code == 0 for ours, theirs in seen)


async def test_a_client_opened_in_one_task_is_closed_in_another(
    daemon: PrivateDaemon, namespace: str
) -> None:
    client = Client(daemon.address, namespace=namespace)
    await asyncio.create_task(client.connect())
    assert (await client.version.get()).version
    await asyncio.create_task(client.aclose())
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.version.get()


async def test_closing_the_client_fails_its_open_waits_and_stops_no_container(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str
) -> None:
    async with (
        await client.new_container("survivor", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with Client(daemon.address, namespace=namespace) as other:
            exited = (await (await other.load_container("survivor")).task()).wait()
        with pytest.raises(ClientClosedError):
            await exited
        assert (await task.status()).state is ProcessState.RUNNING


async def test_views_share_the_connection_and_see_their_own_namespace(client: Client) -> None:
    other = client.with_namespace(f"aio-{uuid.uuid4().hex[:12]}")
    assert await other.list_containers() == []
    await other.aclose()
    assert (await client.version.get()).version


async def test_a_call_fails_at_once_while_containerd_is_away(daemon_of_its_own: PrivateDaemon) -> None:
    async with daemon_of_its_own.client() as client:
        await client.version.get()
        await daemon_of_its_own.stop()
        with anyio.fail_after(60), pytest.raises(ConnectionLostError, match="containerd"):
            await client.list_containers()
