"""A tree as an archive."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import signal
import socket
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from containerd_aio import FailedPreconditionError, NotFoundError, ResourceExhaustedError
from containerd_aio._copying.faults import in_container
from containerd_aio._copying.owners import IdMap, IdRange, Owners
from containerd_aio._copying.packing import Packing, Tree, read_pseudo_file
from containerd_aio.spec.layered import LayeredDirectories
from tests.copying.trees import SECOND, Item, from_tar, make_tree

Names = tuple[str, ...]


@contextmanager
def tree_of(top: Path, owners: Owners | None = None, pseudo: frozenset[int] = frozenset()) -> Iterator[Tree]:
    descriptor = os.open(top, os.O_PATH)
    try:
        yield Tree(LayeredDirectories([descriptor]), in_container("web"), owners or Owners(), pseudo)
    finally:
        os.close(descriptor)


def packed(top: Path, names: Names = (), prefix: str = "", **options: object) -> bytes:
    with tree_of(top, **options) as tree:  # type: ignore[arg-type]
        packing = Packing(tree, names, prefix)
        return b"".join(iter(packing.next, b""))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    make_tree(
        tmp_path,
        {
            "d": Item("directory", 0o755, mtime_ns=SECOND + 5, uid=os.geteuid(), gid=os.getegid()),
            "d/b": Item("file", 0o640, b"content", mtime_ns=2 * SECOND, uid=os.geteuid(), gid=os.getegid()),
            "d/a": Item("link", content=b"../x", uid=os.geteuid(), gid=os.getegid()),
            "d/e": Item("directory", 0o700, uid=os.geteuid(), gid=os.getegid()),
            "d/e/f": Item("file", content=b"", uid=os.geteuid(), gid=os.getegid()),
        },
    )
    return tmp_path


def test_a_directory_is_packed_under_a_name_in_order(top: Path) -> None:
    found = from_tar(packed(top, ("d",), "name"))
    assert list(found) == ["name", "name/a", "name/b", "name/e", "name/e/f"]
    assert found["name"] == Item("directory", 0o755, uid=os.geteuid(), gid=os.getegid(), mtime_ns=SECOND + 5)
    assert found["name/b"].content == b"content"
    assert found["name/a"].content == b"../x"


def test_without_a_name_it_is_the_top(top: Path) -> None:
    assert list(from_tar(packed(top, ("d",)))) == [".", "a", "b", "e", "e/f"]
    assert "d/e/f" in from_tar(packed(top))


def test_a_file_is_packed_alone(top: Path) -> None:
    assert from_tar(packed(top, ("d", "b"), "x/y")).keys() == {"x/y"}


def test_what_is_not_there_is_told(top: Path) -> None:
    with pytest.raises(NotFoundError, match="'/none' in container 'web'"):
        packed(top, ("none",), "x")


def test_what_vanishes_meanwhile_is_left_out(top: Path) -> None:
    with tree_of(top) as tree:
        packing = Packing(tree, (), "")
        (top / "big").write_bytes(bytes(1 << 20))
        first = packing.next()  # the directory was listed, and the file before the directory was read
        (top / "d" / "e" / "f").unlink()
        (top / "d" / "e").rmdir()
        found = from_tar(first + b"".join(iter(packing.next, b"")))
    assert found.keys() == {".", "big", "d", "d/a", "d/b"}


def test_a_file_that_shrinks_is_an_error_and_one_that_grows_is_cut(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    with tree_of(tmp_path) as tree:
        packing = Packing(tree, ("file",), "file")
        packing.next()
        os.truncate(tmp_path / "file", 10)
        with pytest.raises(FailedPreconditionError, match=r"'/file' became smaller .*task\.paused\(\)"):
            while packing.next():
                pass
        packing = Packing(tree, ("file",), "file")
        with open(tmp_path / "file", "ab") as file:
            file.write(b"x")
        assert len(from_tar(b"".join(iter(packing.next, b"")))["file"].content) == 11


def test_a_file_of_several_names_has_its_content_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").mkdir()
    os.link(tmp_path / "a", tmp_path / "c" / "d")
    found = from_tar(packed(tmp_path, (), "top"))
    assert found["top/a"].content == b"content"
    assert [found[name].same_as for name in ("top/b", "top/c/d")] == ["top/a"] * 2


def test_sockets_are_left_out_and_other_files_are_not_opened(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    os.mkfifo(tmp_path / "fifo", 0o600)
    found = from_tar(packed(tmp_path))
    assert found.keys() == {".", "fifo"}
    assert found["fifo"].kind == "fifo"


def test_a_device_has_its_numbers() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(Path("/dev"), ("null",), "null"))) as archive:
        [info] = archive.getmembers()
    assert (info.type, info.devmajor, info.devminor) == (tarfile.CHRTYPE, 1, 3)


def test_names_need_not_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "b\udcff\udc80").write_bytes(b"1")
    assert from_tar(packed(tmp_path))["b\udcff\udc80"].content == b"1"


def test_ids_are_those_of_the_container(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    owners = Owners(IdMap((IdRange(7, os.geteuid(), 1),)), IdMap((IdRange(9, os.getegid(), 1),)))
    found = from_tar(packed(tmp_path, owners=owners))
    assert (found["f"].uid, found["f"].gid) == (7, 9)


def test_a_filesystem_of_the_kernel_s_own_counts_as_empty_unless_it_is_asked_for() -> None:
    pseudo = frozenset({os.stat("/proc").st_dev})
    with tree_of(Path("/"), pseudo=pseudo) as tree:
        node = tree.directories.open(("proc",))
        assert node is not None
        with node:
            assert node.status.st_dev in pseudo
    pid = str(os.getpid())
    content = from_tar(packed(Path("/"), ("proc", pid, "comm"), "comm", pseudo=pseudo))["comm"].content
    assert content == Path(f"/proc/{pid}/comm").read_bytes()
    assert "1" in from_tar(packed(Path("/"), ("proc", pid, "fdinfo"), "", pseudo=pseudo))


def test_a_tree_may_be_deeper_than_there_are_descriptors(tmp_path: Path) -> None:
    depth = 300
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    before = os.listdir("/proc/self/fd")
    with tree_of(tmp_path) as tree:
        packing = Packing(tree, (), "")
        most = 0
        data = b""
        while piece := packing.next():
            data += piece
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert most < len(before) + 20
    assert len(from_tar(data)) == depth + 1
    remove_deep(tmp_path)


def remove_deep(top: Path) -> None:
    """shutil.rmtree() is not up to it on Python 3.11."""
    with contextlib.chdir(top):
        names = 0
        while os.path.isdir("d"):
            os.chdir("d")
            names += 1
        for _ in range(names):
            os.chdir("..")
            os.rmdir("d")


def test_what_is_given_up_is_closed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    before = os.listdir("/proc/self/fd")
    with tree_of(tmp_path) as tree:
        packing = Packing(tree, (), "")
        packing.next()
        packing.close()
    assert os.listdir("/proc/self/fd") == before


def test_attributes_are_in_the_archive(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.setxattr(tmp_path / "f", "user.note", b"\xff\n=")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, ("f",), "f"))) as archive:
        [info] = archive.getmembers()
    assert os.fsencode(info.pax_headers["SCHILY.xattr.user.note"]) == b"\xff\n="


def test_an_attribute_that_no_archive_can_have_is_left_out(tmp_path: Path) -> None:
    """A container can have such names; one of them must not hinder a copy, nor become another's."""
    (tmp_path / "f").write_bytes(b"1")
    for name in (b"user.\xff", b"user.a=b", b"user.ok"):
        os.setxattr(tmp_path / "f", name, b"value")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path, ("f",), "f"))) as archive:
        [info] = archive.getmembers()
    assert info.pax_headers.keys() - {"mtime"} == {"SCHILY.xattr.user.ok"}


