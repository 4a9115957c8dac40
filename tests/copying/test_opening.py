"""Which way leads to a container's files; each of them is tried in tests/integration/test_copying.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpclib.const import Status

from containerd_aio import Client, FailedPreconditionError
from containerd_aio.spec import Spec
from containerd_aio.testing import FakeContainerd


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(fake.address, fifo_dir=tmp_path) as client:
        yield client


async def test_a_root_of_the_user_s_own_is_read(client: Client, tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "motd").write_bytes(b"hello")
    (tmp_path / "root" / "alias").symlink_to("/etc/motd")
    spec: Spec = {"root": {"path": str(tmp_path / "root")}, "process": {"args": ["serve"], "cwd": "/"}}
    async with await client.new_container("web", spec=spec) as container:
        assert await container.read_file("/alias") == b"hello"


async def test_a_task_that_ends_meanwhile_is_not_asked_for_the_files(
    client: Client, fake: FakeContainerd
) -> None:
    async with await client.new_container(
        "web", image="docker.io/library/fake:latest", args=["serve"]
    ) as container:
        [mount] = await client.snapshotter("overlayfs").mounts("web")
        Path(mount.source, "motd").write_bytes(b"hello")
        async with await container.new_task() as task:
            await task.start()
            seen = fake.calls["Tasks/Get"]
            reading = asyncio.create_task(container.read_file("/motd"))
            await fake.called("Tasks/Get", seen + 1)  # it was told of a task, and looks for its process
            with fake.refuse("Tasks/Get", Status.NOT_FOUND, "no running task found"):
                assert await reading == b"hello"


async def test_without_a_root_there_are_no_files(client: Client) -> None:
    spec: Spec = {"root": {"path": "rootfs"}, "process": {"args": ["serve"], "cwd": "/"}}
    async with await client.new_container("web", spec=spec) as container:
        with pytest.raises(
            FailedPreconditionError, match="has neither a snapshot nor a root.path in its spec"
        ):
            await container.read_file("/etc/motd")
