"""Shared by all tests: the event loop they run on."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The library is asyncio's: one backend, in debug mode, so that a slow or forgotten coroutine shows."""
    return "asyncio", {"debug": True}
