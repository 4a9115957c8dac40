"""A fake containerd and a client of it; no descriptor, asyncio task or directory of either may be left."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from containerd_aio import Client, Task, pipes
from containerd_aio.testing import FakeContainerd
from tests.integration.leaks import Held


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    before = Held.now()
    async with FakeContainerd() as fake:
        yield fake
    assert Held.now().since(before) == []
    assert not os.path.exists(os.path.dirname(fake.address))


@pytest.fixture
async def client(fake: FakeContainerd) -> AsyncIterator[Client]:
    async with fake.client() as client:
        yield client


@pytest.fixture
async def shell(fake: FakeContainerd, client: Client) -> AsyncIterator[Task]:
    """A task with a terminal, not started yet, that writes back what it reads and runs until it is ended."""
    fake.script(["sh"], echo=True, seconds=None)
    async with await client.new_container("shell", image="fake", args=["sh"]) as container:
        async with await container.new_task(stdio=pipes(stdin=True, terminal=True)) as task:
            yield task
