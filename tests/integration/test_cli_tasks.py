"""What people do with containers all day, on the command line: leave them running, look at them, end them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from containerd_aio import Client, Image, ProcessState
from containerd_aio.cli.control import awaited, for_tasks, killed, paused, resumed, stopped
from containerd_aio.cli.images import import_archive, show_images
from containerd_aio.cli.log_files import LOG_FILE_LABEL, VARIABLE
from containerd_aio.cli.logs import show_logs
from containerd_aio.cli.order import Order
from containerd_aio.cli.ps import show_tasks
from containerd_aio.cli.rm import remove
from containerd_aio.cli.run import run_container
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.cli.top import show_usage
from containerd_aio.errors import NotFoundError
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.test_exits import begun, eventually

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "containerd_aio"]
Where = dict[str, str | None]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the logs of this test's containers are."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def where(daemon: PrivateDaemon, namespace: str) -> Where:
    return {"address": daemon.address, "namespace": namespace}


@pytest.fixture
def detached(image: Image, where: Where, logs: Path) -> Callable[..., Awaitable[None]]:
    """``detached(id, *args)`` is ``run -d --id ID IMAGE ARGS...``."""

    async def run(id: str, *args: str, log: Path | None = None) -> None:
        order = Order(image=image.name, id=id, args=args, detach=True, log=log)
        assert await run_container(order, **where, grace=0, signals=SignalsCaught()) == 0

    return run


Detached = Callable[..., Awaitable[None]]


async def says(log: Path, text: str) -> bool:
    """Whether that is what a log holds."""
    return log.exists() and log.read_text() == text


async def test_a_container_is_left_running_looked_at_and_ended(
    image: Image, daemon: PrivateDaemon, namespace: str, logs: Path
) -> None:
    env = {**os.environ, "CONTAINERD_ADDRESS": daemon.address, "CONTAINERD_NAMESPACE": namespace}

    async def typed(*args: str, code: int = 0) -> str:
        with anyio.fail_after(200):
            done = await anyio.run_process([*COMMAND, *args], check=False, env=env)
        assert done.returncode == code, done.stderr
        return done.stdout.decode()

    followed: list[str] = []

    async def follow() -> None:
        followed.append(await typed("logs", "-f", "web"))

    script = "trap 'echo down; exit 7' TERM; echo up; sleep 3600 & wait"
    assert await typed("run", "-d", "--name", "web", image.name, "sh", "-c", script) == "web\n"
    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        task = json.loads(await typed("ps", "--json"))
        assert (task["id"], task["image"], task["state"]) == ("web", image.name, "running")
        assert await typed("exec", "-w", "/tmp", "web", "sh", "-c", "pwd; exit 5", code=5) == "/tmp\n"
        await eventually(lambda: says(logs / namespace / "web.log", "up\n"))
        assert await typed("stop", "web") == "web\n"
    assert followed == ["up\ndown\n"]
    assert await remove(["web"], address=daemon.address, namespace=namespace, force=False) == 0
    assert list(logs.rglob("*.log")) == []


async def test_ps_shows_tasks_in_their_states_and_containers_without_one(
    client: Client, image: Image, where: Where, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        await client.new_container("idle", image=image),
        await client.new_container("busy", image=image, args=["sleep", "100"]) as busy,
        await busy.new_task() as task,
        await client.new_container("done", image=image, args=["sh", "-c", "exit 3"]) as done,
        await done.new_task() as ended,
    ):
        await task.start()
        await task.pause()
        exited = ended.wait()
        await ended.start()
        await exited
        await show_tasks(**where, all=False, quiet=False, as_json=False)
        head, *rows = capsys.readouterr().out.splitlines()
        assert head.split() == ["CONTAINER", "IMAGE", "PID", "STATE", "AGE"]
        assert [row.split()[:5] for row in rows] == [
            ["done", image.name, str(ended.pid), "stopped", "(3)"],
            ["busy", image.name, str(task.pid), "paused", rows[1].split()[-1]],
        ]
        await show_tasks(**where, all=True, quiet=True, as_json=False)
        assert capsys.readouterr().out.split() == ["done", "busy", "idle"]
        await show_tasks(**where, all=True, quiet=False, as_json=True)
        shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [(each["state"], each["exit_code"]) for each in shown] == [
            ("stopped", 3),
            ("paused", None),
            (None, None),
        ]
        await task.resume()


async def test_logs_show_what_was_written_and_its_last_lines(
    detached: Detached, where: Where, capfd: pytest.CaptureFixture[str]
) -> None:
    await detached("job", "sh", "-c", "seq 1000; printf 'no end of line'")
    await for_tasks(["job"], awaited, **where)
    capfd.readouterr()
    await show_logs("job", **where, follow=True, tail=None)
    assert capfd.readouterr().out.split("\n") == [*map(str, range(1, 1001)), "no end of line"]
    await show_logs("job", **where, follow=False, tail=3)
    assert capfd.readouterr().out == "999\n1000\nno end of line"
    assert await remove(["job"], **where, force=False) == 0


async def test_following_a_log_shows_what_is_written_in_the_moment_of_the_end(
    detached: Detached, where: Where, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(10):
        await detached(
            "job", "sh", "-c", "echo begin; dd if=/dev/zero bs=100000 count=20 2>/dev/null; echo end"
        )
        capfd.readouterr()
        with anyio.fail_after(60):
            await show_logs("job", **where, follow=True, tail=None)
        shown = capfd.readouterr().out
        assert len(shown) == 2_000_010, number
        assert shown.endswith("\0end\n")
        assert await remove(["job"], **where, force=True) == 0


async def test_a_log_that_was_named_is_added_to_and_stays(
    detached: Detached, where: Where, tmp_path: Path
) -> None:
    path = tmp_path / "a log"
    path.write_text("before\n")
    await detached("job", "echo", "now", log=path)
    await for_tasks(["job"], awaited, **where)
    assert await remove(["job"], **where, force=False) == 0
    assert path.read_text() == "before\nnow\n"


async def test_a_log_is_for_its_owner_only_and_begins_anew_with_each_container(
    detached: Detached, where: Where, logs: Path, namespace: str
) -> None:
    path = logs / namespace / "job.log"
    path.parent.mkdir(parents=True)
    path.write_text("of another container\n")
    await detached("job", "echo", "now")
    await for_tasks(["job"], awaited, **where)
    assert path.read_text() == "now\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert await remove(["job"], **where, force=False) == 0
    assert not path.exists()


async def test_a_label_that_names_a_file_is_not_believed(
    client: Client, image: Image, where: Where, logs: Path, tmp_path: Path
) -> None:
    """Other clients copy an image's labels to its containers, so an image could name any file."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    labels = {LOG_FILE_LABEL: str(secret), "containerd.io/restart.loguri": f"file://{secret}"}
    await client.new_container("job", image=image, labels=labels)
    with pytest.raises(NotFoundError, match=f"may be in '{secret}'"):
        await show_logs("job", **where, follow=False, tail=None)
    assert await remove(["job"], **where, force=False) == 0
    assert secret.read_text() == "of the host"


