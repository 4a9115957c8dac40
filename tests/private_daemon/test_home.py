"""The private directory and its owner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerd_aio.private_daemon._home import Home


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty temporary directory with a short path."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def test_a_home_is_private_and_goes_with_all_that_is_in_it(place: Path) -> None:
    home = Home.make()
    assert home.path.parent == place
    assert home.path.stat().st_mode & 0o777 == 0o700
    (home.root / "deep" / "down").mkdir(parents=True)
    home.remove()
    assert list(place.iterdir()) == []


def test_a_given_root_is_made_and_stays(place: Path) -> None:
    home = Home.make(root=place / "kept" / "root")
    home.remove()
    assert (place / "kept" / "root").is_dir()


def test_a_long_temporary_directory_is_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = place / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    home = Home.make()
    try:
        assert home.path.parent != long
        assert len(os.fsencode(home.socket)) <= 100
    finally:
        home.remove()


def test_the_longest_socket_path_has_100_bytes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = len(os.fsencode(Home.make().socket.relative_to(place)))
    for path in place.iterdir():
        assert path.name.startswith("containerd-aio-")
    fits = place / ("x" * (100 - len(str(place)) - rest - 2))
    fits.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(fits))
    home = Home.make()
    assert home.path.parent == fits
    assert len(os.fsencode(home.socket)) == 100
    home.release()


def test_a_home_that_cannot_be_made_leaves_nothing(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(NotADirectoryError):
        Home.make(root=place / "file" / "root")
    assert [path.name for path in place.iterdir()] == ["file"]


def test_the_log_is_read_as_far_as_it_goes(place: Path) -> None:
    home = Home.make(root=place / "root")
    assert home.read_log() == ""
    home.log.write_bytes(b"now \xff\n")
    assert home.read_log() == "now \N{REPLACEMENT CHARACTER}\n"
    home.remove()


def test_only_homes_without_an_owner_are_abandoned(place: Path) -> None:
    owned, released = Home.make(), Home.make()
    released.release()
    (place / "containerd-aio-nothing").mkdir()
    (place / "other").mkdir()
    found = list(Home.abandoned(str(place)))
    assert [home.path for home in found] == [released.path]
    assert list(Home.abandoned(str(place))) == []  # it is ours now
    for home in (*found, owned):
        home.remove()


def test_a_home_is_abandoned_when_its_process_was_killed(place: Path) -> None:
    program = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from containerd_aio.private_daemon._home import Home\n"
        "home = Home.make(); print(home.path, flush=True); sys.stdin.read()\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        assert list(Home.abandoned(str(place))) == []
        owner.kill()
    (home,) = Home.abandoned(str(place))
    assert home.path == path
    home.remove()


def test_a_home_that_could_not_be_removed_is_found_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(16, "Device or resource busy", str(path))

    home = Home.make()
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(OSError, match="busy"):
        home.remove()
    monkeypatch.undo()
    (again,) = Home.abandoned(str(home.path.parent))
    again.remove()
    assert not home.path.exists()


def test_a_link_to_a_lock_is_no_home(place: Path) -> None:
    target = place / "target"
    target.touch()
    path = place / "containerd-aio-linked"
    path.mkdir()
    (path / "owner.lock").symlink_to(target)
    assert list(Home.abandoned(str(place))) == []
