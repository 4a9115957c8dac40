"""A checkpoint that is given up long before CRIU is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from containerd_aio import ProcessState
from tests.integration.conftest import CONTAINERD, private_daemon

pytestmark = pytest.mark.integration

# It makes the file "called" when it is to do something, and does that when there is a file "go".
SLOW = """#!/bin/sh
if [ "$1" = swrk ]; then touch {directory}/called; until [ -e {directory}/go ]; do sleep 0.02; done; fi
exec {criu} "$@"
"""


@pytest.fixture
def slow(criu: Mapping[str, str], tmp_path: Path) -> Path:
    """A directory with a CRIU that can be held up."""
    real = Path(criu["PATH"].split(":")[0], "criu")
    (tmp_path / "criu").write_text(SLOW.format(directory=tmp_path, criu=real))
    (tmp_path / "criu").chmod(0o755)
    return tmp_path


async def made(path: Path) -> None:
    """Wait until there is such a file."""
    while not path.exists():  # noqa: ASYNC110
        await anyio.sleep(0.01)


async def given_up(
    call: Callable[[], Coroutine[Any, Any, object]], sent: Callable[[], Awaitable[object]]
) -> None:
    """Make a call, and cancel it when it was sent."""
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await call()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await sent()
        scope.cancel()
    assert scope.cancelled_caught


async def test_a_shim_that_waits_for_criu_thaws_the_task_when_that_is_done(
    criu: Mapping[str, str], slow: Path, archive: bytes
) -> None:
    """Though nobody waits for it any more. So a checkpoint that is given up leaves no frozen task."""
    env = {"PATH": f"{slow}:{criu['PATH']}"}
    async with private_daemon(containerd=CONTAINERD, env=env) as daemon, daemon.client() as client:
        [image] = await client.import_images(archive)
        async with await client.new_container("web", image=image, args=["sleep", "3600"]) as container:
            async with await container.new_task() as task:
                await task.start()
                await task.pause()
                await given_up(lambda: client.tasks.checkpoint("web"), lambda: made(slow / "called"))
                # The shim does not tell its state, and is asked for 2 s: by then it has the call before.
                await given_up(task.resume, task.status)
                (slow / "go").touch()
                while (await task.status()).state is not ProcessState.RUNNING:  # noqa: ASYNC110
                    await anyio.sleep(0.05)
