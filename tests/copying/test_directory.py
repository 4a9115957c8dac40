"""Members written below a directory: as they are, as a whole, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import FailedPreconditionError, InvalidArgumentError
from containerd_aio._copying.checks import IntoContainer, archive_of, batches
from containerd_aio._copying.directory import DirectoryWriter
from containerd_aio._copying.faults import in_container, on_this_host
from containerd_aio._copying.packing import Packing, Tree
from containerd_aio._tar.member import Kind, Member
from containerd_aio.spec.layered import LayeredDirectories
from tests.copying.trees import Item, directory, hard_link, link, make_tree, member, read_tree, tar_of
from tests.copying.trees import Tree as Files

ROOT = os.geteuid() == 0
BASE = ("srv",)
needs_root = pytest.mark.skipif(not ROOT, reason="only root gives files away")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "srv").mkdir()
    return tmp_path


@contextlib.contextmanager
def writing(top: Path, *, own: bool = ROOT) -> Iterator[DirectoryWriter]:
    root = os.open(top, os.O_PATH)
    writer = DirectoryWriter(root, BASE, in_container("web"), own=own)
    try:
        yield writer
    finally:
        writer.close()
        os.close(root)


async def unpack(top: Path, archive: bytes) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield archive

    with writing(top) as writer:
        async with contextlib.aclosing(chunks()) as source:
            async for batch in batches(archive_of(source), IntoContainer(special=True)):
                writer.take(batch)
        writer.finish()


def temporary_files(top: Path) -> list[str]:
    return [name for name in read_tree(top) if ".containerd-aio" in name]


# What goes in comes out.

NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
)
IDS = st.integers(0, 2**32 - 2) if ROOT else st.just(os.geteuid())
TIMES = st.integers(0, 2**33 * 10**9)


@st.composite
def file_trees(draw: st.DrawFn) -> Files:
    """Directories, files, links and second names."""
    tree: Files = {}
    directories = [""]
    files: list[str] = []
    for _ in range(draw(st.integers(0, 12))):
        name = os.path.join(draw(st.sampled_from(directories)), os.fsdecode(draw(NAMES)))
        if name in tree:
            continue
        kind = draw(st.sampled_from(["file", "directory", "link", "same"]))
        uid, gid, mtime_ns = draw(IDS), draw(IDS) if ROOT else os.getegid(), draw(TIMES)
        if kind == "same" and files:
            first = draw(st.sampled_from(files))
            tree[name] = replace(tree[first], same_as=first)
        elif kind == "directory":
            tree[name] = Item(
                "directory",
                draw(st.integers(0, 0o7777)) if ROOT else 0o755,
                uid=uid,
                gid=gid,
                mtime_ns=mtime_ns,
            )
            directories.append(name)
        elif kind == "link":
            tree[name] = Item("link", 0o777, draw(NAMES), uid=uid, gid=gid, mtime_ns=mtime_ns)
        else:
            tree[name] = Item(
                "file",
                draw(st.integers(0, 0o7777)) if ROOT else 0o600,
                draw(st.binary(max_size=2000)),
                uid=uid,
                gid=gid,
                mtime_ns=mtime_ns,
            )
            files.append(name)
    return tree


def comparable(tree: Files) -> dict[str, tuple[object, ...]]:
    return {
        name: (item.kind, item.mode, item.content, item.uid, item.gid, item.mtime_ns)
        for name, item in tree.items()
    }


def names_of_same(tree: Files) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for name, item in tree.items():
        groups.setdefault(item.same_as or name, set()).add(name)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@given(file_trees())
async def test_any_tree_comes_out_as_it_went_in(tree: Files) -> None:
    with TemporaryDirectory() as source, TemporaryDirectory() as target:
        make_tree(Path(source), tree)
        descriptor = os.open(source, os.O_PATH)
        packing = Packing(Tree(LayeredDirectories([descriptor]), on_this_host(source)), (), "")
        archive = b"".join(iter(packing.next, b""))
        os.close(descriptor)
        (Path(target) / "srv").mkdir()
        await unpack(Path(target), archive)
        found = read_tree(Path(target) / "srv")
    assert comparable(found) == comparable(tree)
    assert names_of_same(found) == names_of_same(tree)


async def test_a_directory_that_the_archive_lacks_is_made(top: Path) -> None:
    await unpack(top, tar_of([("a/b/c", b"1"), ("a/b/d", b"2"), ("a/e", b"3")]))
    found = read_tree(top / "srv")
    assert {name: item.content for name, item in found.items() if item.kind == "file"} == {
        "a/b/c": b"1",
        "a/b/d": b"2",
        "a/e": b"3",
    }
    assert found["a"].mode == found["a/b"].mode == 0o755


async def test_a_directory_without_write_permission_gets_its_files(top: Path) -> None:
    await unpack(
        top, tar_of([directory("d", 0o555), ("d/x", b"1"), directory("d/e", 0o500), ("d/e/y", b"2")])
    )
    found = read_tree(top / "srv")
    assert (found["d"].mode, found["d/e"].mode, found["d/e/y"].content) == (0o555, 0o500, b"2")
    os.chmod(top / "srv" / "d", 0o755)
    os.chmod(top / "srv" / "d" / "e", 0o755)


async def test_a_later_member_replaces_an_earlier_one(top: Path) -> None:
    await unpack(top, tar_of([("a", b"1"), link("a", "x"), ("a", b"2"), hard_link("b", "a"), ("b", b"3")]))
    found = read_tree(top / "srv")
    assert (found["a"].content, found["b"].content) == (b"2", b"3")


async def test_a_second_name_for_itself_leaves_no_other_file(top: Path) -> None:
    """rename(2) of one name of a file over another does nothing at all, and keeps both."""
    await unpack(top, tar_of([("a", b"1"), hard_link("b", "a"), hard_link("b", "a")]))
    assert read_tree(top / "srv").keys() == {"a", "b"}


# What is there.


async def test_a_file_is_replaced_and_not_written_to(top: Path) -> None:
    (top / "outside").write_bytes(b"old")
    os.link(top / "outside", top / "srv" / "file")
    (top / "srv" / "link").symlink_to("../outside")
    os.mkfifo(top / "srv" / "fifo")
    await unpack(top, tar_of([(name, b"new") for name in ("file", "link", "fifo")]))
    assert (top / "outside").read_bytes() == b"old"
    assert {name: item.content for name, item in read_tree(top / "srv").items()} == dict.fromkeys(
        ["file", "link", "fifo"], b"new"
    )


async def test_a_directory_keeps_its_mode_and_time(top: Path) -> None:
    (top / "srv" / "d").mkdir(mode=0o711)
    os.utime(top / "srv", ns=(1, 1))
    await unpack(top, tar_of([directory("./", 0o700), directory("d", 0o700), directory("d/new", 0o750)]))
    found = read_tree(top)
    assert (found["srv"].mode, found["srv/d"].mode, found["srv/d/new"].mode) == (0o755, 0o711, 0o750)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("d", b"")], "'/srv/d' in container 'web' is a directory"),
        ([link("d", "x")], "is a directory"),
        ([hard_link("d", "f")], "is a directory"),
        ([directory("f")], "'/srv/f' in container 'web' is not a directory"),
        ([("f/x", b"")], "is not a directory"),
        ([("new", b""), ("new/x", b"")], "is not a directory"),
    ],
)
async def test_files_and_directories_do_not_take_each_other_s_place(
    top: Path, members: Sequence[tarfile.TarInfo | tuple[str, bytes]], message: str
) -> None:
    (top / "srv" / "d").mkdir()
    (top / "srv" / "f").write_bytes(b"old")
    with pytest.raises(FailedPreconditionError, match=message):
        await unpack(top, tar_of(members))
    assert (top / "srv" / "f").read_bytes() == b"old"
    assert temporary_files(top) == []


# What an archive must not do.


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([link("l", "/"), ("l/owned", b"")], id="behind a link to the root"),
        pytest.param([link("l", ".."), ("l/owned", b"")], id="behind a link up"),
        pytest.param([link("a", "b"), link("b", ".."), ("a/owned", b"")], id="behind two links"),
        pytest.param([directory("d"), link("d/l", "../.."), ("d/l/owned", b"")], id="behind a link below"),
        pytest.param([link("l", ".."), directory("l/owned")], id="a directory"),
        pytest.param([link("l", ".."), link("l/owned", "x")], id="a link"),
        pytest.param([("f", b""), link("l", ".."), hard_link("l/owned", "f")], id="a hard link"),
        pytest.param([link("l", ".."), hard_link("owned", "l/secret")], id="a hard link to what is outside"),
        pytest.param(
            [link("l", ".."), hard_link("m", "l"), ("m/owned", b"")], id="behind a hard link to a link"
        ),
        pytest.param([hard_link("owned", "d")], id="a hard link to a directory"),
        pytest.param([hard_link("owned", "none")], id="a hard link to nothing"),
        pytest.param([hard_link("owned", "none/at/all")], id="a hard link to nothing below"),
        pytest.param([hard_link("owned", "")], id="a hard link to the top"),
    ],
)
async def test_links_are_no_way_out(top: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]) -> None:
    (top / "secret").write_bytes(b"")
    (top / "srv" / "d").mkdir()
    with pytest.raises(InvalidArgumentError):
        await unpack(top, tar_of(members))
    assert not any(name.endswith("owned") for name in read_tree(top))
    assert temporary_files(top) == []


@needs_root
async def test_devices_and_fifos_are_made_as_they_are(top: Path) -> None:
    null = member("null", tarfile.CHRTYPE, mode=0o666)
    null.devmajor, null.devminor, null.uid = 1, 3, 5
    await unpack(top, tar_of([null, member("fifo", tarfile.FIFOTYPE, mode=0o640)]))
    made = (top / "srv" / "null").lstat()
    assert (made.st_rdev, made.st_mode & 0o7777, made.st_uid) == (os.makedev(1, 3), 0o666, 5)
    assert read_tree(top / "srv")["fifo"].mode == 0o640


# What fails leaves nothing half.


def test_what_is_not_finished_is_not_there(top: Path) -> None:
    with writing(top) as writer:
        writer.take([Member("whole", Kind.FILE, size=1), b"1", Member("half", Kind.FILE, size=9), b"2"])
        assert len(temporary_files(top)) == 1
    found = read_tree(top / "srv")
    assert found.keys() == {"whole"}


def test_directories_get_their_modes_also_where_the_rest_failed(top: Path) -> None:
    with writing(top) as writer:
        writer.take([Member("d", Kind.DIRECTORY, mode=0o751, mtime_ns=5), Member("d/x", Kind.FILE, size=1)])
    found = read_tree(top / "srv")
    assert (found["d"].mode, found["d"].mtime_ns) == (0o751, 5)
    assert found.keys() == {"d"}


def test_two_that_make_a_directory_at_the_same_moment_both_have_it(top: Path) -> None:
    """One looks, the other makes it, and the first wants to make it too."""

    @contextlib.contextmanager
    def somebody_else(path: str) -> Iterator[None]:
        if path == "/srv/d":
            (top / "srv" / "d").mkdir(mode=0o711, exist_ok=True)
        yield

    root = os.open(top, os.O_PATH)
    writer = DirectoryWriter(root, BASE, somebody_else, own=ROOT)
    try:
        writer.take([Member("d/x", Kind.FILE, size=1), b"1"])
        writer.finish()
    finally:
        writer.close()
        os.close(root)
    found = read_tree(top / "srv")
    assert (found["d"].mode, found["d/x"].content) == (0o711, b"1")


def test_zeros_are_a_hole(top: Path) -> None:
    """A container can have a file of 8 EiB that holds nothing."""
    data = [bytes(1 << 20), b"x", bytes(1 << 20), bytes(1 << 20)]
    with writing(top) as writer:
        writer.take([Member("sparse", Kind.FILE, size=(3 << 20) + 1), *data])
        writer.take([Member("zeros", Kind.FILE, size=1 << 20), bytes(1 << 20)])
        writer.finish()
    assert (top / "srv" / "sparse").read_bytes() == b"".join(data)
    assert (top / "srv" / "zeros").read_bytes() == bytes(1 << 20)
    assert (top / "srv" / "sparse").stat().st_blocks * 512 < 1 << 20


def test_nothing_is_written_where_something_is_mounted_that_is_not_to_be_seen(top: Path) -> None:
    (top / "srv" / "data").mkdir()
    root = os.open(top, os.O_PATH)
    writer = DirectoryWriter(root, BASE, in_container("web"), own=ROOT, hidden=frozenset({("srv", "data")}))
    try:
        with pytest.raises(FailedPreconditionError, match="'/srv/data' lies in the mount '/srv/data'"):
            writer.take([Member("data/x", Kind.FILE)])
    finally:
        writer.close()
        os.close(root)
    assert read_tree(top / "srv").keys() == {"data"}


def test_a_directory_that_was_moved_away_meanwhile_is_let_be(top: Path) -> None:
    with writing(top) as writer:
        writer.take([Member("d", Kind.DIRECTORY, mode=0o751), Member("e", Kind.DIRECTORY, mode=0o751)])
        (top / "srv" / "d").rmdir()
        (top / "srv" / "d").symlink_to(top)
        (top / "srv" / "e").rename(top / "srv" / "old")
        (top / "srv" / "e").mkdir(mode=0o700)
        mode = top.stat().st_mode
        writer.finish()
    assert top.stat().st_mode == mode
    assert read_tree(top / "srv")["e"].mode == 0o700


def test_a_directory_that_became_a_link_meanwhile_is_not_followed(top: Path) -> None:
    """The container may change its tree between two members, and between a look and an open."""
    (top / "srv" / "d").mkdir()
    (top / "elsewhere").mkdir()
    with writing(top) as writer:
        writer.take([Member("d/x", Kind.FILE, size=1), b"1", Member("y", Kind.FILE, size=1), b"2"])
        (top / "srv" / "d").rename(top / "srv" / "old")
        (top / "srv" / "d").symlink_to("../elsewhere")
        with pytest.raises(FailedPreconditionError, match="'/srv/d' in container 'web' is not a directory"):
            writer.take([Member("d/z", Kind.FILE, size=1), b"3"])
    assert read_tree(top / "elsewhere") == {}


def test_nothing_stays_open(top: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with writing(top) as writer:
        writer.take([Member("a/b/c", Kind.FILE, size=1), b"1", Member("l", Kind.SYMLINK, target="x")])
        writer.take([Member("d", Kind.DIRECTORY), Member("d/f", Kind.FILE, size=3)])
    assert os.listdir("/proc/self/fd") == before


def test_nothing_stays_open_where_what_is_not_finished_cannot_be_removed(top: Path) -> None:
    """The container may put a directory in its place."""
    root = os.open(top, os.O_PATH)
    before = os.listdir("/proc/self/fd")
    writer = DirectoryWriter(root, BASE, in_container("web"), own=ROOT)
    writer.take([Member("d", Kind.DIRECTORY, mode=0o751), Member("x", Kind.FILE, size=3)])
    (temporary,) = temporary_files(top)
    (top / temporary).unlink()
    (top / temporary).mkdir()
    writer.close()
    assert os.listdir("/proc/self/fd") == before
    os.close(root)
    assert read_tree(top / "srv")["d"].mode == 0o751


# On this host.


def test_on_this_host_owners_are_not_set(top: Path) -> None:
    with writing(top, own=False) as writer:
        writer.take([Member("x", Kind.FILE, uid=77, gid=78), Member("l", Kind.SYMLINK, target="x", uid=77)])
        writer.finish()
    found = read_tree(top / "srv")
    assert {item.uid for item in found.values()} == {os.geteuid()}


def test_on_this_host_no_link_is_followed(top: Path) -> None:
    (top / "srv" / "sub").symlink_to(top)
    with (
        writing(top, own=False) as writer,
        pytest.raises(InvalidArgumentError, match="behind a link: '/srv/sub'"),
    ):
        writer.take([Member("sub/x", Kind.FILE)])


@needs_root
def test_attributes_are_set_and_survive_the_owner(top: Path) -> None:
    allowed = bytes.fromhex("0100000200200000000000000000000000000000")
    with writing(top) as writer:
        writer.take([Member("x", Kind.FILE, uid=5, xattrs={"security.capability": allowed, "user.a": b"1"})])
        writer.finish()
    assert os.getxattr(top / "srv" / "x", "security.capability") == allowed
    assert os.getxattr(top / "srv" / "x", "user.a") == b"1"
