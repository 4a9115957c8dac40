"""A task in a fake containerd, and a second client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from containerd_aio import Client, Container, Task
from containerd_aio.testing import FakeContainerd


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd) -> AsyncIterator[Client]:
    async with fake.client() as client:
        yield client


@pytest.fixture
async def other(fake: FakeContainerd) -> AsyncIterator[Client]:
    """Another client, which made nothing."""
    async with fake.client() as client:
        yield client


@pytest.fixture
async def container(client: Client) -> Container:
    return await client.new_container("web", image="fake", args=["serve"])


@pytest.fixture
async def created(container: Container) -> Task:
    """A task that was not started."""
    return await container.new_task()


@pytest.fixture
async def task(created: Task) -> Task:
    """A task that runs until it is told or killed."""
    await created.start()
    return created
