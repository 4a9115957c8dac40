"""A private containerd on this machine: it starts, restarts, and leaves nothing behind."""

from __future__ import annotations

import pytest

from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration


async def test_it_starts_again_on_the_same_root(daemon_of_its_own: PrivateDaemon) -> None:
    first = daemon_of_its_own.pid
    await daemon_of_its_own.stop()
    await daemon_of_its_own.start()
    second = daemon_of_its_own.pid
    assert second != first
    daemon_of_its_own.kill()
    await daemon_of_its_own.start()
    assert daemon_of_its_own.pid != second
