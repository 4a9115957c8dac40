"""Where logs are, and who may read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio.cli.log_files import VARIABLE, add_to_log_file, default_log_file, make_log_file
from containerd_aio.errors import InvalidArgumentError


def test_each_container_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert default_log_file("default", "web") == Path("/var/log/containerd-aio/default/web.log")
    monkeypatch.setenv(VARIABLE, "/srv/logs")
    assert default_log_file("default", "web") == Path("/srv/logs/default/web.log")


def test_a_new_log_is_empty_and_its_owner_s_and_never_made_through_a_link(tmp_path: Path) -> None:
    path = tmp_path / "new" / "web.log"
    make_log_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("kept")
    path.unlink()
    path.symlink_to(elsewhere)
    make_log_file(path)
    assert (path.is_symlink(), path.read_text(), elsewhere.read_text()) == (False, "", "kept")


def test_a_place_that_cannot_be_used_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidArgumentError, match=r"--log FILE or \$CONTAINERD_AIO_LOG_DIR"):
        make_log_file(tmp_path / "file" / "web.log")


def test_a_file_of_the_user_s_is_made_where_it_is_missing_and_else_left_alone(tmp_path: Path) -> None:
    add_to_log_file(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    (tmp_path / "old").write_text("kept")
    add_to_log_file(tmp_path / "old")
    assert (tmp_path / "old").read_text() == "kept"


@pytest.mark.parametrize("path", ["nowhere/log", "fifo", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InvalidArgumentError, match="^--log: "):
        add_to_log_file(tmp_path / path)
