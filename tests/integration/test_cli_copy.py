"""``containerd-aio cp``, between this host and real containers."""

from __future__ import annotations

import io
import os
import shlex
import sys
import tarfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, Image
from containerd_aio.cli.cp import copy_files
from containerd_aio.errors import NotFoundError
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
async def web(client: Client, image: Image) -> AsyncIterator[None]:
    """A container of that id, which runs."""
    async with (
        await client.new_container("web", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        yield


async def test_files_go_in_and_come_out(daemon: PrivateDaemon, namespace: str, tmp_path: Path) -> None:
    copy = partial(copy_files, address=daemon.address, namespace=namespace)
    (tmp_path / "www" / "sub").mkdir(parents=True)
    (tmp_path / "www" / "sub" / "a").write_text("of this host")
    assert await copy(str(tmp_path / "www"), "web:/srv") == 0
    assert await copy("web:/srv/.", str(tmp_path / "out")) == 0
    assert (tmp_path / "out" / "sub" / "a").read_text() == "of this host"
    assert await copy("web:/etc/passwd", str(tmp_path)) == 0
    assert (tmp_path / "passwd").read_text().startswith("root:")
    with pytest.raises(NotFoundError, match="no directory '/opt/new' in container 'web'; `parents` makes it"):
        await copy(str(tmp_path / "passwd"), "web:/opt/new/passwd")
    assert await copy(str(tmp_path / "passwd"), "web:/opt/new/passwd", parents=True) == 0
    with pytest.raises(NotFoundError, match="no container 'db'"):
        await copy("db:/etc/passwd", str(tmp_path))


async def test_archives_come_and_go_on_stdin_and_stdout(daemon: PrivateDaemon, namespace: str) -> None:
    env = {**os.environ, "CONTAINERD_ADDRESS": daemon.address, "CONTAINERD_NAMESPACE": namespace}
    command = shlex.join([sys.executable, "-m", "containerd_aio", "cp"])
    script = f"{command} web:/etc - | {command} - web:/tmp && {command} web:/tmp/etc/passwd -"
    with anyio.fail_after(60):
        done = await anyio.run_process(["sh", "-c", script], env=env, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["passwd"]
