"""Writing to the snapshot of a container without a task, and only then."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from containerd_aio import FailedPreconditionError
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.faults import in_container
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._copying.worker import working
from containerd_aio._tar.member import Kind, Member
from containerd_aio.spec.resolution import Found
from containerd_aio.types import Mount
from tests.copying.daemon import Daemon

OVERLAY = Mount("overlay", "overlay")
BIND = Mount("bind", "/native")


async def members() -> AsyncGenerator[Batch]:
    yield [Member("x", Kind.FILE, size=1), b"1"]


async def write(daemon: Daemon, mount: Mount, *, has_task: bool) -> None:
    snapshot = Snapshot(daemon.services, "web", [mount], has_task=has_task)

    def look(names: tuple[str, ...]) -> Found | None:
        return None if names else Found(True)

    async with working() as worker:
        await snapshot.write(
            look, (), members(), worker, named=in_container("web"), hidden=frozenset({("mounted",)})
        )


@pytest.mark.parametrize(("mount", "has_task"), [(OVERLAY, False), (BIND, False), (BIND, True)])
async def test_it_is_written_to(mount: Mount, has_task: bool) -> None:
    daemon = Daemon()
    await write(daemon, mount, has_task=has_task)
    assert "diff.apply" in daemon.calls
    assert daemon.blobs == {}


async def test_an_overlay_that_is_mounted_is_never_written_to() -> None:
    daemon = Daemon()
    with pytest.raises(
        FailedPreconditionError, match="task of container 'web' has ended.*delete the task first"
    ):
        await write(daemon, OVERLAY, has_task=True)
    assert daemon.calls == []


async def test_a_task_that_came_meanwhile_is_told() -> None:
    daemon = Daemon(running={"web"})
    with pytest.raises(FailedPreconditionError, match="container 'web' got a task while files were copied"):
        await write(daemon, OVERLAY, has_task=False)
    assert daemon.blobs == {}
