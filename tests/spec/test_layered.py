"""Layers as one tree; what is hidden and what is marked is tried in test_rootfs.py and on a real overlay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.spec.layers import NotReadable
from containerd_aio.types import Mount


def overlay(*layers: Path) -> list[Mount]:
    upper, *lower = map(str, layers)
    return [
        Mount("overlay", "overlay", options=(f"upperdir={upper}", f"lowerdir={':'.join(lower)}", "userxattr"))
    ]


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for layer in (upper, lower):
        (layer / "both").mkdir(parents=True)
    (upper / "both" / "new").write_bytes(b"1")
    (lower / "both" / "old").write_bytes(b"2")
    (lower / "link").symlink_to("both")
    os.mknod(upper / "both" / "gone", 0o020000, os.makedev(0, 0))
    (lower / "both" / "gone").write_bytes(b"3")
    return upper, lower


def test_a_directory_has_the_names_of_all_layers(layers: tuple[Path, Path]) -> None:
    with LayeredDirectories.of(overlay(*layers)) as tree:
        node = tree.open(("both",))
        assert node is not None
        with node:
            assert node.is_directory
            assert node.names() == ["gone", "new", "old"]
            assert node.child("gone") is None
            for name in ("new", "old"):
                child = node.child(name)
                assert child is not None
                with child:
                    assert child.status.st_size == 1
                    assert not child.is_directory
                    assert child.child("x") is None


def test_a_link_is_told_and_not_followed(layers: tuple[Path, Path]) -> None:
    with LayeredDirectories.of(overlay(*layers)) as tree:
        node = tree.open(("link",))
        assert node is not None
        with node:
            assert node.link_target() == "both"
        assert tree.open(("link", "new")) is None
        with tree.root() as root:
            assert root.link_target() is None


def test_a_file_is_opened_again_by_its_path(layers: tuple[Path, Path]) -> None:
    with LayeredDirectories.of(overlay(*layers)) as tree:
        node = tree.open(("both", "old"))
        assert node is not None
        with node:
            (layers[1] / "both" / "old").rename(layers[1] / "elsewhere")
            assert Path(node.path).read_bytes() == b"2"


def test_what_is_no_directory_here_is_told() -> None:
    with (
        pytest.raises(NotReadable, match="No such file"),
        LayeredDirectories.of([Mount("bind", "/none/at/all")]),
    ):
        pass
    with pytest.raises(NotReadable, match="ext4"), LayeredDirectories.of([Mount("ext4", "/dev/x")]):
        pass


def test_nothing_stays_open(layers: tuple[Path, Path]) -> None:
    before = os.listdir("/proc/self/fd")
    with LayeredDirectories.of(overlay(*layers)) as tree:
        for names in ((), ("both",), ("both", "none"), ("link", "x"), ("both", "gone", "x")):
            node = tree.open(names)
            if node is not None:
                with node:
                    pass
    assert os.listdir("/proc/self/fd") == before
