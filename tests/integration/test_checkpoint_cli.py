"""``checkpoint`` and ``restore`` on the command line, with a real CRIU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest

from containerd_aio import Client, Image, pipes
from containerd_aio.cli.checkpoint import tell_support
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.counting import COUNT, told

pytestmark = pytest.mark.integration

Typed = Callable[..., Coroutine[Any, Any, subprocess.CompletedProcess[bytes]]]


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


@pytest.fixture
def typed(client: Client) -> Typed:
    where = {"CONTAINERD_ADDRESS": client.address, "CONTAINERD_NAMESPACE": client.namespace}

    async def typed(*args: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "containerd_aio", *args]
        with anyio.fail_after(60):
            return await anyio.run_process(command, input=input, check=False, env={**os.environ, **where})

    return typed


async def test_a_container_is_stored_and_goes_on_in_the_foreground(
    client: Client, image: Image, typed: Typed, tmp_path: Path
) -> None:
    shell = ["sh", "-c", "read A; echo got $A; exit 5"]
    async with await client.new_container("web", image=image, args=shell) as container:
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            await task.start()
            done = await typed("checkpoint", "--exit", "-o", str(tmp_path / "web.tar"), "web", "asking")
            assert (done.returncode, done.stdout) == (0, b"asking\n"), done.stderr
            assert (await task.wait()).code == 137
    for source in ("asking", str(tmp_path / "web.tar")):
        done = await typed("restore", "-i", source, input=b"it\n")
        assert (done.returncode, done.stdout, done.stderr) == (5, b"got it\n", b"")
    assert await client.list_containers() == []


async def test_a_directory_and_an_archive_on_stdout(
    client: Client, image: Image, typed: Typed, tmp_path: Path
) -> None:
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            await told(task.stdout, 3)
            done = await typed("checkpoint", "-o", "-", "web", "piped")
            assert (done.returncode, done.stderr) == (0, b"containerd-aio: piped\n")
            await client.images.delete("piped", sync=True)
            [piped] = await client.import_images(done.stdout)
            assert piped.name == "piped"
            done = await typed("checkpoint", "--to", str(tmp_path / "images"), "web")
            assert done.returncode == 0, done.stderr
            assert "inventory.img" in os.listdir(tmp_path / "images")


async def test_whether_it_works_here_is_told(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert await tell_support(address=client.address, namespace=client.namespace) == 0
    assert "works on this kernel" in capsys.readouterr().out


async def test_a_refusal_is_a_line(client: Client, image: Image, typed: Typed) -> None:
    done = await typed("restore", image.name)
    assert (done.returncode, done.stdout) == (125, b"")
    [line] = done.stderr.splitlines()
    assert line.startswith(b"containerd-aio: image 'docker.io/library/busybox:latest' is no checkpoint")
