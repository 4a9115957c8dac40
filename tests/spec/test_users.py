"""Users by name and number, as containerd resolves them."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import (
    RootfsNeeded,
    RootfsUnreadableError,
    SpecContext,
    UnreadableRootfs,
    build,
    default_spec,
)
from containerd_aio.spec.schema import User
from containerd_aio.spec.users import additional_gids, append_groups, user
from tests.spec.stand_ins import Files


@pytest.mark.parametrize(
    ("name", "uid", "gid"),
    [
        pytest.param("web", 1000, 1001, id="name"),
        pytest.param("1000", 1000, 1001, id="uid in passwd"),
        pytest.param("4321", 4321, 0, id="uid not in passwd"),
        pytest.param("web:wheel", 1000, 10, id="name and group"),
        pytest.param("web:77", 1000, 77, id="name and gid"),
        pytest.param("4321:www", 4321, 33, id="uid and group"),
        pytest.param("4321:1234", 4321, 1234, id="uid and gid"),
        pytest.param("1000:0", 1000, 0, id="gid 0 is not the one of passwd"),
        pytest.param("0:0", 0, 0, id="root by number"),
        pytest.param("2147483647:2147483647", 2**31 - 1, 2**31 - 1, id="greatest ids"),
        pytest.param("0001000", 1000, 1001, id="leading zeros"),
        pytest.param("0" * 5000 + "7:1", 7, 1, id="very many leading zeros"),
    ],
)
def test_a_user_resolves(context: SpecContext, name: str, uid: int, gid: int) -> None:
    """The primary group is the first of the additional ones, whatever was there."""
    built = build(context, [append_groups(99), user(name)])
    assert built["process"]["user"] == {"uid": uid, "gid": gid, "additionalGids": [gid]}


def test_two_numbers_need_no_files() -> None:
    built = build(SpecContext("web", "example"), [user("1:2")])
    assert built["process"]["user"] == {"uid": 1, "gid": 2, "additionalGids": [2]}


def test_a_uid_and_a_group_name_do_not_read_passwd(context: SpecContext, files: Files) -> None:
    build(context, [user("4321:www")])
    assert files.asked == ["/etc/group"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param(":", id="colon"),
        pytest.param(":1", id="no user"),
        pytest.param("1:", id="no group"),
        pytest.param("a:b:c", id="three parts"),
        pytest.param("a::b", id="two colons"),
        pytest.param("-1", id="negative"),
        pytest.param("+1", id="sign"),
        pytest.param("2147483648", id="beyond the range"),
        pytest.param("4294967296", id="what 32 bits make root"),
        pytest.param("18446744073709551616", id="what 64 bits make root"),
        pytest.param("9" * 5000, id="5000 digits"),
        pytest.param("0:2147483648", id="group beyond the range"),
        pytest.param("0:-1", id="negative group"),
        pytest.param("web\0", id="NUL"),
    ],
)
def test_text_that_is_no_user_is_refused_before_anything_is_read(name: str) -> None:
    """Ids out of range were CVE-2024-40635: they became root."""
    with pytest.raises(InvalidArgumentError, match=r"^user: "):
        user(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("nobody", "/etc/passwd has no valid row for the user 'nobody'", id="user"),
        pytest.param("nobody:0", "/etc/passwd has no valid row for the user 'nobody'", id="user with gid"),
        pytest.param("0:staff", "/etc/group has no valid row for the group 'staff'", id="group"),
        pytest.param("web:staff", "/etc/group has no valid row for the group 'staff'", id="user's group"),
        pytest.param("\uff11\uff10\uff10\uff10", "no valid row for the user", id="digits of another script"),
        pytest.param("evil", "no valid row for the user 'evil'", id="id out of range in passwd"),
    ],
)
def test_a_name_that_the_container_does_not_have_is_refused(
    context: SpecContext, files: Files, name: str, why: str
) -> None:
    files.files["/etc/passwd"] += b"evil:x:4294967296:0::/:/bin/sh\n"
    with pytest.raises(InvalidArgumentError, match=why):
        build(context, [user(name)])


def test_a_uid_is_fine_without_a_passwd() -> None:
    built = build(SpecContext("web", "example", rootfs=Files({})), [user("7")])
    assert built["process"]["user"] == {"uid": 7, "gid": 0, "additionalGids": [0]}


def test_a_name_is_refused_without_a_passwd() -> None:
    with pytest.raises(InvalidArgumentError, match="no valid row for the user 'web'"):
        build(SpecContext("web", "example", rootfs=Files({})), [user("web")])


@pytest.mark.parametrize("name", ["web", "7", "7:www", "web:1"])
def test_a_user_is_refused_where_the_files_cannot_be_read(name: str) -> None:
    """A lone uid too: its group would be a guess."""
    context = SpecContext("web", "example", rootfs=UnreadableRootfs("another host"))
    with pytest.raises(RootfsUnreadableError, match=r"another host\); give uid:gid"):
        build(context, [user(name)])


@pytest.mark.parametrize("name", ["web", "7", "7:www", "web:1"])
def test_a_user_asks_for_files_where_there_are_none_yet(name: str) -> None:
    with pytest.raises(RootfsNeeded):
        build(SpecContext("web", "example"), [user(name)])


@pytest.mark.parametrize(
    ("who", "name", "gids"),
    [
        pytest.param("web", "web", [1001, 10, 33], id="name; the group of that name only as primary"),
        pytest.param("web", "1000", [1001, 10, 33], id="uid"),
        pytest.param("0:0", "root", [0, 10], id="root"),
        pytest.param("5:6", "nobody", [6], id="in no group"),
        pytest.param("5:6", "4321", [6], id="uid not in passwd"),
        pytest.param("1000:10", "web", [10, 33], id="primary group listed as well"),
    ],
)
def test_additional_groups_are_those_that_list_the_user(
    context: SpecContext, who: str, name: str, gids: list[int]
) -> None:
    built = build(context, [user(who), append_groups(99), additional_gids(name)])
    assert built["process"]["user"]["additionalGids"] == gids


def test_there_are_no_additional_groups_without_files() -> None:
    built = build(SpecContext("web", "example", rootfs=Files({})), [additional_gids("root")])
    assert built["process"]["user"]["additionalGids"] == [0]


def test_there_are_no_additional_groups_where_the_files_cannot_be_read() -> None:
    context = SpecContext("web", "example", rootfs=UnreadableRootfs("another host"))
    built = build(context, [user("5:6"), additional_gids("web")])
    assert built["process"]["user"] == {"uid": 5, "gid": 6, "additionalGids": [6]}


def test_additional_groups_ask_for_files_where_there_are_none_yet() -> None:
    with pytest.raises(RootfsNeeded):
        build(SpecContext("web", "example"), [additional_gids("root")])


@pytest.mark.parametrize("name", ["", "a:b", "1:2", "2147483648"])
def test_additional_groups_are_those_of_one_user(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="additional_gids: "):
        additional_gids(name)


def test_groups_are_appended_once(context: SpecContext) -> None:
    built = build(context, [user("5:6"), append_groups("www", 7, "8", 6), append_groups("wheel", "www")])
    assert built["process"]["user"]["additionalGids"] == [6, 33, 7, 8, 10]


def test_appended_numbers_need_no_files() -> None:
    built = build(SpecContext("web", "example"), [append_groups(7)])
    assert built["process"]["user"]["additionalGids"] == [0, 7]


@pytest.mark.parametrize("group", [-1, 2**31, "4294967296", "", True, 1.5])
def test_a_group_that_is_none_is_refused(group: str | int) -> None:
    with pytest.raises(InvalidArgumentError, match="append_groups: "):
        append_groups(group)


def test_an_appended_name_must_be_the_containers(context: SpecContext) -> None:
    with pytest.raises(InvalidArgumentError, match="no valid row for the group 'staff'"):
        build(context, [append_groups("staff")])


def test_what_else_is_said_of_the_user_stays(context: SpecContext) -> None:
    spec = default_spec("web", "example")
    spec["process"]["user"] = User(uid=0, gid=0, umask=0o22)
    assert user("web")(spec, context)["process"]["user"]["umask"] == 0o22
