"""Who the process runs as: user and group names made into numbers, by the container's own files.

The kernel and the runtime know numbers only; names stand in the ``/etc/passwd`` and ``/etc/group`` of the image,
which is not trusted: an id is taken only within 0 … 2**31-1, and nothing that cannot be resolved becomes root.
The rules are containerd's: a lone uid without a row in passwd gets group 0, and the primary group is always the
first of the additional ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.accounts import ID_MAX, PasswdRow, group_rows, passwd_rows
from containerd_aio.spec.arguments import check_integer, check_name, invalid
from containerd_aio.spec.option import RootfsNeeded, SpecContext, SpecOption
from containerd_aio.spec.rootfs import Rootfs, RootfsUnreadableError
from containerd_aio.spec.schema import Spec, User
from containerd_aio.spec.sections import process_of

PASSWD: Final = "/etc/passwd"
GROUP: Final = "/etc/group"

_NUMERIC: Final = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class UserName:
    """A user as images and people write it, parsed: each part a name or a number."""

    user: str | int
    group: str | int | None = None

    @classmethod
    def parse(cls, option: str, text: str) -> UserName:
        """Return what ``text`` says: ``user``, ``uid``, or one of them, ``:``, and ``group`` or ``gid``.

        :raises InvalidArgumentError: for more than one ``:``, an empty part, or an id out of range
        """
        first, colon, second = check_name(option, text).partition(":")
        if ":" in second or not first or (colon and not second):
            raise invalid(option, text, "is not a user: name, uid, name:group or uid:gid")
        return cls(_part(option, first), _part(option, second) if colon else None)

    @property
    def numeric(self) -> bool:
        """Whether both are numbers, so that nothing has to be looked up."""
        return isinstance(self.user, int) and isinstance(self.group, int)


def user(name: str) -> SpecOption:
    """Run as ``name``: ``user``, ``uid``, ``user:group``, ``uid:gid``, or a mixture.

    Only ``uid:gid`` needs no look into the container's files. A uid alone gets the group of its row in passwd, or
    0 without one. The user's supplementary groups are another option, `additional_gids`.

    :raises InvalidArgumentError: for text of another form, and an id not within 0 … 2**31-1; when it is applied,
        also for a name that the container does not have
    """
    parsed = UserName.parse("user", name)

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["user"] = with_user(process.get("user") or {}, parsed, context.rootfs)
        return {**spec, "process": process}

    return option


def additional_gids(name: str) -> SpecOption:
    """Give the process the supplementary groups of the user ``name``, a name or a uid.

    They replace what was there, the primary group excepted. None are added where passwd or group is missing, or
    where the files cannot be read from here.

    :raises InvalidArgumentError: if it is neither a name nor a uid
    """
    parsed = UserName.parse("additional_gids", name)
    if parsed.group is not None:
        raise invalid("additional_gids", name, "names a group; give the user only")

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        process["user"] = with_additional_gids(process.get("user") or {}, parsed.user, context.rootfs)
        return {**spec, "process": process}

    return option


def append_groups(*groups: str | int) -> SpecOption:
    """Add ``groups``, names or gids, to the supplementary groups of the process.

    :raises InvalidArgumentError: for a gid not within 0 … 2**31-1; when it is applied, also for a name that the
        container does not have
    """
    parsed = [_group("append_groups", each) for each in groups]

    def option(spec: Spec, context: SpecContext) -> Spec:
        process = process_of(spec)
        who = process.get("user") or {}
        gids = [_gid(each, context.rootfs) for each in parsed]
        process["user"] = _with_gids(who, [*(who.get("additionalGids") or []), *gids])
        return {**spec, "process": process}

    return option


def with_user(who: User, name: UserName, rootfs: Rootfs | None) -> User:
    """Return ``who`` with the uid and gid that ``name`` stands for, and the gid as the only additional one.

    :raises RootfsNeeded: if a file must be read and ``rootfs`` is ``None``
    :raises InvalidArgumentError: for a name that the container does not have
    """
    row = None
    if isinstance(name.user, str) or name.group is None:
        row = _passwd_row(name.user, rootfs)
    if isinstance(name.user, int):
        uid = name.user
    elif row is not None:
        uid = row.uid
    else:
        raise InvalidArgumentError(f"the container's {PASSWD} has no valid row for the user {name.user!r}")
    primary = row.gid if row is not None else 0
    gid = primary if name.group is None else _gid(name.group, rootfs)
    return {**who, "uid": uid, "gid": gid, "additionalGids": [gid]}


def with_additional_gids(who: User, name: str | int, rootfs: Rootfs | None) -> User:
    """Return ``who`` with its primary group and those that list the user ``name``, and no others.

    A rootfs that cannot be read from here counts as one without files: who the process runs as is settled, and
    without supplementary groups it can do less, not more.

    :raises RootfsNeeded: if ``rootfs`` is ``None``
    """
    try:
        return _with_gids(who, _supplementary(name, rootfs))
    except RootfsUnreadableError:
        return _with_gids(who, [])


def _part(option: str, text: str) -> str | int:
    if not _NUMERIC.fullmatch(text):
        return text
    digits = text.lstrip("0") or "0"
    # Counted before it is converted: Python refuses numbers of thousands of digits in its own words.
    if text[0] in "+-" or len(digits) > 10 or int(digits) > ID_MAX:
        raise invalid(option, text, f"is an id out of range: 0 to {ID_MAX}")
    return int(digits)


def _group(option: str, group: str | int) -> str | int:
    if isinstance(group, str):
        return _part(option, check_name(option, group))
    return check_integer(option, group, minimum=0, maximum=ID_MAX)


def _passwd_row(wanted: str | int, rootfs: Rootfs | None) -> PasswdRow | None:
    rows = passwd_rows(_content(PASSWD, rootfs))
    return next((row for row in rows if wanted in (row.name, row.uid)), None)


def _gid(group: str | int, rootfs: Rootfs | None) -> int:
    if isinstance(group, int):
        return group
    for row in group_rows(_content(GROUP, rootfs)):
        if row.name == group:
            return row.gid
    raise InvalidArgumentError(f"the container's {GROUP} has no valid row for the group {group!r}")


def _supplementary(user: str | int, rootfs: Rootfs | None) -> list[int]:
    if isinstance(user, int):
        row = _passwd_row(user, rootfs)
        if row is None:
            return []
        user = row.name
    rows = group_rows(_content(GROUP, rootfs))
    # The group of the user's own name is the primary one by custom, even where it lists the user.
    return [row.gid for row in rows if user in row.members and row.name != user]


def _with_gids(who: User, gids: list[int]) -> User:
    return {**who, "additionalGids": list(dict.fromkeys([who.get("gid") or 0, *gids]))}


def _content(path: str, rootfs: Rootfs | None) -> bytes:
    if rootfs is None:
        raise RootfsNeeded(f"{path} of the container must be read to know its users; give uid:gid")
    return rootfs.read(path) or b""
