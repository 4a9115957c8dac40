"""A fake and a client of it, and the check that nothing of either is left."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from containerd_aio import Client
from containerd_aio.testing import FakeContainerd
from tests.integration.leaks import Held


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    """A fake; when it ends, no descriptor, asyncio task or directory of it is left."""
    before = Held.now()
    async with FakeContainerd() as fake:
        yield fake
    assert Held.now().since(before) == []
    assert not os.path.exists(os.path.dirname(fake.address))


@pytest.fixture
async def client(fake: FakeContainerd, tmp_path: Path) -> AsyncIterator[Client]:
    async with Client(fake.address, fifo_dir=tmp_path) as client:
        yield client
