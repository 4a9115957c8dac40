"""A container's files in an archive of its snapshot."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

import pytest

from containerd_aio import FailedPreconditionError, NotFoundError
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.faults import in_container
from containerd_aio._copying.files import content_of, present
from containerd_aio._copying.index import opened_index
from containerd_aio._copying.owners import IdMap, IdRange, Owners
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._copying.snapshot_files import SnapshotFiles
from containerd_aio._copying.worker import working
from containerd_aio._tar.member import Kind, Member
from containerd_aio.types import Descriptor, Mount
from tests.copying.daemon import Daemon
from tests.copying.trees import Given, directory, from_tar, hard_link, link, member, tar_of

MEMBERS: list[Given] = [
    directory("bin"),
    ("bin/busybox", b"program"),
    hard_link("bin/sh", "bin/busybox"),
    directory("etc", 0o711),
    ("etc/passwd", b"root"),
    link("lib", "etc"),
    hard_link("sh", "bin/busybox"),
    directory("data"),
    ("data/x", b""),
    member("fifo", tarfile.FIFOTYPE),
]
SHIFTED = Owners(*[IdMap((IdRange(5, 0, 1),), complete=False)] * 2)


@pytest.fixture
def daemon() -> Daemon:
    daemon = Daemon()
    daemon.diff.packed = tar_of(MEMBERS)
    return daemon


@asynccontextmanager
async def files_of(daemon: Daemon, owners: Owners | None = None) -> AsyncIterator[SnapshotFiles]:
    snapshot = Snapshot(daemon.services, "web", [Mount("overlay", "overlay")], has_task=False)
    async with working() as worker, opened_index(snapshot) as index:
        named = in_container("web")
        yield SnapshotFiles(snapshot, worker, index, named, owners or Owners(), hidden=frozenset({("data",)}))


async def packed(files: SnapshotFiles, path: str, prefix: str) -> bytes:
    names, _ = await present(files, path)
    return b"".join([piece async for piece in files.pieces(names, prefix)])


async def test_files_are_found_through_links(daemon: Daemon) -> None:
    async with files_of(daemon) as files:
        assert await content_of(files, "/lib/passwd", max_size=100) == b"root"
        assert await content_of(files, "/sh", max_size=100) == b"program"
        assert await content_of(files, "/sh", max_size=3) is None
        assert (await present(files, "/lib/."))[0] == ("etc",)
        with pytest.raises(NotFoundError, match="'/lib/none' in container 'web' is not there"):
            await present(files, "/lib/none")
        with pytest.raises(FailedPreconditionError, match="is not a regular file"):
            await content_of(files, "/fifo", max_size=100)
        with pytest.raises(FailedPreconditionError, match="'/data/x' lies in the mount '/data'"):
            await files.locate("/data/x")


async def test_they_are_packed_under_another_name(daemon: Daemon) -> None:
    async with files_of(daemon) as files:
        found = from_tar(await packed(files, "/bin", "name"))
        assert list(found) == ["name", "name/busybox", "name/sh"]
        assert found["name/sh"].same_as == "name/busybox"
        assert list(from_tar(await packed(files, "/lib", ""))) == [".", "passwd"]
        whole = from_tar(await packed(files, "/", ""))
        assert whole.keys() == {
            ".",
            "bin",
            "bin/busybox",
            "bin/sh",
            "etc",
            "etc/passwd",
            "lib",
            "sh",
            "data",
            "data/x",
            "fifo",
        }


async def test_a_second_name_alone_has_the_content(daemon: Daemon) -> None:
    async with files_of(daemon) as files:
        assert from_tar(await packed(files, "/sh", "x"))["x"].content == b"program"


async def test_ids_are_those_of_the_container(daemon: Daemon) -> None:
    async with files_of(daemon, SHIFTED) as files:
        assert (await present(files, "/etc"))[1].uid == 5
        assert from_tar(await packed(files, "/etc", "x"))["x"].gid == 5


async def test_members_become_a_layer(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    applied: list[bytes] = []

    async def apply(descriptor: Descriptor, mounts: list[Mount]) -> Descriptor:
        applied.append(daemon.blobs[descriptor.digest])
        return descriptor

    monkeypatch.setattr(daemon.diff, "apply", apply)

    async def members() -> AsyncGenerator[Batch]:
        yield [Member("lib/new", Kind.FILE, size=1), b"1"]

    async with files_of(daemon) as files:
        await files.write((), members())
    [layer] = applied
    with tarfile.open(fileobj=BytesIO(layer)) as archive:
        assert archive.getnames() == ["etc/new"]
    daemon.collect()
    assert daemon.blobs == {}
