"""The command line, as a person types it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream, Process

from containerd_aio import Client, FailedPreconditionError, Image, ProcessState, pipes
from containerd_aio.cli.attach import attach_to
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "containerd_aio"]
COMMANDS = shlex.join(COMMAND)
UNHEEDING = ["sh", "-c", "echo ready; sleep 3600"]


async def typed(
    *args: str, input: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    with anyio.fail_after(60):
        return await anyio.run_process(
            [*COMMAND, *args], input=input, check=False, env={**os.environ, **(env or {})}
        )


async def shell(
    script: str, *, input: bytes = b"", env: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    with anyio.fail_after(60):
        return await anyio.run_process(
            ["bash", "-c", script], input=input, check=False, env={**os.environ, **env}
        )


@asynccontextmanager
async def started(*args: str, env: dict[str, str]) -> AsyncIterator[tuple[Process, ByteReceiveStream]]:
    """A command that runs, and its output."""
    async with await anyio.open_process([*COMMAND, *args], env={**os.environ, **env}, stderr=None) as process:
        assert process.stdout is not None
        with anyio.fail_after(60):
            yield process, process.stdout


@pytest.fixture
def env(daemon: PrivateDaemon, namespace: str) -> dict[str, str]:
    return {"CONTAINERD_ADDRESS": daemon.address, "CONTAINERD_NAMESPACE": namespace}


async def test_run_connects_the_container_to_this_process_and_ends_with_its_code(
    image: Image, env: dict[str, str]
) -> None:
    done = await typed("run", "-i", image.name, "sh", "-c", "cat; echo err >&2; exit 3", input=b"in", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"err\n")


async def test_run_leaves_stdin_alone_unless_it_is_asked_for(image: Image, env: dict[str, str]) -> None:
    """So that a loop over lines can run a container for each."""
    script = f"{COMMANDS} run {image.name} cat; cat"
    done = await shell(script, input=b"the next line\n", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"the next line\n", b"")


async def test_run_takes_options_of_the_container(image: Image, env: dict[str, str], tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "env").write_text("# a comment\n\nFILE=from a file\nA=0\n")
    (tmp_path / "shown").write_text("from the host\n")
    script = """
        echo $A $FILE $OURS; pwd; id -u; cat /shown/shown /also/shown
        touch /a /shown/a 2>&1; df /scratch | grep -c tmpfs; ip link | grep -c mtu
    """
    done = await typed(
        *["run", "--rm", "--env-file", f"{tmp_path}/env", "-e", "A=1", "-e", "OURS", "-e", "NOT_OURS"],
        *["-w", "/tmp", "-u", "app", "-m", "64M", "--cpus", "0.5", "--read-only", "--host-network"],
        *["-v", f"{tmp_path}:/shown:ro", "--mount", f"type=bind,src={tmp_path},dst=/also"],
        *["--mount", "type=tmpfs,target=/scratch"],
        *[image.name, "sh", "-c", script],
        env={**env, "OURS": "from here"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "1 from a file from here",
        "/tmp",
        "1000",
        "from the host",
        "from the host",
        "touch: /a: Read-only file system",
        "touch: /shown/a: Read-only file system",
        "1",
        str(len(os.listdir("/sys/class/net"))),
    ]


async def test_run_takes_an_archive_and_a_containerd_of_its_own(archive_path: Path) -> None:
    done = await typed("run", "--private", str(archive_path), "echo", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        pytest.param(["docker.io/library/none:latest", "true"], 125, "none:latest", id="no such image"),
        pytest.param(["IMAGE", "/no/such/binary"], 127, "/no/such/binary", id="no such binary"),
    ],
)
async def test_what_goes_wrong_is_a_line_on_stderr(
    image: Image, env: dict[str, str], args: list[str], code: int, complaint: str
) -> None:
    done = await typed("run", *[image.name if arg == "IMAGE" else arg for arg in args], env=env)
    assert (done.returncode, done.stdout) == (code, b"")
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("containerd-aio: ")
    assert complaint in line


async def test_signals_are_the_process_s(image: Image, env: dict[str, str]) -> None:
    script = """
        trap 'echo usr1' USR1; trap 'echo int; exit 9' INT
        echo ready; while :; do sleep 3600 & wait; done
    """
    async with started("run", image.name, "sh", "-c", script, env=env) as (process, output):
        assert await output.receive() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert await output.receive() == b"usr1\n"
        process.send_signal(signal.SIGINT)
        assert await output.receive() == b"int\n"
        assert await process.wait() == 9


async def test_the_second_ctrl_c_ends_the_run_and_its_container(image: Image, env: dict[str, str]) -> None:
    """An init without a handler does not heed the first."""
    async with started("run", image.name, *UNHEEDING, env=env) as (process, output):
        assert await output.receive() == b"ready\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() in (128 + signal.SIGINT, 128 + signal.SIGTERM)


async def test_one_signal_of_a_supervisor_is_enough(image: Image, env: dict[str, str]) -> None:
    async with started("run", "--grace", "0.1", image.name, *UNHEEDING, env=env) as (process, output):
        assert await output.receive() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 128 + signal.SIGTERM


async def test_attach_takes_up_a_process_and_leaves_it_running(
    client: Client, image: Image, env: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    where = {"address": client.address, "namespace": client.namespace}
    async with (
        await client.new_container("job", image=image, args=["cat"]) as container,
        await container.new_task(stdio=pipes(stdin=True)) as task,
        await task.exec("more", ["sh", "-c", "cat; exit 4"], stdio=pipes(stdin=True)) as more,
    ):
        for process in (task, more):
            await process.start()
            await process.stdio.aclose(unlink=False)
        async with started("attach", "job", env=env) as (command, output):
            assert command.stdin is not None
            await command.stdin.send(b"some\n")
            assert await output.receive() == b"some\n"
            command.send_signal(signal.SIGINT)
            assert await command.wait() == 130
        assert (await task.status()).state is ProcessState.RUNNING
        attached = await typed("attach", "job", "more", input=b"in", env=env)
        assert (attached.returncode, attached.stdout) == (4, b"in"), attached.stderr
        with pytest.raises(FailedPreconditionError, match="has ended with code 4"):
            await attach_to("job", "more", **where, stdin=False, detach_keys="")


async def test_a_container_that_nobody_listens_to_any_more_ends_in_silence(
    image: Image, env: dict[str, str]
) -> None:
    done = await shell(
        f"set -o pipefail; {COMMANDS} run {image.name} yes | head -1", env={**env, "PYTHONWARNINGS": "error"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, b"y\n", b"")


async def test_the_demo_shows_the_main_job() -> None:
    done = await typed("demo")
    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    for promise in (
        "stdout | this goes to stdout",
        "stderr | and this to stderr",
        "ended with code 3",
        "ps |     1 root     sleep 3600",
        "ended with code 137 (SIGKILL)",
        "/tasks/exit",
        "Done in",
    ):
        assert promise in shown
