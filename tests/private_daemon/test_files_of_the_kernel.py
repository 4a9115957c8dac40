"""Mounts and control groups, as far as plain files can stand for them; root and containerd are elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.private_daemon._cgroups import cgroups, members, remove_groups, thaw
from containerd_aio.private_daemon._mounts import MountPoint, mount_points, parse_mountinfo, unmount_below

LINE = "44 27 0:39 / {path} rw,relatime {tags}- overlay overlay rw,lowerdir=/a,upperdir=/b\n"


def escaped(path: str) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\" else char for char in path)


@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    st.sampled_from(["", "shared:1 ", "shared:1 master:2 "]),
)
def test_a_mount_point_is_read_whatever_its_path(name: str, tags: str) -> None:
    path = f"/x{name}"
    text = LINE.format(path=escaped(path), tags=tags).encode()
    # the kernel escapes what would end a line or a field; other separators of str are bytes like any
    assert parse_mountinfo(text) == [MountPoint(Path(path), "overlay")]


def test_the_mounts_of_this_process_are_read() -> None:
    assert MountPoint(Path("/proc"), "proc") in mount_points()


def test_where_nothing_is_mounted_nothing_is_unmounted(tmp_path: Path) -> None:
    assert unmount_below(tmp_path) == []


def test_a_group_is_found_in_each_hierarchy_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("memory/aio-x", "pids/aio-x", "unified"):
        (tmp_path / path).mkdir(parents=True)
    mounts = [
        MountPoint(tmp_path / "memory", "cgroup"),
        MountPoint(tmp_path / "pids", "cgroup"),
        MountPoint(tmp_path / "unified", "cgroup2"),
        MountPoint(tmp_path, "tmpfs"),
    ]
    monkeypatch.setattr("containerd_aio.private_daemon._cgroups.mount_points", lambda: mounts)
    assert cgroups("aio-x") == [tmp_path / "memory/aio-x", tmp_path / "pids/aio-x"]


def test_members_are_those_of_all_groups_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "a" / "b" / "cgroup.procs").write_text("30\n")
    assert members(tmp_path) == {1, 2, 30}
    assert members(tmp_path / "gone") == set()


def test_every_freezer_below_is_thawed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for directory in (tmp_path, tmp_path / "a"):
        (directory / "freezer.state").write_text("FROZEN")
    thaw(tmp_path)
    assert (
        (tmp_path / "freezer.state").read_text() == (tmp_path / "a" / "freezer.state").read_text() == "THAWED"
    )


def test_groups_are_removed_with_those_below_them(tmp_path: Path) -> None:
    (tmp_path / "ns" / "a" / "b").mkdir(parents=True)
    assert remove_groups([tmp_path / "ns", tmp_path / "gone"], seconds=0) == []
    assert list(tmp_path.iterdir()) == []


def test_a_group_that_stays_is_told(tmp_path: Path) -> None:
    (tmp_path / "ns" / "a").mkdir(parents=True)
    (tmp_path / "ns" / "a" / "file").touch()
    (line, _) = remove_groups([tmp_path / "ns"], seconds=0)
    assert f"{tmp_path}/ns/a: Directory not empty" in line
