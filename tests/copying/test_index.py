"""What is in a snapshot, by an archive that the daemon made of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from containerd_aio import DataLossError
from containerd_aio._copying.index import SnapshotIndex, opened_index
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._tar.member import Kind
from containerd_aio.spec.resolution import Found
from containerd_aio.types import Mount
from tests.copying.daemon import Daemon
from tests.copying.trees import Given, directory, hard_link, link, tar_of
from tests.images.fakes import was_cut

MEMBERS: list[Given] = [
    directory("bin"),
    ("bin/busybox", b"program" * 300),
    hard_link("bin/sh", "bin/busybox"),
    ("etc", b""),
    link("lib", "bin"),
]


def snapshot_of(daemon: Daemon) -> Snapshot:
    return Snapshot(daemon.services, "web", [Mount("overlay", "overlay")], has_task=False)


@asynccontextmanager
async def index_of(members: list[Given]) -> AsyncIterator[SnapshotIndex]:
    daemon = Daemon()
    daemon.diff.packed = tar_of(members)
    async with opened_index(snapshot_of(daemon)) as index:
        yield index
    assert (daemon.blobs, daemon.ingests, daemon.held) == ({}, {}, {})


async def test_it_tells_what_there_is() -> None:
    async with index_of(MEMBERS) as index:
        assert index.look(()) == Found(True)
        assert index.look(("bin",)) == Found(True)
        assert index.look(("bin", "sh")) == Found(False)
        assert index.look(("lib",)) == Found(False, "bin")
        assert index.look(("none",)) is None
        assert list(index.below(("bin",))) == [("bin",), ("bin", "busybox"), ("bin", "sh")]
        assert len(list(index.below(()))) == len(MEMBERS) + 1


async def test_a_second_name_is_the_file() -> None:
    async with index_of(MEMBERS) as index:
        file = index.file(("bin", "sh"))
        assert (file.names, file.member.kind, file.member.size) == (("bin", "busybox"), Kind.FILE, 2100)
        content = b"".join([chunk async for chunk in index.content(file)])
        assert content == b"program" * 300
        assert [chunk async for chunk in index.content(index.file(("etc",)))] == []


async def test_what_leads_nowhere_is_an_error() -> None:
    async with index_of([hard_link("a", "none"), hard_link("b", "a")]) as index:
        for name in ("a", "b", "c"):
            with pytest.raises(DataLossError, match=f"has nothing at '/{name}'"):
                index.file((name,))


@pytest.mark.parametrize("natively", [False, True], ids=["by a scope", "by asyncio"])
async def test_cancelled_anywhere_nothing_is_left(natively: bool) -> None:
    async def work() -> None:
        async with opened_index(snapshot_of(daemon)):
            pass

    step, cut = 1, True
    while cut:
        daemon = Daemon()
        daemon.diff.packed = tar_of(MEMBERS)
        cut = await was_cut(daemon, step, work, natively=natively)
        assert (daemon.blobs, daemon.ingests, daemon.held) == ({}, {}, {})
        step += 1
    assert step > 6
