"""What every way to a container's files shares."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import pytest

from containerd_aio import FailedPreconditionError, InvalidArgumentError, NotFoundError
from containerd_aio._copying.checks import Batch
from containerd_aio._copying.files import Located, content_of, owner_of, place_of, present
from containerd_aio._copying.landing import Names
from containerd_aio._copying.owners import Owners
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.writer import END, header_of, padding_of
from containerd_aio.errors import InternalError
from containerd_aio.spec.resolution import Found, Place


class Memory:
    """Files in memory; a socket is ``None``."""

    container_id = "web"
    owners = Owners()

    def __init__(self, contents: Mapping[str, bytes | None], *, broken: bool = False) -> None:
        self._contents = contents
        self._broken = broken
        self.read = 0

    async def locate(self, path: str) -> Located:
        names = tuple(path.strip("/").split("/"))
        if path not in self._contents:
            return Located(Place((), names), None)
        content = self._contents[path]
        return Located(Place(names), None if content is None else Member(path, Kind.FILE, size=len(content)))

    async def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
        self.read += 1
        content = self._contents["/" + "/".join(names)]
        assert content is not None
        yield header_of(Member(prefix, Kind.FILE, size=len(content)))
        yield content
        if self._broken:
            raise InternalError("what came is not whole")
        yield padding_of(len(content))
        yield END

    async def write(self, base: Names, members: AsyncIterator[Batch]) -> None:
        raise NotImplementedError


ACCOUNTS = {"/etc/passwd": b"app:x:1000:1001::/:\n", "/etc/group": b"staff:x:50:\n"}


async def test_a_content_is_read() -> None:
    files = Memory({"/x": b"content", "/empty": b"", "/socket": None})
    assert await content_of(files, "/x", max_size=7) == b"content"
    assert await content_of(files, "/x", max_size=6) is None
    assert await content_of(files, "/empty", max_size=0) == b""
    with pytest.raises(NotFoundError, match="'/none' in container 'web' is not there"):
        await content_of(files, "/none", max_size=1)
    with pytest.raises(FailedPreconditionError, match="is a socket"):
        await present(files, "/socket")


async def test_a_content_that_is_not_whole_is_none() -> None:
    with pytest.raises(InternalError, match="not whole"):
        await content_of(Memory({"/x": b"content"}, broken=True), "/x", max_size=100)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("5:6", (5, 6)),
        ("app", (1000, 1001)),
        ("app:staff", (1000, 50)),
        ("7", (7, 0)),
        ("1000", (1000, 1001)),
        ("5:staff", (5, 50)),
    ],
)
async def test_an_owner_is_looked_up_in_the_container(name: str, owner: tuple[int, int]) -> None:
    files = Memory(ACCOUNTS)
    assert await owner_of(files, name) == owner
    assert (files.read == 0) is (name == "5:6")


@pytest.mark.parametrize("name", ["nobody", "app:none", "", "1:2:3", "-1:0"])
async def test_an_owner_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await owner_of(Memory(ACCOUNTS), name)
    with pytest.raises(InvalidArgumentError):
        await owner_of(Memory({}), "app")


def test_hidden_places_are_refused() -> None:
    def look(names: tuple[str, ...]) -> Found | None:
        return {"proc": Found(True), "alias": Found(False, "proc")}.get("/".join(names))

    hidden = frozenset({("proc",)})
    assert place_of(look, "/alias", frozenset()) == Place(("proc",))
    for path in ("/proc", "/proc/1/x", "/alias/self"):
        with pytest.raises(FailedPreconditionError, match="lies in the mount '/proc' of the container"):
            place_of(look, path, hidden)


@pytest.mark.parametrize("kind", [Kind.DIRECTORY, Kind.SYMLINK, Kind.FIFO])
async def test_what_is_no_file_any_more_is_not_read_as_an_empty_one(kind: Kind) -> None:
    class Changed(Memory):
        async def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
            yield header_of(Member(prefix, kind, target="y" if kind is Kind.SYMLINK else ""))
            yield END

    with pytest.raises(
        FailedPreconditionError, match="'/x' in container 'web' is (a directory|not a regular file)"
    ):
        await content_of(Changed({"/x": b"content"}), "/x", max_size=100)
