"""A layer that the daemon applies: whatever happens, nothing of its bytes stays."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from containerd_aio import NotFoundError
from containerd_aio._copying.applying import apply_layer
from containerd_aio.types import Descriptor, Mount
from tests.images.fakes import FakeDaemon, was_cut

MOUNTS = [Mount("bind", "/somewhere")]


async def layer() -> AsyncGenerator[bytes]:
    yield b"a tar, "
    yield b"more of it"


async def test_it_is_applied_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon()
    applied: list[tuple[Descriptor, object]] = []
    apply = daemon.diff.apply

    async def noted(descriptor: Descriptor, mounts: list[Mount]) -> Descriptor:
        applied.append((descriptor, mounts))
        return await apply(descriptor, mounts)

    monkeypatch.setattr(daemon.diff, "apply", noted)
    await apply_layer(daemon.services, layer(), MOUNTS)
    [(descriptor, mounts)] = applied
    assert (descriptor.size, descriptor.media_type) == (17, "application/vnd.oci.image.layer.v1.tar")
    assert mounts is MOUNTS
    assert (daemon.blobs, daemon.ingests, daemon.held) == ({}, {}, {})


@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by asyncio"])
async def test_cancelled_anywhere_it_leaves_no_ingest_and_no_lease(natively: bool) -> None:
    async def work() -> None:
        await apply_layer(daemon.services, layer(), MOUNTS)

    step, cut = 1, True
    while cut:
        daemon = FakeDaemon()
        cut = await was_cut(daemon, step, work, natively=natively)
        daemon.collect()
        assert (daemon.blobs, daemon.ingests, daemon.held) == ({}, {}, {})
        step += 1
    assert step > 6


async def test_a_daemon_that_refuses_is_heard_and_the_blob_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = FakeDaemon()

    async def refuse(*_: object) -> Descriptor:
        raise NotFoundError("no such mount")

    monkeypatch.setattr(daemon.diff, "apply", refuse)
    with pytest.raises(NotFoundError, match="no such mount"):
        await apply_layer(daemon.services, layer(), MOUNTS)
    assert (daemon.blobs, daemon.held) == ({}, {})
