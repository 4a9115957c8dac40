"""What is mounted where, as the kernel tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._copying.mount_table import (
    MountEntry,
    is_rootfs,
    mounted_overlays,
    parse_mount_table,
    pseudo_devices,
)
from containerd_aio.types import Mount

TABLE = b"""\
69 46 0:39 / / rw,relatime - overlay overlay rw,lowerdir=/s/1/fs:/s/2/fs,upperdir=/s/3/fs,workdir=/s/3/work,uuid=on
70 69 0:42 / /proc rw,nosuid shared:4 master:1 - proc proc rw
71 69 254:0 /volumes/a\\040b /data\\011x rw - ext4 /dev/vda rw
72 69 0:50 / /empty rw - tmpfs  rw,size=64k
"""
OVERLAY = Mount("overlay", "overlay", options=("index=off", "lowerdir=/s/1/fs:/s/2/fs", "upperdir=/s/3/fs"))


def test_a_table_is_read() -> None:
    root, proc, data, empty = parse_mount_table(TABLE)
    assert root == MountEntry(
        os.makedev(0, 39),
        "/",
        "/",
        "overlay",
        "overlay",
        {
            "rw": "",
            "lowerdir": "/s/1/fs:/s/2/fs",
            "upperdir": "/s/3/fs",
            "workdir": "/s/3/work",
            "uuid": "on",
        },
    )
    assert (proc.point, proc.type) == ("/proc", "proc")
    assert (data.root, data.point, data.source) == ("/volumes/a b", "/data\tx", "/dev/vda")
    assert (empty.type, empty.source) == ("tmpfs", "")
    assert pseudo_devices([root, proc, data, empty]) == {os.makedev(0, 42)}


def test_only_a_newline_ends_a_line() -> None:
    """A container may call its mount point as it likes, and the kernel escapes no carriage return."""
    table = parse_mount_table(
        b"1 2 3:4 / /a\rb\x0b\x0c\x1c\xc2\x85 rw - tmpfs tmpfs rw\n2 1 3:5 / /c rw - proc proc rw\n"
    )
    assert [entry.point for entry in table] == ["/a\rb\x0b\x0c\x1c\x85", "/c"]


def test_a_part_of_the_snapshot_is_not_the_root(tmp_path: Path) -> None:
    """A process that bound a directory onto itself and went there shows as little as after a mere chroot(2)."""
    root = os.open("/proc", os.O_PATH)
    try:
        device = os.fstat(root).st_dev
        line = f"1 2 {os.major(device)}:{os.minor(device)} /jail / rw - ext4 /dev/mapper/snap rw\n".encode()
        assert not is_rootfs(root, parse_mount_table(line), [Mount("ext4", "/dev/mapper/snap")])
    finally:
        os.close(root)


def test_this_host_s_own_table_is_read() -> None:
    assert any(entry.point == "/" for entry in parse_mount_table(Path("/proc/self/mountinfo").read_bytes()))


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(lambda text: "/" + text)
)
def test_any_path_comes_out_of_the_kernel_s_escapes(path: str) -> None:
    raw = b"".join(b"\\%03o" % byte if byte in b" \t\n\\,=" else bytes([byte]) for byte in path.encode())
    [entry] = parse_mount_table(b"1 2 3:4 / %b rw - overlay overlay rw,upperdir=%b" % (raw, raw))
    assert entry.point == entry.options["upperdir"] == path


def test_an_overlay_is_known_by_its_upper_directory() -> None:
    table = parse_mount_table(TABLE)
    assert [entry.point for entry in mounted_overlays(table, [OVERLAY])] == ["/"]
    other = Mount("overlay", "overlay", options=("upperdir=/s/4/fs", "lowerdir=/s/1/fs:/s/2/fs"))
    assert mounted_overlays(table, [other]) == []
    assert mounted_overlays(table, [OVERLAY, OVERLAY]) == []
    assert mounted_overlays(table, [Mount("bind", "/s/3/fs")]) == []


def test_one_without_is_known_by_its_layers() -> None:
    table = parse_mount_table(b"1 2 0:9 / / ro - overlay overlay ro,lowerdir=/a:/b")
    assert mounted_overlays(table, [Mount("overlay", "overlay", options=("lowerdir=/a:/b",))]) == table
    assert mounted_overlays(table, [Mount("overlay", "overlay", options=("lowerdir=/a",))]) == []
    assert mounted_overlays(table, [Mount("overlay", "overlay")]) == []


@pytest.mark.parametrize(
    ("source", "same"), [("{top}", True), ("{top}/sub", False), ("/", False), ("/none/at/all", False)]
)
def test_a_bound_directory_is_known_by_itself(tmp_path: Path, source: str, same: bool) -> None:
    (tmp_path / "sub").mkdir()
    table = parse_mount_table(b"1 2 0:9 / / rw - ext4 /dev/vda rw")
    root = os.open(tmp_path, os.O_PATH)
    try:
        assert is_rootfs(root, table, [Mount("bind", source.format(top=tmp_path))]) is same
    finally:
        os.close(root)


def test_a_root_is_known_by_what_is_mounted_there_last() -> None:
    root = os.open("/proc", os.O_PATH)
    try:
        device = os.fstat(root).st_dev
        number = f"{os.major(device)}:{os.minor(device)}".encode()
        line = b"1 2 %b / / rw - ext4 /dev/mapper/snap rw\n"
        mount = Mount("ext4", "/dev/mapper/snap")
        assert is_rootfs(root, parse_mount_table(line % number), [mount])
        assert not is_rootfs(root, parse_mount_table(line % number), [Mount("ext4", "/dev/mapper/other")])
        assert not is_rootfs(root, parse_mount_table(line % b"7:77"), [mount])
        over = parse_mount_table(line % number + b"3 1 0:9 / / rw - tmpfs tmpfs rw\n")
        assert not is_rootfs(root, over, [mount])
        assert not is_rootfs(root, [], [mount])
    finally:
        os.close(root)
