"""Where members land, and which must not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerd_aio import FailedPreconditionError, InvalidArgumentError
from containerd_aio._copying.faults import in_container
from containerd_aio._copying.landing import Landing, check_shown, implied, look_into, names_of, path_of
from containerd_aio._tar.member import Kind, Member
from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.spec.resolution import Look, Place

BASE = ("srv",)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "srv" / "sub").mkdir(parents=True)
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "srv" / "lib").symlink_to("/usr/lib")
    (tmp_path / "srv" / "out").symlink_to("../../../../../etc")
    (tmp_path / "srv" / "file").write_bytes(b"")
    (tmp_path / "srv" / "to-file").symlink_to("file")
    return tmp_path


@pytest.fixture
def look(top: Path) -> Iterator[Look]:
    descriptor = os.open(top, os.O_PATH)
    yield look_into(LayeredDirectories([descriptor]))
    os.close(descriptor)


@pytest.fixture
def landing(look: Look) -> Landing:
    return Landing(look, BASE, in_container("web"))


@pytest.fixture
def strict(look: Look) -> Landing:
    return Landing(look, BASE, in_container("web"), follow_links=False)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a/b", ("a", "b")),
        ("./a//b/", ("a", "b")),
        ("/a", ("a",)),
        ("./", ()),
        ("", ()),
        ("..a/b..", ("..a", "b..")),
    ],
)
def test_names_count_from_the_top(path: str, names: tuple[str, ...]) -> None:
    assert names_of(path, about="it") == names


@pytest.mark.parametrize("path", ["..", "a/..", "a/../b", "/..", "../a", "a/../../b", "a\0b"])
def test_names_that_go_up_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="it leads outside"):
        names_of(path, about="it")


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("x", Place(("srv",))),
        ("sub/x", Place(("srv", "sub"))),
        ("new/er/x", Place(("srv",), ("new", "er"))),
        ("lib/x", Place(("usr", "lib"))),
        ("lib/new/x", Place(("usr", "lib"), ("new",))),
        ("out/x", Place((), ("etc",))),
    ],
)
def test_a_member_lands_where_the_container_s_links_lead(landing: Landing, member: str, place: Place) -> None:
    names = names_of(member, about="it")
    assert landing.parent(names) == place
    assert landing.parent(names) == place


@pytest.mark.parametrize("member", ["file/x", "to-file/x", "file/sub/x"])
def test_nothing_lands_in_a_file(landing: Landing, member: str) -> None:
    with pytest.raises(FailedPreconditionError, match="in container 'web' is not a directory"):
        landing.parent(names_of(member, about="it"))


@pytest.mark.parametrize("link", [("srv", "lib"), ("srv", "out")])
def test_nothing_lands_behind_a_link_that_the_archive_brought(
    landing: Landing, link: tuple[str, ...]
) -> None:
    landing.link_brought(link)
    with pytest.raises(
        InvalidArgumentError, match=r"'\w+/sub/x' lies behind the link '/srv/\w+', which the archive"
    ):
        landing.parent((link[-1], "sub", "x"))


def test_nor_behind_one_that_is_reached_by_another(landing: Landing, top: Path) -> None:
    (top / "srv" / "alias").symlink_to("sub")
    (top / "srv" / "sub" / "evil").symlink_to("/etc")
    landing.link_brought(("srv", "sub", "evil"))
    with pytest.raises(InvalidArgumentError, match="behind the link '/srv/sub/evil'"):
        landing.parent(("alias", "evil", "passwd"))


def test_on_this_host_nothing_lands_behind_any_link(strict: Landing) -> None:
    assert strict.parent(("sub", "x")) == Place(("srv", "sub"))
    with pytest.raises(InvalidArgumentError, match="'lib/x' lies behind a link: '/srv/lib'"):
        strict.parent(("lib", "x"))


def test_a_directory_that_was_made_is_remembered(landing: Landing) -> None:
    landing.made(("new",), ("srv", "new"))
    assert landing.parent(("new", "x")) == Place(("srv", "new"))
    for number in range(2000):
        landing.made((str(number),), ("srv", str(number)))
    assert landing.parent(("1999", "x")) == Place(("srv", "1999"))


@pytest.mark.parametrize(
    ("kind", "name", "kept"),
    [
        (Kind.FILE, "new", False),
        (Kind.FILE, "file", False),
        (Kind.SYMLINK, "lib", False),
        (Kind.DIRECTORY, "new", False),
        (Kind.DIRECTORY, "sub", True),
        (Kind.DIRECTORY, "lib", True),
    ],
)
def test_what_stays_and_what_is_replaced(landing: Landing, kind: Kind, name: str, kept: bool) -> None:
    assert landing.keeps(kind, ("srv", name), (name,)) is kept


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (Kind.FILE, "sub", "'/srv/sub' in container 'web' is a directory"),
        (Kind.SYMLINK, "sub", "is a directory"),
        (Kind.DIRECTORY, "file", "'/srv/file' in container 'web' is not a directory"),
        (Kind.DIRECTORY, "to-file", "is not a directory"),
        (Kind.DIRECTORY, "out", "is not a directory"),
    ],
)
def test_files_and_directories_do_not_take_each_other_s_place(
    landing: Landing, kind: Kind, name: str, message: str
) -> None:
    with pytest.raises(FailedPreconditionError, match=message):
        landing.keeps(kind, ("srv", name), (name,))


def test_a_link_that_was_brought_is_no_directory(landing: Landing, strict: Landing) -> None:
    landing.link_brought(("srv", "lib"))
    for each in (landing, strict):
        with pytest.raises(FailedPreconditionError, match="is not a directory"):
            each.keeps(Kind.DIRECTORY, ("srv", "lib"), ("lib",))


def test_what_is_hidden_is_found() -> None:
    hidden = frozenset({("proc",), ("dev", "shm")})
    with pytest.raises(
        FailedPreconditionError, match="'/proc/1/x' lies in the mount '/proc' of the container"
    ):
        check_shown(("proc", "1", "x"), hidden)
    with pytest.raises(FailedPreconditionError, match="lies in the mount '/dev/shm'"):
        check_shown(("dev", "shm"), hidden)
    check_shown(("dev", "null"), hidden)
    check_shown((), hidden)


def test_a_directory_that_the_archive_lacks_belongs_to_whom_its_file_does() -> None:
    made = implied(Member("a/b", Kind.FILE, mode=0o600, uid=5, gid=6, mtime_ns=1))
    assert (made.kind, made.mode, made.uid, made.gid) == (Kind.DIRECTORY, 0o755, 5, 6)
    assert path_of(("a", "b")) == "/a/b"


def test_names_that_are_deeper_than_any_path_are_refused() -> None:
    """Some bytes of gzip can stand for a million directories, one in the other."""
    assert len(names_of("a/" * 2048, about="it")) == 2048
    with pytest.raises(InvalidArgumentError, match="it... lies in 2049 directories; 2048 are the most"):
        names_of("a/" * 2049, about="it")


@pytest.mark.parametrize("member", ["sub", "sub/x", "sub/new/x", "missing", "missing/x"])
def test_nothing_lands_in_a_hidden_place(look: Look, member: str) -> None:
    names = names_of(member, about="it")
    landing = Landing(look, BASE, in_container("web"), hidden=frozenset({("srv", "sub"), ("srv", "missing")}))
    if names == ("sub",):
        assert landing.keeps(Kind.DIRECTORY, ("srv", "sub"), names)
        return
    with pytest.raises(
        FailedPreconditionError, match=r"lies in the mount '/srv/(sub|missing)' of the container"
    ):
        landing.keeps(Kind.DIRECTORY, (*landing.parent(names).names, names[-1]), names)
