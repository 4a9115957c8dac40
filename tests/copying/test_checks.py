"""What of an archive is taken, into a container and onto this host."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from containerd_aio import InvalidArgumentError
from containerd_aio._copying.checks import Batch, IntoContainer, OntoHost, archive_of, batches
from containerd_aio._copying.owners import IdMap, IdRange, Owners
from containerd_aio._tar.member import Kind, Member
from tests.copying.trees import directory, hard_link, link, member, tar_of

FILE = Member("a/b", Kind.FILE, size=3, mode=0o4755, uid=1, gid=2, mtime_ns=5, xattrs={"user.x": b"1"})


def test_a_member_is_taken_into_a_container_as_it_is() -> None:
    assert IntoContainer()(FILE) == FILE
    assert IntoContainer(owner=(7, 8))(FILE) == replace(FILE, uid=7, gid=8)
    assert IntoContainer()(Member("./", Kind.DIRECTORY)) is None


def test_it_may_go_below_a_prefix() -> None:
    below = IntoContainer(("x", "y"))
    assert below(FILE) == replace(FILE, name="x/y/a/b")
    assert below(Member("/a//b", Kind.HARDLINK, target="./a/c")) == Member(
        "x/y/a/b", Kind.HARDLINK, target="x/y/a/c"
    )
    assert below(Member("l", Kind.SYMLINK, target="../m")) == Member("x/y/l", Kind.SYMLINK, target="../m")
    assert below(Member("./", Kind.DIRECTORY)) == Member("x/y", Kind.DIRECTORY)


def test_it_gets_the_ids_of_the_host() -> None:
    owners = Owners(IdMap((IdRange(0, 1000, 10),)), IdMap((IdRange(0, 2000, 10),)))
    taken = IntoContainer(owners=owners)(FILE)
    assert taken is not None
    assert (taken.uid, taken.gid) == (1001, 2002)
    with pytest.raises(InvalidArgumentError, match="no id 10"):
        IntoContainer(owner=(10, 0), owners=owners)(FILE)


def test_attributes_that_do_not_travel_are_left_out() -> None:
    given = {
        "user.x": b"1",
        "security.capability": b"2",
        "user.overlay.opaque": b"y",
        "trusted.overlay.opaque": b"y",
        "system.posix_acl_access": b"3",
    }
    taken = IntoContainer()(replace(FILE, xattrs=given))
    assert taken is not None
    assert taken.xattrs == {"user.x": b"1", "security.capability": b"2"}


@pytest.mark.parametrize("kind", [Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE, Kind.FIFO])
def test_devices_are_taken_when_asked_for(kind: Kind) -> None:
    special = Member("d", kind, device=(1, 3))
    with pytest.raises(InvalidArgumentError, match=r"'d' is a (device|FIFO); devices=True takes"):
        IntoContainer()(special)
    assert IntoContainer(special=True)(special) == special
    with pytest.raises(InvalidArgumentError, match="skip_unsafe=True leaves such members out"):
        OntoHost(())(special)
    assert OntoHost((), skip_unsafe=True)(special) is None


@pytest.mark.parametrize("check", [IntoContainer(), OntoHost(())])
@pytest.mark.parametrize(
    ("member", "message"),
    [
        (Member("../x", Kind.FILE), "leads outside"),
        (Member("a/../../x", Kind.DIRECTORY), "leads outside"),
        (Member(".", Kind.FILE), "has the name of the directory that it is copied to"),
        (Member("/", Kind.SYMLINK, target="x"), "has the name of the directory"),
    ],
)
def test_names_that_no_member_may_have_are_refused(
    check: IntoContainer | OntoHost, member: Member, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        check(member)


@pytest.mark.parametrize(
    ("mode", "kind", "taken"),
    [
        (0o6777, Kind.FILE, 0o755),
        (0o666, Kind.FILE, 0o644),
        (0o000, Kind.FILE, 0o600),
        (0o011, Kind.FILE, 0o600),
        (0o711, Kind.FILE, 0o711),
        (0o1777, Kind.DIRECTORY, 0o755),
        (0o000, Kind.DIRECTORY, 0o700),
        (0o555, Kind.DIRECTORY, 0o755),
    ],
)
def test_permissions_on_this_host_are_harmless(mode: int, kind: Kind, taken: int) -> None:
    found = OntoHost(())(Member("a", kind, mode=mode, xattrs={"user.x": b""}))
    assert found is not None
    assert found.mode == taken
    assert found.xattrs == {}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("l", "x"),
        ("l", "./x/y"),
        ("d/l", "../x"),
        ("d/e/l", "../../x"),
        ("d/l", "."),
        ("d/l", ".."),
        ("l", "x//y/"),
    ],
)
def test_links_within_the_copy_are_taken(name: str, target: str) -> None:
    for prefix in ((), ("top",)):
        member = Member("/".join((*prefix, name)), Kind.SYMLINK, target=target)
        found = OntoHost(prefix)(member)
        assert found is not None
        assert found.target == target


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../x"),
        ("d/l", "../../x"),
        ("d/l", "x/../../.."),
        ("d/l", "x/.."),  # where that leads depends on what x is
        ("d/l", "../x/../.."),
    ],
)
def test_links_that_may_lead_outside_are_refused(name: str, target: str) -> None:
    for prefix in ((), ("top",)):
        member = Member("/".join((*prefix, name)), Kind.SYMLINK, target=target)
        with pytest.raises(InvalidArgumentError, match="a link that leads outside of the copy"):
            OntoHost(prefix)(member)
        assert OntoHost(prefix, skip_unsafe=True)(member) is None


async def batched(data: bytes, check: IntoContainer | OntoHost) -> list[Batch]:
    async def chunks() -> AsyncGenerator[bytes]:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    async with contextlib.aclosing(chunks()) as source:
        return [batch async for batch in batches(archive_of(source), check)]


async def test_members_come_in_portions_of_some_size() -> None:
    data = tar_of([("big", bytes(3 << 20)), *((f"f{number}", b"x") for number in range(600))])
    found = await batched(data, IntoContainer())
    assert len(found) > 4
    weights = [sum(4096 if isinstance(item, Member) else len(item) for item in batch) for batch in found]
    assert max(weights) < 2 << 20
    items = [item for batch in found for item in batch]
    assert [item.name for item in items if isinstance(item, Member)] == [
        "big",
        *(f"f{n}" for n in range(600)),
    ]
    assert sum(len(item) for item in items if isinstance(item, bytes)) == (3 << 20) + 600


async def test_members_that_have_much_to_say_come_in_smaller_portions() -> None:
    """A kilobyte of gzip can stand for a megabyte of attributes, and for a thousand of those."""
    members = [member(f"f{number}") for number in range(8)]
    for each in members:
        each.pax_headers = {"SCHILY.xattr.user.a": "x" * 600_000}
    assert [len(batch) for batch in await batched(tar_of(members), IntoContainer())] == [2, 2, 2, 2]


async def test_what_is_left_out_is_left_out_with_its_content() -> None:
    data = tar_of([directory("./"), ("a", b"1"), link("l", "a"), hard_link("h", "a")])
    [batch] = await batched(data, IntoContainer())
    assert [item if isinstance(item, bytes) else item.name for item in batch] == ["a", b"1", "l", "h"]


async def test_an_archive_may_have_a_bound() -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        yield tar_of([("a", bytes(5000))])

    async with contextlib.aclosing(chunks()) as source:
        archive = archive_of(source, max_size=4000)
        with pytest.raises(InvalidArgumentError, match="more than 4000 bytes"):
            await archive.next_member()


@pytest.mark.parametrize("target", ["", "a\0b"])
@pytest.mark.parametrize("check", [IntoContainer(), OntoHost(())])
def test_links_that_cannot_be_are_refused(check: IntoContainer | OntoHost, target: str) -> None:
    with pytest.raises(InvalidArgumentError, match="'l' is a link that cannot lead anywhere"):
        check(Member("l", Kind.SYMLINK, target=target))


@pytest.mark.parametrize("device", [(2**50, 0), (0, 2**50), (-1, 3), (4096, 0), (0, 1 << 20)])
def test_devices_that_cannot_be_are_refused(device: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"'d' is the device -?\d+:\d+, which Linux cannot have"):
        IntoContainer(special=True)(Member("d", Kind.CHARACTER_DEVICE, device=device))


@pytest.mark.parametrize(
    "member",
    [
        Member("beside", Kind.FILE),
        Member("topmost", Kind.DIRECTORY),
        Member("top/x", Kind.HARDLINK, target="beside"),
        Member("beside", Kind.HARDLINK, target="top/x"),
    ],
)
def test_on_this_host_nothing_is_taken_beside_the_copy(member: Member) -> None:
    """What makes the archive may be a program of the container."""
    for skip_unsafe in (False, True):
        with pytest.raises(InvalidArgumentError, match=f"'{member.name}' lies beside what is copied"):
            OntoHost(("top",), skip_unsafe=skip_unsafe)(member)


def test_a_capability_is_that_of_the_container_s_root() -> None:
    given = {"security.capability": bytes.fromhex("0100000200200000000000000000000000000000"), "user.a": b"1"}
    owners = Owners(IdMap((IdRange(0, 200_000, 10),)), IdMap((IdRange(0, 200_000, 10),)))
    taken = IntoContainer(owners=owners)(replace(FILE, xattrs=given))
    assert taken is not None
    allowed = bytes.fromhex("0100000300200000000000000000000000000000400d0300")
    assert taken.xattrs == {"security.capability": allowed, "user.a": b"1"}


async def test_a_hard_link_to_what_is_no_file_is_that_once_more() -> None:
    """``cp -al`` links links. So it is checked at its own place: a link means something else there."""
    data = tar_of(
        [
            ("f", b"1"),
            hard_link("same", "f"),
            link("d/l", "../f"),
            hard_link("d/again", "./d/l"),
            hard_link("d/and/again", "d/again"),
            ("d/l", b"2"),
            hard_link("new", "d/l"),
        ]
    )
    [batch] = await batched(data, IntoContainer())
    members = [item for item in batch if isinstance(item, Member)]
    assert [(item.name, item.kind, item.target) for item in members] == [
        ("f", Kind.FILE, ""),
        ("same", Kind.HARDLINK, "f"),
        ("d/l", Kind.SYMLINK, "../f"),
        ("d/again", Kind.SYMLINK, "../f"),
        ("d/and/again", Kind.SYMLINK, "../f"),
        ("d/l", Kind.FILE, ""),
        ("new", Kind.HARDLINK, "d/l"),
    ]
    with pytest.raises(InvalidArgumentError, match="'out' is a link that leads outside"):
        await batched(tar_of([link("d/l", "../f"), hard_link("out", "d/l")]), OntoHost(()))
