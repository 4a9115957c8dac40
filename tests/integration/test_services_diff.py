"""Layers that a real containerd makes of snapshots, and applies to others.

The snapshots are the native snapshotter's: a directory each, which a test can write to without mounting.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from containerd_aio.errors import (
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    UnknownError,
)
from containerd_aio.services import Services
from containerd_aio.services.snapshots import Snapshotter
from containerd_aio.types import AnyValue, Descriptor, Mount
from containerd_aio.types.digest import Digester

pytestmark = pytest.mark.integration

GZIPPED = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
async def snapshotter(services: Services) -> AsyncIterator[Snapshotter]:
    """The native snapshotter, with what a test makes under a lease."""
    async with services.leases.hold():
        yield services.snapshotter("native")
    last = await services.leases.create()
    await services.leases.delete(last.id, sync=True)


def directory(mounts: list[Mount]) -> Path:
    (mount,) = mounts
    assert mount.type == "bind"
    return Path(mount.source)


def write_base(root: Path) -> None:
    (root / "kept").write_text("kept")
    (root / "changed").write_text("before")
    (root / "gone").write_text("gone")
    (root / "dir").mkdir(mode=0o750)
    (root / "dir" / "file").write_text("in a directory")


def change(root: Path) -> None:
    (root / "changed").write_text("after")
    (root / "gone").unlink()
    (root / "new").write_bytes(os.urandom(100_000))
    (root / "new").chmod(0o4755)
    (root / "link").symlink_to("dir/file")
    (root / "dir" / "hard").hardlink_to(root / "dir" / "file")


def tree(root: Path) -> dict[str, tuple[int, bytes | str]]:
    """Mode and content of everything under a directory."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        content: bytes | str = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(root))] = (path.lstat().st_mode, content)
    return found


async def changed_snapshot(snapshotter: Snapshotter) -> tuple[list[Mount], list[Mount]]:
    """A base and what became of it."""
    write_base(directory(await snapshotter.prepare("base, active")))
    await snapshotter.commit("base", "base, active")
    upper = await snapshotter.prepare("upper", parent="base")
    change(directory(upper))
    return await snapshotter.view("lower", parent="base"), upper


@pytest.mark.parametrize("media_type", ["", GZIPPED, PLAIN])
async def test_the_difference_of_two_snapshots_applied_elsewhere_gives_the_same_files(
    services: Services, snapshotter: Snapshotter, media_type: str
) -> None:
    lower, upper = await changed_snapshot(snapshotter)
    layer = await services.diff.diff(
        lower, upper, media_type=media_type, ref="the difference", labels={"mine": "1"}
    )
    assert layer.media_type == (media_type or GZIPPED)
    info = await services.content.info(layer.digest)
    assert info.size == layer.size
    assert info.labels["mine"] == "1"
    data = await services.content.read_all(layer.digest)
    plain = data if media_type == PLAIN else gzip.decompress(data)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert "kept" not in tar.getnames()
        assert ".wh.gone" in tar.getnames()

    other = await snapshotter.prepare("elsewhere", parent="base")
    applied = await services.diff.apply(layer, other)
    assert tree(directory(other)) == tree(directory(upper))
    assert (directory(other) / "dir" / "hard").stat().st_nlink == 2
    digester = Digester()
    digester.update(plain)
    assert (applied.digest, applied.size) == (digester.digest, len(plain))
    assert info.labels.get("containerd.io/uncompressed", layer.digest) == applied.digest


async def test_a_layer_can_be_synced_to_the_disk(services: Services, snapshotter: Snapshotter) -> None:
    lower, upper = await changed_snapshot(snapshotter)
    layer = await services.diff.diff(lower, upper)
    other = await snapshotter.prepare("elsewhere", parent="base")
    await services.diff.apply(layer, other, sync_fs=True)
    assert tree(directory(other)) == tree(directory(upper))


async def test_no_file_is_newer_than_the_source_date_epoch_where_it_is_known(
    services: Services, snapshotter: Snapshotter
) -> None:
    lower, upper = await changed_snapshot(snapshotter)
    layer = await services.diff.diff(
        lower, upper, media_type=PLAIN, source_date_epoch_ns=1_000_000_000_000_000_000
    )
    with tarfile.open(fileobj=io.BytesIO(await services.content.read_all(layer.digest))) as tar:
        newest = max(member.mtime for member in tar.getmembers())
    known = (await services.version.get()).release >= (1, 7)
    assert (newest <= 1_000_000_000) is known


async def test_payloads_that_no_processor_takes_do_no_harm(
    services: Services, snapshotter: Snapshotter
) -> None:
    lower, upper = await changed_snapshot(snapshotter)
    layer = await services.diff.diff(lower, upper)
    other = await snapshotter.prepare("elsewhere", parent="base")
    payloads = {"example": AnyValue("io.containerd.ocicrypt.v1.Payload", b"{}")}
    await services.diff.apply(layer, other, payloads=payloads)
    assert tree(directory(other)) == tree(directory(upper))


async def test_what_is_wrong_is_told(services: Services, snapshotter: Snapshotter) -> None:
    lower, upper = await changed_snapshot(snapshotter)
    absent = Descriptor(GZIPPED, "sha256:" + "0" * 64, 10)
    with pytest.raises(NotFoundError):
        await services.diff.apply(absent, upper)
    layer = await services.diff.diff(lower, upper)
    unknown = Descriptor("application/x-unknown", layer.digest, layer.size)
    with pytest.raises((UnknownError, NotImplementedByServerError), match="x-unknown"):
        await services.diff.apply(unknown, upper)
    with pytest.raises(NotImplementedByServerError):
        await services.diff.diff(lower, upper, media_type="application/x-unknown")
    with pytest.raises(InvalidArgumentError):
        await services.diff.apply(layer, upper, payloads={"example": AnyValue("", b"")})
