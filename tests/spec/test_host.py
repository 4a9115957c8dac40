"""What options read of this host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import host
from containerd_aio.spec.host import Device, device_at, read_file


def test_a_file_is_read_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0\xff")
    assert read_file("option", tmp_path / "file") == b"\0\xff"
    assert read_file("option", os.fspath(tmp_path / "file")) == b"\0\xff"


def test_what_is_no_readable_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    for path, why in (
        (tmp_path / "none", "cannot be read on this host: No such file"),
        (tmp_path, "directory|is not a regular file"),
        (tmp_path / "fifo", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        (tmp_path / "a\0b", "holds a NUL"),
        (1, "is not a str"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"option: .*({why})"):
            read_file("option", path)  # type: ignore[arg-type]
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_is_too_big_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "MAX_FILE_SIZE", 3)
    (tmp_path / "file").write_bytes(b"123")
    assert read_file("option", tmp_path / "file") == b"123"
    (tmp_path / "file").write_bytes(b"1234")
    with pytest.raises(InvalidArgumentError, match="has more than 3 bytes"):
        read_file("option", tmp_path / "file")


def test_a_device_is_known_by_its_numbers() -> None:
    found = device_at("option", "/dev/null")
    assert (found.path, found.kind, found.major, found.minor) == ("/dev/null", "c", 1, 3)
    assert (found.mode, found.uid, found.gid) == (0o666, 0, 0)


def test_a_link_is_followed_where_that_is_wanted(tmp_path: Path) -> None:
    link = tmp_path / "nothing"
    link.symlink_to("/dev/null")
    with pytest.raises(
        InvalidArgumentError, match="is a link to '/dev/null'; give that, or follow_links=True"
    ):
        device_at("option", link)
    found = device_at("option", link, follow_links=True)
    assert found == Device(os.fspath(link), "c", 1, 3, found.mode, 0, 0)


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, why in (
        (tmp_path / "file", "is not a device"),
        (tmp_path, r"is a directory; devices\(\) takes all that is in it"),
        (tmp_path / "none", "No such file"),
        ("null", "is not an absolute path"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"option: .*{why}"):
            device_at("option", path)
