"""Files that are made beside their place; what is mounted there is tried on the real daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerd_aio._copying.placing import made_beside, put_in_place, temporary_name


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_PATH)
    yield descriptor
    os.close(descriptor)


def test_it_gets_its_name_at_the_end(parent: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with made_beside(parent, "x") as temporary:
        (tmp_path / temporary).write_bytes(b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
    assert (tmp_path / "x").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


def test_what_fails_leaves_the_old_file(parent: int, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")

    def fail() -> None:
        with made_beside(parent, "x") as temporary:
            (tmp_path / temporary).write_bytes(b"new")
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        fail()
    assert (tmp_path / "x").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_a_link_is_replaced_and_not_followed(parent: int, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "x").symlink_to("target")
    (tmp_path / "new").write_bytes(b"new")
    put_in_place("new", "x", parent)
    assert not (tmp_path / "x").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_second_name_of_the_file_itself_leaves_one(parent: int, tmp_path: Path) -> None:
    """rename(2) of one name of a file over another does nothing at all."""
    (tmp_path / "x").write_bytes(b"1")
    with made_beside(parent, "x") as temporary:
        os.link(tmp_path / "x", tmp_path / temporary)
    assert os.listdir(tmp_path) == ["x"]


def test_no_name_comes_twice() -> None:
    assert len({temporary_name() for _ in range(100)}) == 100
