"""The command line, as a person types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, Image
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "containerd_aio"]


async def typed(
    *args: str, input: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    with anyio.fail_after(50):
        return await anyio.run_process(
            [*COMMAND, *args], input=input, check=False, env={**os.environ, **(env or {})}
        )


@pytest.fixture
def env(daemon: PrivateDaemon, namespace: str) -> dict[str, str]:
    return {"CONTAINERD_ADDRESS": daemon.address, "CONTAINERD_NAMESPACE": namespace}


async def test_run_connects_the_container_to_this_process_and_ends_with_its_code(
    image: Image, env: dict[str, str]
) -> None:
    done = await typed("run", image.name, "sh", "-c", "cat; echo err >&2; exit 3", input=b"in", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"err\n")


async def test_run_takes_options_of_the_container(image: Image, env: dict[str, str]) -> None:
    script = "echo $A; pwd; id -u; cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true"
    done = await typed(
        "run", "-e", "A=1", "--cwd", "/tmp", "-u", "app", "-m", "64M", image.name, "sh", "-c", script, env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:3] == [b"1", b"/tmp", b"1000"]


async def test_run_takes_an_archive_and_a_containerd_of_its_own(archive_path: Path) -> None:
    done = await typed("run", "--private", str(archive_path), "echo", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        pytest.param(["docker.io/library/none:latest", "true"], "none:latest", id="no such image"),
        pytest.param(["IMAGE", "/no/such/binary"], "/no/such/binary", id="no such binary"),
        pytest.param(["-m", "lots", "IMAGE", "true"], "'lots' is no size", id="no size"),
    ],
)
async def test_what_goes_wrong_is_a_line_on_stderr(
    image: Image, env: dict[str, str], args: list[str], complaint: str
) -> None:
    done = await typed("run", *[image.name if arg == "IMAGE" else arg for arg in args], env=env)
    assert done.returncode == 1
    assert done.stderr.startswith(b"containerd-aio: ")
    assert complaint in done.stderr.decode()
    assert b"Traceback" not in done.stderr


async def test_ctrl_c_ends_a_run_and_its_container(client: Client, image: Image, env: dict[str, str]) -> None:
    async with await anyio.open_process(
        [*COMMAND, "run", image.name, "sh", "-c", "echo ready; sleep 3600"], env={**os.environ, **env}
    ) as process:
        assert process.stdout is not None
        with anyio.fail_after(30):
            assert await process.stdout.receive() == b"ready\n"
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    assert await client.list_containers() == []


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
