"""Where CRIU is missing or broken: it is said beforehand, in words, and a checkpoint fails and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from containerd_aio import (
    CheckpointFailedError,
    CheckpointOptions,
    Client,
    Image,
    ProcessState,
    StartFailedError,
)
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.conftest import CONTAINERD, private_daemon

pytestmark = pytest.mark.integration

SLEEP = ["sleep", "3600"]
BROKEN = """#!/bin/sh
[ "$1" != --version ] || { echo "Version: 4.1.1"; exit 0; }
echo "Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds" >&2
exit 1
"""


def program(directory: Path, name: str, text: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    (directory / name).chmod(0o755)


async def test_a_criu_that_works_is_told(criu_daemon: PrivateDaemon, criu: Mapping[str, str]) -> None:
    async with criu_daemon.client() as client:
        support = await client.checkpoint_support()
        assert support
        assert support.criu is not None
        assert support.reason.startswith(criu["PATH"].split(":")[0])
        assert "works on this kernel" in str(support)


async def test_another_runtime_is_not_judged(criu_daemon: PrivateDaemon) -> None:
    async with criu_daemon.client() as client:
        label = "containerd.io/defaults/runtime"
        await client.namespaces.update(client.namespace, {label: "io.containerd.kata.v2"})
        support = await client.checkpoint_support()
        await client.namespaces.update(client.namespace, {label: ""})
        assert not support
        assert support.supported is None
        assert "io.containerd.kata.v2" in support.reason


@pytest.mark.parametrize(
    ("name", "text", "fails", "told"),
    [
        pytest.param("criu", BROKEN, "criu", "does not work on this kernel .*vdso: Unexpected", id="broken"),
        pytest.param(
            "runc",
            f'#!/bin/sh\nPATH=/nowhere exec {shutil.which("runc")} "$@"\n',
            'exec: "criu": executable file not found',
            None,
            id="missing",
        ),
    ],
)
async def test_a_criu_that_does_not_work_is_told_and_harms_nothing(
    archive: bytes,
    criu: Mapping[str, str],
    tmp_path: Path,
    name: str,
    text: str,
    fails: str,
    told: str | None,
) -> None:
    program(tmp_path / "bin", name, text)
    env = {"PATH": f"{tmp_path / 'bin'}:{criu['PATH']}"}
    async with private_daemon(containerd=CONTAINERD, env=env) as daemon, daemon.client() as client:
        if told is not None:
            support = await client.checkpoint_support()
            assert support.supported is False
            assert re.search(told, support.reason)
        [image] = await client.import_images(archive)
        await assert_refused(client, image, fails, tmp_path)


async def assert_refused(client: Client, image: Image, fails: str, tmp_path: Path) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        spec = (await container.info()).spec
        async with await container.new_task() as task:
            await task.start()
            for state in (ProcessState.RUNNING, ProcessState.PAUSED):
                with pytest.raises(CheckpointFailedError, match="'web' could not be checkpointed") as caught:
                    await task.checkpoint("none", options=CheckpointOptions(exit=True))
                assert fails in str(caught.value)
                with pytest.raises(CheckpointFailedError):
                    await task.checkpoint_to(tmp_path / "images")
                assert (await task.status()).state is state
                if state is ProcessState.RUNNING:
                    await task.pause()
        assert (await container.info()).spec == spec
    assert not (tmp_path / "images").exists()
    assert [each.name for each in await client.list_images()] == [image.name]
    assert await client.leases.list() == []
    assert await client.content.statuses() == []


async def test_a_restore_without_criu_is_a_failed_start(
    criu_daemon: PrivateDaemon, archive: bytes, tmp_path: Path
) -> None:
    """The checkpoint is good; where it is taken to, nothing can make use of it."""
    async with criu_daemon.client() as client:
        [image] = await client.import_images(archive)
        async with await client.new_container("web", image=image, args=SLEEP) as container:
            async with await container.new_task() as task:
                await task.start()
                checkpoint = await task.checkpoint("sleeping")
        await client.export_images(tmp_path / "sleeping.tar", checkpoint)
        await checkpoint.delete(sync=True)
        await image.delete(sync=True)
    program(tmp_path / "bin", "criu", BROKEN)
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    async with private_daemon(containerd=CONTAINERD, env=env) as daemon, daemon.client() as client:
        [checkpoint] = await client.import_images(tmp_path / "sleeping.tar")
        async with await client.restore("web", checkpoint) as container:
            async with await container.new_task(checkpoint=checkpoint) as task:
                with pytest.raises(StartFailedError, match="restore failed"):
                    await task.start()
