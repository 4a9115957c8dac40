"""A fake containerd with a container that runs, and the check that nothing of a checkpoint is left in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from containerd_aio import Client, Container, Task
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(fake.address, fifo_dir=tmp_path / "fifo") as client:
        yield client


@pytest.fixture
async def container(client: Client) -> AsyncIterator[Container]:
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        yield container


@pytest.fixture
async def task(container: Container) -> AsyncIterator[Task]:
    """The container's task, which runs."""
    async with await container.new_task() as task:
        await task.start()
        yield task
