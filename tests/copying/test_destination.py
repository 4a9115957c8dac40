"""Where a copy goes: the rules of docker cp."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio import FailedPreconditionError, NotFoundError
from containerd_aio._copying.destination import Destination, Source, in_container, name_of, on_host
from containerd_aio._copying.files import Located
from containerd_aio._tar.member import Kind, Member
from containerd_aio.spec.resolution import Place

FILE = Source("app.py", is_directory=False)
DIRECTORY = Source("app", is_directory=True)
CONTENTS = Source("", is_directory=True)
ARCHIVE = Source("", is_directory=True, into=True)


def there(path: str, kind: Kind | None) -> Located:
    return Located(Place(tuple(path.split())), Member("", kind) if kind else None)


def absent(path: str, missing: str) -> Located:
    return Located(Place(tuple(path.split()), tuple(missing.split())), None)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/log", "log"),
        ("log/", "log"),
        ("/", ""),
        ("/var/log/.", ""),
        (".", ""),
        ("..", ""),
        ("a/..", ""),
        ("x", "x"),
    ],
)
def test_what_a_copy_is_called(path: str, name: str) -> None:
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("path", "located", "source", "base", "names"),
    [
        pytest.param(
            "/srv", there("srv", Kind.DIRECTORY), FILE, "srv", "app.py", id="a file into a directory"
        ),
        pytest.param("/srv/x", absent("srv", "x"), FILE, "srv", "x", id="a file under a new name"),
        pytest.param("/srv/x", there("srv x", Kind.FILE), FILE, "srv", "x", id="a file over a file"),
        pytest.param(
            "/srv", there("srv", Kind.DIRECTORY), DIRECTORY, "srv", "app", id="a directory into one"
        ),
        pytest.param("/srv/x", absent("srv", "x"), DIRECTORY, "srv", "x", id="a directory under a new name"),
        pytest.param(
            "/srv/x/", absent("srv", "x"), DIRECTORY, "srv", "x", id="a directory under a new name, slash"
        ),
        pytest.param(
            "/srv", there("srv", Kind.DIRECTORY), CONTENTS, "srv", "", id="contents into a directory"
        ),
        pytest.param("/srv/x", absent("srv", "x"), CONTENTS, "srv", "x", id="contents under a new name"),
        pytest.param(
            "/srv", there("srv", Kind.DIRECTORY), ARCHIVE, "srv", "", id="an archive into a directory"
        ),
        pytest.param("/", there("", Kind.DIRECTORY), FILE, "", "app.py", id="to the root"),
    ],
)
@pytest.mark.parametrize("parents", [False, True])
def test_it_goes_there(
    path: str, located: Located, source: Source, base: str, names: str, parents: bool
) -> None:
    wanted = Destination(tuple(base.split()), tuple(names.split()))
    assert in_container("web", path, located, source, parents=parents) == wanted


@pytest.mark.parametrize(
    ("path", "located", "source", "needed", "names"),
    [
        ("/srv/a/x", absent("srv", "a x"), FILE, "/srv/a", "a x"),
        ("/srv/a/", absent("srv", "a"), FILE, "/srv/a", "a app.py"),
        ("/srv/a/.", absent("srv", "a"), FILE, "/srv/a", "a app.py"),
        ("/srv/a/b/c", absent("srv", "a b c"), DIRECTORY, "/srv/a/b", "a b c"),
        ("/srv/a", absent("srv", "a"), ARCHIVE, "/srv/a", "a"),
        ("/srv/a/b", absent("srv", "a b"), ARCHIVE, "/srv/a/b", "a b"),
    ],
)
def test_directories_that_are_missing_are_made_when_asked_for(
    path: str, located: Located, source: Source, needed: str, names: str
) -> None:
    with pytest.raises(
        NotFoundError, match=f"no directory '{needed}' in container 'web'; `parents` makes it"
    ):
        in_container("web", path, located, source, parents=False)
    wanted = Destination(("srv",), tuple(names.split()))
    assert in_container("web", path, located, source, parents=True) == wanted


@pytest.mark.parametrize(
    ("located", "source", "message"),
    [
        (there("x", Kind.FILE), DIRECTORY, "'/x' in container 'web' is not a directory"),
        (there("x", Kind.FILE), ARCHIVE, "is not a directory"),
        (there("x", Kind.CHARACTER_DEVICE), FILE, "is neither a file nor a directory, and stays"),
        (there("x", Kind.FIFO), FILE, "is neither a file nor a directory"),
        (there("x", None), FILE, "is neither a file nor a directory"),
        (there("x", None), DIRECTORY, "is not a directory"),
    ],
)
def test_what_is_there_forbids_it(located: Located, source: Source, message: str) -> None:
    with pytest.raises(FailedPreconditionError, match=message):
        in_container("web", "/x", located, source, parents=True)


def test_on_this_host_it_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "to-dir").symlink_to("dir")
    (tmp_path / "to-file").symlink_to("file")
    top, inner = str(tmp_path), str(tmp_path / "dir")
    assert on_host(tmp_path / "dir", FILE) == (inner, ("app.py",))
    assert on_host(tmp_path / "to-dir", FILE) == (inner, ("app.py",))
    assert on_host(f"{inner}/", DIRECTORY) == (inner, ("app",))
    assert on_host(tmp_path / "dir", CONTENTS) == (inner, ())
    assert on_host(tmp_path / "new", FILE) == (top, ("new",))
    assert on_host(f"{top}/new/", DIRECTORY) == (top, ("new",))
    assert on_host(tmp_path / "new", CONTENTS) == (top, ("new",))
    assert on_host(tmp_path / "file", FILE) == (top, ("file",))
    assert on_host(tmp_path / "to-file", FILE) == (top, ("file",))


def test_on_this_host_it_is_refused_as_the_system_would(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        on_host(tmp_path / "file", DIRECTORY)
    with pytest.raises(FileNotFoundError):
        on_host(f"{tmp_path}/none/", FILE)
    with pytest.raises(FileNotFoundError):
        on_host(tmp_path / "none" / "x", DIRECTORY)


def test_on_this_host_a_device_stays(tmp_path: Path) -> None:
    """Root would have a file in its place, and /dev/null is nothing any more."""
    os.mkfifo(tmp_path / "fifo")
    for target in ("/dev/null", tmp_path / "fifo"):
        with pytest.raises(FileExistsError, match="something else than a file or directory, and it stays"):
            on_host(target, FILE)
