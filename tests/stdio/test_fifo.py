"""FIFOs by path: where they are made, how they are opened, and what is removed."""

from __future__ import annotations

import fcntl
import os
import select
import stat
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from containerd_aio.stdio.fifo import (
    FIFO_SIZE,
    FifoDirectory,
    has_reader,
    open_reader,
    open_writer,
    remove_fifos,
    reported_fifo,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A FIFO."""
    path = str(tmp_path / "stdout")
    os.mkfifo(path)
    return path


def test_the_directory_is_private_and_the_fifo_named_by_process_and_stream(fifo_dir: str) -> None:
    directory = FifoDirectory.make(fifo_dir, "web-1")
    try:
        path = directory.add("stdout")
        assert os.path.dirname(os.path.dirname(path)) == fifo_dir
        assert os.path.basename(path) == "web-1-stdout"
        assert stat.S_IMODE(os.stat(directory.path).st_mode) == 0o700
        assert stat.S_ISFIFO(os.stat(path).st_mode)
    finally:
        directory.remove()


def test_two_processes_of_one_name_do_not_meet(fifo_dir: str) -> None:
    first, second = FifoDirectory.make(fifo_dir, "web"), FifoDirectory.make(fifo_dir, "web")
    assert first.add("stdin") != second.add("stdin")
    first.remove()
    second.remove()


@pytest.mark.parametrize("process_id", ["", ".", "..", "a/b", "../../etc/x", "a\0b", "-a", "a" * 77])
def test_an_id_that_is_no_identifier_makes_nothing(fifo_dir: str, process_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="process id"):
        FifoDirectory.make(fifo_dir, process_id)
    assert not os.path.exists(fifo_dir)


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'run/fifo' is not absolute"):
        FifoDirectory.make("run/fifo", "web")


def test_a_directory_that_may_not_be_written_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "makedirs", refuse)  # root may write everywhere
    with pytest.raises(PermissionDeniedError, match=r"/run/x: Permission denied; give fifo_dir="):
        FifoDirectory.make("/run/x", "web")


def test_a_directory_with_something_else_in_it_is_kept(fifo_dir: str) -> None:
    directory = FifoDirectory.make(fifo_dir, "web")
    directory.add("stdout")
    other = Path(directory.path, "other")
    other.write_bytes(b"")
    directory.remove()
    assert os.listdir(directory.path) == ["other"]
    other.unlink()
    directory.remove()
    directory.remove()


def test_only_fifos_are_removed_and_only_directories_that_this_empties(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    fifo, file, link = tmp_path / "ours" / "fifo", tmp_path / "theirs" / "file", tmp_path / "link"
    os.mkfifo(fifo)
    file.write_bytes(b"")
    link.symlink_to(fifo)
    remove_fifos(["/dev/null", str(file), str(link), str(tmp_path / "theirs"), str(tmp_path / "no" / "x")])
    assert fifo.exists()
    remove_fifos([str(fifo)])
    assert sorted(os.listdir(tmp_path)) == ["link", "theirs"]
    assert file.exists()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_an_empty_directory_is_kept_where_no_fifo_was_removed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    remove_fifos([str(tmp_path / "logs" / "gone")])
    assert (tmp_path / "logs").is_dir()


def test_a_reported_path_is_a_fifo_or_nothing(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert reported_fifo(path) == path
    assert reported_fifo(f"fifo://{path}") == path
    assert reported_fifo(str(tmp_path / "gone")) == str(tmp_path / "gone")
    for other in ("", "relative", "/dev/null", str(tmp_path / "file"), "file:///x", "binary:///x?a=b"):
        assert reported_fifo(other) is None, other


def test_both_ends_open_at_once_with_nobody_there_and_a_read_finds_no_end(path: str) -> None:
    reader, stand_in = open_reader(path)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(stand_in)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(0) == [(reader, select.POLLHUP)], "the end shows although no other writer came"
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_reader_is_seen_by_others_and_not_when_it_is_gone(path: str) -> None:
    assert not has_reader(path)
    writer, stand_in = open_writer(path)
    assert has_reader(path)
    os.close(stand_in)
    assert not has_reader(path)
    os.close(writer)
    os.unlink(path)
    assert not has_reader(path)


def test_what_was_written_waits_for_a_reader_that_comes_later(path: str) -> None:
    writer, stand_in = open_writer(path)
    os.write(writer, b"early")
    os.close(stand_in)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(reader, 10) == b"early"
    os.close(reader)
    os.close(writer)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's FIFOs are grown")
def test_a_fifo_is_grown_and_never_shrunk(path: str) -> None:
    for size in (4096, FIFO_SIZE * 2):
        first = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(first, fcntl.F_SETPIPE_SZ, size)
        reader, stand_in = open_reader(path)
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) == max(size, FIFO_SIZE)
        for descriptor in (first, reader, stand_in):
            os.close(descriptor)


@pytest.mark.parametrize("kind", ["file", "directory", "link", "device"])
def test_what_is_no_fifo_is_not_opened(tmp_path: Path, path: str, kind: str) -> None:
    other = {
        "file": tmp_path / "f",
        "directory": tmp_path,
        "link": tmp_path / "l",
        "device": Path("/dev/zero"),
    }
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "l").symlink_to(path)
    with pytest.raises(InvalidArgumentError, match="is not a FIFO"):
        open_reader(str(other[kind]))


def test_a_missing_fifo_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"the FIFO .*/gone does not exist"):
        open_writer(str(tmp_path / "gone"))
