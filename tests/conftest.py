"""Shared by all tests: the event loop they run on.

``CONTAINERD_AIO_TEST_LOOP`` chooses another one: ``eager`` (tasks begin to run where they are made, Python 3.12 and
later) or ``uvloop``. ``nox -s loops`` runs with each.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes, or is made, says something about the machine, and nothing about the code.
UNHEEDED = [HealthCheck.too_slow]
settings.register_profile("containerd_aio", deadline=None, suppress_health_check=UNHEEDED)
settings.load_profile("containerd_aio")

LOOP = os.environ.get("CONTAINERD_AIO_TEST_LOOP", "debug")


def eager_loop() -> asyncio.AbstractEventLoop:
    """A loop in debug mode whose tasks run at once, up to their first wait."""
    if sys.version_info < (3, 12):
        pytest.exit("eager tasks need Python 3.12")
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


@pytest.fixture
async def without_debug(anyio_backend: object) -> AsyncIterator[None]:
    """Debug mode keeps the stack of all that is scheduled: where much is, that would be most of the time."""
    loop = asyncio.get_running_loop()
    debug = loop.get_debug()
    loop.set_debug(False)
    yield
    loop.set_debug(debug)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """The library is asyncio's: one backend, in debug mode, so that a slow or forgotten coroutine shows."""
    if LOOP == "uvloop":
        return "asyncio", {"use_uvloop": True}
    if LOOP == "eager":
        return "asyncio", {"debug": True, "loop_factory": eager_loop}
    return "asyncio", {"debug": True}