async def test_a_container_without_a_log_is_told_of(client: Client, image: Image, where: Where) -> None:
    async with (
        await client.new_container("job", image=image, args=["sleep", "100"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(NotFoundError, match="its output is not kept; `run -d` keeps a log"):
            await show_logs("job", **where, follow=False, tail=None)


async def test_a_start_that_fails_leaves_no_container_and_no_log(
    detached: Detached, client: Client, logs: Path
) -> None:
    with pytest.raises(Exception, match="no/such/binary"):
        await detached("job", "/no/such/binary")
    assert await client.list_containers() == []
    assert list(logs.rglob("*.log")) == []


async def test_several_are_ended_at_once_and_told_in_the_order_given(
    detached: Detached,
    client: Client,
    where: Where,
    logs: Path,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await detached("a", "sh", "-c", "trap 'exit 4' TERM; echo up; sleep 3600 & wait")
    await detached("b", "sh", "-c", "trap '' TERM; echo up; sleep 3600")
    for id in ("a", "b"):
        await eventually(partial(says, logs / namespace / f"{id}.log", "up\n"))
    capsys.readouterr()

    async def kill_the_first_after_the_last() -> None:
        await (await (await client.load_container("a")).task()).wait()
        await (await (await client.load_container("b")).task()).kill()

    async with anyio.create_task_group() as group:
        group.start_soon(kill_the_first_after_the_last)
        assert await for_tasks(["b", "none", "a"], stopped(600), **where) == 1
    told = capsys.readouterr()
    assert told.out == "b\na\n"
    assert "there is no container 'none'" in told.err
    assert await for_tasks(["b", "a"], awaited, **where) == 0
    assert capsys.readouterr().out == "137\n4\n"
    assert await remove(["a", "b"], **where, force=False) == 0


async def test_pause_resume_and_kill(
    detached: Detached, client: Client, where: Where, capsys: pytest.CaptureFixture[str]
) -> None:
    await detached("a", "sleep", "100")
    assert await for_tasks(["a"], paused, **where) == 0
    async with await (await client.load_container("a")).task() as task:
        assert (await task.status()).state is ProcessState.PAUSED
        assert await for_tasks(["a"], resumed, **where) == 0
        assert (await task.status()).state is ProcessState.RUNNING
        assert await remove(["a"], **where, force=False) == 1
        assert "`stop` it first, or `rm -f`" in capsys.readouterr().err
        exited = task.wait()
        assert await for_tasks(["a"], killed("9", all=True), **where) == 0
        assert (await exited).signal is signal.SIGKILL
    capsys.readouterr()
    assert await for_tasks(["a"], killed("TERM", all=False), **where) == 1
    assert "task 'a' has ended with code 137 (SIGKILL): there is nothing" in capsys.readouterr().err
    assert await remove(["a"], **where, force=True) == 0


async def test_top_shows_once_what_tasks_use(
    detached: Detached, client: Client, where: Where, capfd: pytest.CaptureFixture[str]
) -> None:
    await detached("busy", "sh", "-c", "while :; do :; done")
    await detached("idle", "sleep", "100")
    for id in ("busy", "idle"):
        await begun(await (await client.load_container(id)).task())
    shown: list[dict[str, Any]] = []

    async def busy_got_the_processor() -> bool:
        capfd.readouterr()
        assert await show_usage(**where, once=True, interval=0.1, as_json=True) == 0
        shown[:] = map(json.loads, capfd.readouterr().out.splitlines())
        assert shown[0]["cpu_percent"] >= shown[1]["cpu_percent"] >= 0
        return bool(shown[0]["id"] == "busy" and shown[0]["cpu_percent"] > shown[1]["cpu_percent"])

    await eventually(busy_got_the_processor)
    busy, idle = shown
    assert (busy["pids"], idle["id"], idle["pids"]) == (1, "idle", 1)
    assert 0 < idle["memory"] < 64 * 2**20
    assert await show_usage(**where, once=False, interval=0.01, as_json=False) == 0
    head, first, second = capfd.readouterr().out.splitlines()
    assert head.split()[0] == "CONTAINER"
    assert {first.split()[0], second.split()[0]} == {"busy", "idle"}
    assert await remove(["busy", "idle"], **where, force=True) == 0


async def test_images_are_imported_and_shown(
    archive_path: Path, where: Where, capsys: pytest.CaptureFixture[str]
) -> None:
    await import_archive(str(archive_path), **where, name=None)
    name = capsys.readouterr().out.strip()
    assert name == "docker.io/library/busybox:latest"
    await show_images(**where, quiet=False, as_json=False)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["IMAGE", "DIGEST", "SIZE", "AGE"]
    assert row.split()[0] == name
    await show_images(**where, quiet=False, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["digest"][:7]) == (name, "sha256:")
    assert 100_000 < shown["size"] < 10_000_000
