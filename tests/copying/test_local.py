"""Files of this host, to be copied and as a copy."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from containerd_aio import InvalidArgumentError
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.destination import Source
from containerd_aio._copying.local import opened_local, write_local
from containerd_aio._tar.member import Kind, Member
from tests.copying.trees import from_tar, read_tree


async def archive_of(path: str | Path, prefix: str) -> bytes:
    async with opened_local(path) as files:
        return b"".join([piece async for piece in files.pieces(prefix)])


async def test_a_file_and_a_directory_are_read(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_bytes(b"1")
    assert from_tar(await archive_of(tmp_path / "dir" / "file", "x/y")).keys() == {"x/y"}
    assert from_tar(await archive_of(tmp_path / "dir", "x")).keys() == {"x", "x/file"}
    assert from_tar(await archive_of(tmp_path / "dir", "")).keys() == {".", "file"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("file", Source("file", is_directory=False)),
        ("alias", Source("alias", is_directory=False)),
        ("dir", Source("dir", is_directory=True)),
        ("dir/", Source("dir", is_directory=True)),
        ("dir/.", Source("", is_directory=True)),
        (".", Source("", is_directory=True)),
        ("dir/..", Source("top", is_directory=True)),
    ],
)
async def test_it_is_called_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, source: Source
) -> None:
    top = tmp_path / "top"
    (top / "dir").mkdir(parents=True)
    (top / "file").write_bytes(b"")
    (top / "alias").symlink_to("file")
    monkeypatch.chdir(top)
    async with opened_local(path) as files:
        assert files.source == source


async def test_what_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"")
    for path in (f"{tmp_path}/file/", f"{tmp_path}/file/."):
        with pytest.raises(NotADirectoryError):
            await archive_of(path, "x")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InvalidArgumentError, match="neither a file nor a directory; give a stream"):
        await archive_of(tmp_path / "fifo", "x")
    with pytest.raises(FileNotFoundError):
        await archive_of(tmp_path / "none", "x")
    with pytest.raises(OSError, match="symbolic links"):
        await archive_of(tmp_path / "loop", "x")


async def test_members_are_written(tmp_path: Path) -> None:
    async def members() -> AsyncGenerator[Batch]:
        yield [Member("d", Kind.DIRECTORY, mode=0o755), Member("d/x", Kind.FILE, size=3), b"a"]
        yield [b"bc", Member("y", Kind.SYMLINK, target="d/x")]

    await write_local(str(tmp_path), members())
    found = read_tree(tmp_path)
    assert {name: item.content for name, item in found.items()} == {"d": b"", "d/x": b"abc", "y": b"d/x"}


async def test_what_fails_half_way_is_told_with_its_path_and_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()

    async def members() -> AsyncGenerator[Batch]:
        yield [Member("x", Kind.FILE, size=1), b"1", Member("dir", Kind.FILE, size=9), b"2"]

    with pytest.raises(IsADirectoryError) as caught:
        await write_local(str(tmp_path), members())
    assert caught.value.filename == str(tmp_path / "dir")
    assert read_tree(tmp_path).keys() == {"dir", "x"}
