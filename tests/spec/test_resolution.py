"""Where a path leads, in a tree that is only told of."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.spec.resolution import MAX_LINKS, Found, Place, resolve

TREE: Mapping[str, str] = {
    "/etc": "",
    "/etc/passwd": "file",
    "/lib": "-> usr/lib",
    "/usr": "",
    "/usr/lib": "",
    "/usr/lib/x": "file",
    "/abs": "-> /etc",
    "/up": "-> ../../../etc/passwd",
    "/dangling": "-> none/at/all",
    "/loop": "-> loop",
    "/to-file": "-> etc/passwd",
}


def look(names: tuple[str, ...]) -> Found | None:
    if not names:
        return Found(True)
    what = TREE.get("/" + "/".join(names))
    if what is None:
        return None
    return Found(what == "", what[3:] if what.startswith("-> ") else None)


@pytest.mark.parametrize(
    ("path", "names", "missing"),
    [
        ("/", "", ""),
        ("", "", ""),
        ("/etc/passwd", "etc passwd", ""),
        ("etc//./passwd", "etc passwd", ""),
        ("/../etc", "etc", ""),
        ("/etc/", "etc", ""),
        ("/lib/x", "usr lib x", ""),
        ("/lib/../x", "usr", "x"),
        ("/abs/passwd", "etc passwd", ""),
        ("/up", "etc passwd", ""),
        ("/dangling", "", "none at all"),
        ("/dangling/x/./", "", "none at all x"),
        ("/etc/none/x/", "etc", "none x"),
        ("/etc/../etc/./none/.", "etc", "none"),
    ],
)
def test_paths_lead_somewhere(path: str, names: str, missing: str) -> None:
    assert resolve(look, path) == Place(tuple(names.split()), tuple(missing.split()))


def test_a_path_may_start_in_a_directory() -> None:
    assert resolve(look, "lib/x", start=("usr",)) == Place(("usr", "lib", "x"))
    assert resolve(look, "../etc", start=("usr", "lib")) == Place(("usr",), ("etc",))
    assert resolve(look, "/etc", start=("usr",)) == Place(("etc",))


def test_the_last_link_may_be_kept() -> None:
    assert resolve(look, "/lib", follow_last=False) == Place(("lib",))
    assert resolve(look, "/lib/x", follow_last=False) == Place(("usr", "lib", "x"))
    assert str(Place(("a",), ("b", "c"))) == "/a/b/c"


@pytest.mark.parametrize("path", ["/etc/passwd/", "/etc/passwd/x", "/etc/passwd/..", "/to-file/", "/up/."])
def test_a_file_is_no_directory(path: str) -> None:
    with pytest.raises(NotADirectoryError):
        resolve(look, path)


@pytest.mark.parametrize("path", ["/none/..", "/etc/none/../passwd"])
def test_nothing_leads_up_from_what_is_missing(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        resolve(look, path)


def test_links_end_somewhere() -> None:
    with pytest.raises(OSError, match="symbolic links") as caught:
        resolve(look, "/loop")
    assert caught.value.errno == errno.ELOOP
    chain = {f"l{number}": f"l{number + 1}" for number in range(MAX_LINKS)}

    def linked(names: tuple[str, ...]) -> Found | None:
        return Found(False, chain.get(names[-1]))

    assert resolve(linked, "/l0") == Place((f"l{MAX_LINKS}",))


def test_only_so_much_is_looked_up() -> None:
    with pytest.raises(OSError, match="symbolic links"):
        resolve(lambda _: Found(True), "a/" * 50)
    assert len(resolve(lambda _: Found(True), "a/" * 50, max_lookups=2000).names) == 50


STEPS = st.lists(st.sampled_from(["..", ".", "", "a", "b", "d", "to-a", "deep"]), max_size=8).map("/".join)
DEPTH = 10


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with directories and links in it, so deep that no path of a test leads out of it."""
    top = tmp_path_factory.mktemp("top")
    place = top / "/".join("d" * DEPTH)
    (place / "a" / "b").mkdir(parents=True)
    (place / "to-a").symlink_to("a")
    (place / "a" / "deep").symlink_to("../to-a/b")
    (place / "deep").symlink_to("../d/a/deep/.")
    return top


@given(path=STEPS)
def test_the_kernel_goes_the_same_way(top: Path, path: str) -> None:
    def real(names: tuple[str, ...]) -> Found | None:
        at = top.joinpath(*names)
        if at.is_symlink():
            return Found(False, os.readlink(at))
        return Found(at.is_dir()) if at.exists() else None

    start = ("d",) * DEPTH
    there = os.path.join(top, *start, path.lstrip("/"))
    try:
        place = resolve(real, path.lstrip("/"), start=start)
    except FileNotFoundError:
        place = Place((), ("anything",))
    assert os.path.exists(there) is not bool(place.missing)
    if not place.missing:
        assert os.path.realpath(there) == str(top.joinpath(*place.names))
