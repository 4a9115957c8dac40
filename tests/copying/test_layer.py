"""The layer that puts members over a snapshot; that a daemon applies it right is tried on the real one."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest

from containerd_aio import FailedPreconditionError, InvalidArgumentError
from containerd_aio._copying.faults import in_container
from containerd_aio._copying.landing import look_into
from containerd_aio._copying.layer import LayerWriter
from containerd_aio._tar.member import Kind, Member
from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.spec.resolution import Look

OPAQUE = ".wh..wh..opq"


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    (tmp_path / "srv" / "sub").mkdir(parents=True)
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "srv" / "file").write_bytes(b"")
    descriptor = os.open(tmp_path, os.O_PATH)
    yield look_into(LayeredDirectories([descriptor]))
    os.close(descriptor)


def layer(
    look: Look, items: Sequence[Member | bytes], *, base: str = "", hidden: Sequence[str] = ()
) -> dict[str, tarfile.TarInfo]:
    writer = LayerWriter(
        look,
        tuple(base.split("/")) if base else (),
        in_container("web"),
        hidden=frozenset(tuple(each.split("/")) for each in hidden),
    )
    data = writer.take(items) + writer.end()
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        return {info.name: info for info in archive}


def test_members_are_named_by_where_they_lie(look: Look) -> None:
    found = layer(
        look, [Member("lib/x", Kind.FILE, size=2, mode=0o640, uid=5), b"ab", Member("y", Kind.FILE)]
    )
    assert list(found) == ["usr/lib/x", "y"]
    assert (found["usr/lib/x"].size, found["usr/lib/x"].mode, found["usr/lib/x"].uid) == (2, 0o640, 5)


def test_a_directory_that_is_there_has_no_entry_and_a_new_one_is_opaque(look: Look) -> None:
    """Without the mark, what a whiteout hides would come back."""
    members = [
        Member("srv", Kind.DIRECTORY, mode=0o700),
        Member("srv/new", Kind.DIRECTORY, mode=0o711),
        Member("srv/new/x", Kind.FILE),
        Member("srv/implied/er/y", Kind.FILE, uid=7),
        Member("srv/implied/er/z", Kind.FILE),
    ]
    found = layer(look, members)
    assert list(found) == [
        "srv/new",
        f"srv/new/{OPAQUE}",
        "srv/new/x",
        "srv/implied",
        f"srv/implied/{OPAQUE}",
        "srv/implied/er",
        f"srv/implied/er/{OPAQUE}",
        "srv/implied/er/y",
        "srv/implied/er/z",
    ]
    assert found["srv/new"].mode == 0o711
    assert (found["srv/implied"].mode, found["srv/implied"].uid) == (0o755, 7)


def test_where_nothing_lies_below_no_directory_is_opaque(look: Look) -> None:
    """The daemon would remove what another copy has put there meanwhile."""
    writer = LayerWriter(look, (), in_container("web"), overlay=False)
    data = writer.take([Member("srv/new/x", Kind.FILE)]) + writer.end()
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        assert archive.getnames() == ["srv/new", "srv/new/x"]


def test_a_directory_may_follow_what_is_in_it(look: Look) -> None:
    found = layer(look, [Member("new/x", Kind.FILE), Member("new", Kind.DIRECTORY, mode=0o700)])
    assert list(found) == ["new", f"new/{OPAQUE}", "new/x"]


def test_it_counts_from_its_base(look: Look) -> None:
    found = layer(look, [Member("x", Kind.FILE), Member("h", Kind.HARDLINK, target="./x")], base="srv/sub")
    assert list(found) == ["srv/sub/x", "srv/sub/h"]
    assert found["srv/sub/h"].linkname == "srv/sub/x"


def test_no_two_layers_are_alike(look: Look) -> None:
    """Their blobs are removed by their digests."""
    assert (
        len({LayerWriter(look, (), in_container("w")).take([Member("x", Kind.FILE)]) for _ in range(3)}) == 3
    )


def test_a_link_may_be_replaced_and_then_is_no_way(look: Look) -> None:
    assert layer(look, [Member("lib", Kind.SYMLINK, target="/srv")])["lib"].linkname == "/srv"
    with pytest.raises(
        InvalidArgumentError, match="'lib/x' lies behind the link '/lib', which the archive brought"
    ):
        layer(look, [Member("lib", Kind.SYMLINK, target="/srv"), Member("lib/x", Kind.FILE)])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([Member("srv/sub", Kind.FILE)], "'/srv/sub' in container 'web' is a directory"),
        ([Member("srv/file", Kind.DIRECTORY)], "'/srv/file' in container 'web' is not a directory"),
        ([Member("srv/file/x", Kind.FILE)], "is not a directory"),
        ([Member("new", Kind.FILE), Member("new/x", Kind.FILE)], "is not a directory"),
        ([Member("new", Kind.DIRECTORY), Member("new", Kind.FILE)], "is a directory"),
        ([Member("new/x", Kind.FILE), Member("new", Kind.SYMLINK, target="y")], "is a directory"),
    ],
)
def test_files_and_directories_do_not_take_each_other_s_place(
    look: Look, members: list[Member | bytes], message: str
) -> None:
    with pytest.raises(FailedPreconditionError, match=message):
        layer(look, members)


@pytest.mark.parametrize(
    "members",
    [
        [Member("h", Kind.HARDLINK, target="srv/file")],
        [Member("h", Kind.HARDLINK, target="none")],
        [Member("h", Kind.HARDLINK, target="none/x")],
        [Member("h", Kind.HARDLINK, target="")],
        [Member("l", Kind.SYMLINK, target="srv/file"), Member("h", Kind.HARDLINK, target="l")],
        [Member("d", Kind.DIRECTORY), Member("h", Kind.HARDLINK, target="d")],
    ],
)
def test_a_hard_link_is_to_a_file_of_the_archive(look: Look, members: list[Member | bytes]) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a file that the archive brought before"):
        layer(look, members)


@pytest.mark.parametrize("name", ["srv/.wh.file", "srv/.wh..wh..opq", ".wh.srv/x", "srv/new/.wh.x/y"])
def test_names_that_would_remove_files_are_refused(look: Look, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="means that a file is removed"):
        layer(look, [Member(name, Kind.FILE)])


def test_so_is_the_device_that_would(look: Look) -> None:
    assert layer(look, [Member("null", Kind.CHARACTER_DEVICE, device=(1, 3))])["null"].devminor == 3
    with pytest.raises(InvalidArgumentError, match="a device 0:0 means that a file is removed"):
        layer(look, [Member("srv/file", Kind.CHARACTER_DEVICE)])


@pytest.mark.parametrize("name", ["srv/sub/x", "srv/sub/new/x", "lib/x"])
def test_nothing_goes_where_something_is_mounted(look: Look, name: str) -> None:
    with pytest.raises(FailedPreconditionError, match="lies in the mount '/[a-z/]+' of the container"):
        layer(look, [Member(name, Kind.FILE)], hidden=["srv/sub", "usr/lib"])


def test_the_place_of_a_mount_itself_may_be_named(look: Look) -> None:
    assert layer(
        look, [Member("srv/sub", Kind.DIRECTORY), Member("x", Kind.FILE)], hidden=["srv/sub"]
    ).keys() == {"x"}
