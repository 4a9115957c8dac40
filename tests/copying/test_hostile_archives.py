"""Archives as somebody would make them who wants to get out: whatever they hold, nothing outside is changed."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from containerd_aio import ContainerdError
from containerd_aio._copying.checks import Check, IntoContainer, OntoHost, archive_of, batches
from containerd_aio._copying.directory import DirectoryWriter
from containerd_aio._copying.faults import in_container, on_this_host
from containerd_aio._copying.landing import look_into
from containerd_aio._copying.layer import LayerWriter
from containerd_aio.spec.layered import LayeredDirectories
from tests.copying.trees import read_tree

KINDS = [
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
]
PATHS = st.lists(st.sampled_from(["top", "a", "b", "l", "..", ".", "", "out", ".wh.a"]), max_size=4).map(
    "/".join
)


@st.composite
def archives(draw: st.DrawFn, *, depth: int = 1) -> bytes:
    """Members of any kind, with names and targets that meet and go up, and contents that are archives again."""
    made = b""
    for _ in range(draw(st.integers(1, 6))):
        info = tarfile.TarInfo(draw(PATHS))
        info.type = draw(st.sampled_from(KINDS))
        info.linkname = draw(PATHS)
        content = b""
        if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            info.name += draw(st.sampled_from(["", "/"]))
            content = draw(archives(depth=0)) if depth and draw(st.booleans()) else b"evil"
            info.size = len(content)
        made += info.tobuf(draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])))
        made += content + bytes(-len(content) % 512)
    return made


def file_with_slash(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512)


SMUGGLED = file_with_slash("top/x/", file_with_slash("out/owned", b"evil") + bytes(100))


@contextlib.contextmanager
def scene() -> Iterator[Path]:
    """A directory ``home``, where the copy goes, with files of somebody in it and beside it."""
    with TemporaryDirectory() as place:
        home = Path(place) / "home"
        (home / "top" / "a").mkdir(parents=True)
        (home / "out").mkdir()
        (home / "b").write_bytes(b"mine")
        (home / "l").symlink_to("../outside")
        (Path(place) / "outside").mkdir()
        (Path(place) / "outside" / "a").write_bytes(b"mine")
        yield home


async def write(archive: bytes, check: Check, writer: DirectoryWriter) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield archive

    try:
        with contextlib.suppress(ContainerdError, OSError):
            async with contextlib.aclosing(chunks()) as source:
                async for batch in batches(archive_of(source), check):
                    writer.take(batch)
                writer.finish()
    finally:
        writer.close()


@settings(max_examples=30)
@given(archives())
@example(SMUGGLED)
async def test_a_copy_on_this_host_changes_nothing_but_itself(archive: bytes) -> None:
    with scene() as home:
        before = read_tree(home.parent)
        root = os.open(home, os.O_PATH)
        await write(
            archive, OntoHost(("top",)), DirectoryWriter(root, (), on_this_host(str(home)), own=False)
        )
        os.close(root)
        after = read_tree(home.parent)
        copied = {name for name in after if name.startswith("home/top")}
        assert {name: item for name, item in after.items() if name not in copied | {"home"}} == {
            name: item for name, item in before.items() if not name.startswith("home/top") and name != "home"
        }
        top = os.path.realpath(home / "top")
        for name in copied:
            assert after[name].kind in ("file", "directory", "link")
            leads = os.path.realpath(home.parent / name)
            assert leads == top or leads.startswith(top + "/"), name
            assert ".containerd-aio" not in name


@settings(max_examples=30)
@given(archives())
@example(SMUGGLED)
async def test_a_copy_into_a_tree_changes_nothing_beside_the_tree(archive: bytes) -> None:
    """Here ``home`` is a container's root, whose link to the outside leads to a place of its own."""
    with scene() as home:
        before = read_tree(home.parent / "outside")
        root = os.open(home, os.O_PATH)
        writer = DirectoryWriter(root, ("top",), in_container("web"), own=os.geteuid() == 0)
        await write(archive, IntoContainer(special=True), writer)
        os.close(root)
        assert read_tree(home.parent / "outside") == before
        assert sorted(os.listdir(home.parent)) == ["home", "outside"]
        assert not [name for name in read_tree(home) if ".containerd-aio" in name]


@settings(max_examples=30)
@given(archives())
@example(SMUGGLED)
async def test_a_layer_holds_nothing_but_what_was_checked(archive: bytes) -> None:
    """The daemon is root, and does what the layer says."""

    async def chunks() -> AsyncGenerator[bytes]:
        yield archive

    with scene() as home:
        root = os.open(home, os.O_PATH)
        writer = LayerWriter(look_into(LayeredDirectories([root])), ("top",), in_container("web"))
        names, data = [], b""
        with contextlib.suppress(ContainerdError):
            async with contextlib.aclosing(chunks()) as source:
                async for batch in batches(archive_of(source), IntoContainer()):
                    names += [item.name for item in batch if not isinstance(item, bytes)]
                    data += writer.take(batch)
        data += writer.end()
        os.close(root)
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
        members = layer.getmembers()
        assert sum(1 for each in members if not each.isdir() and ".wh." not in each.name) <= len(names)
    for each in members:
        assert ".." not in each.name.split("/")
        assert each.isreg() or each.isdir() or each.issym() or each.islnk()
        assert ".wh." not in each.name.removesuffix("/.wh..wh..opq")
        assert not each.islnk() or ".." not in each.linkname.split("/")