def test_attributes_without_measure_are_refused_and_not_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a tmpfs has them since Linux 6.6; not every machine that runs this does."""
    given: list[str] = []

    def value(path: str, name: str) -> bytes:
        given.append(name)
        return bytes(65536)

    (tmp_path / "f").write_bytes(b"")
    monkeypatch.setattr(os, "listxattr", lambda path: [f"user.{number}" for number in range(8000)])
    monkeypatch.setattr(os, "getxattr", value)
    with pytest.raises(ResourceExhaustedError, match="'/f' in container 'web' is too large"):
        packed(tmp_path, ("f",), "f")
    assert len(given) < 10


def test_links_of_several_names_are_packed_each(tmp_path: Path) -> None:
    """``cp -al`` makes them; a hard link to a link means little to who unpacks it."""
    (tmp_path / "a").symlink_to("x")
    os.link(tmp_path / "a", tmp_path / "b", follow_symlinks=False)
    found = from_tar(packed(tmp_path))
    assert [(found[name].kind, found[name].content) for name in "ab"] == [("link", b"x")] * 2


def test_a_file_that_a_process_holds_with_a_lease_is_told_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with open(tmp_path / "f", "rb+") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            with pytest.raises(
                FailedPreconditionError, match="'/f' in container 'web' is held by a process with a lease"
            ):
                packed(tmp_path)
    finally:
        signal.signal(signal.SIGIO, before)


def test_a_file_of_the_kernel_without_end_is_refused_and_not_cut() -> None:
    descriptor = os.open("/dev/zero", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="File too large"):
            read_pseudo_file(descriptor)
    finally:
        os.close(descriptor)


def test_modes_are_whole(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    os.chmod(tmp_path / "f", 0o6755)
    assert stat.S_IMODE(os.stat(tmp_path / "f").st_mode) == from_tar(packed(tmp_path))["f"].mode


Pack = Callable[[Path], bytes]
