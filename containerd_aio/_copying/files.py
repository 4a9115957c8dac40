"""A container's files as a copy needs them, however they are reached."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from containerd_aio._copying.checks import Batch, archive_of
from containerd_aio._copying.faults import about
from containerd_aio._copying.landing import Names, check_shown
from containerd_aio._copying.owners import Owners
from containerd_aio._tar.member import Kind, Member
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.spec.resolution import Look, Place, resolve
from containerd_aio.spec.users import GROUP, PASSWD, UserName, with_user

_MAX_LOOKUPS: Final = 20_000
_MAX_ACCOUNTS: Final = 10 * 2**20


@dataclass(frozen=True, slots=True)
class Located:
    """Where a path of a container leads, and what is there; ``member`` is ``None`` for nothing, and for a socket."""

    place: Place
    member: Member | None


class Files(Protocol):
    """The files of one container."""

    @property
    def container_id(self) -> str:
        """The container's id."""
        ...

    @property
    def owners(self) -> Owners:
        """What the ids in an archive are where `write` puts them."""
        ...

    async def locate(self, path: str) -> Located:
        """Follow a path through the links of the container, the last one too.

        :raises NotFoundError: if it goes up from what is missing; what is missing at its end is told
        :raises FailedPreconditionError: if a directory is needed where there is none, or the place is not to be
            seen without a task
        """
        ...

    def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
        """Read what is at ``names`` as an archive, in which it is called ``prefix``.

        With an empty prefix a directory's entries stand at the top of the archive, and itself as ``./``.
        """
        ...

    async def write(self, base: Names, members: AsyncIterator[Batch]) -> None:
        """Write members below the directory ``base``.

        :raises InvalidArgumentError: if one must not be written
        :raises FailedPreconditionError: if one cannot be written where it belongs
        :raises ResourceExhaustedError: if there is no space left
        """
        ...


async def present(files: Files, path: str) -> tuple[Names, Member]:
    """Follow a path, and return the names and the description of what is there.

    :raises NotFoundError: if there is nothing
    :raises FailedPreconditionError: if it is a socket, of which there is no copy
    """
    located = await files.locate(path)
    what = about(files.container_id, path)
    if located.place.missing:
        raise NotFoundError(f"{what} is not there", subject=what)
    if located.member is None:
        raise FailedPreconditionError(f"{what} is a socket, which cannot be copied", subject=what)
    return located.place.names, located.member


async def content_of(files: Files, path: str, *, max_size: int) -> bytes | None:
    """Return the content of a regular file; ``None`` if it has more than ``max_size`` bytes.

    :raises NotFoundError: if there is nothing
    :raises FailedPreconditionError: if it is no regular file
    """
    names, found = await present(files, path)
    check_is_file(found, about(files.container_id, path))
    async with aclosing(files.pieces(names, "file")) as pieces:
        reader = archive_of(pieces)
        member = await reader.next_member()
        check_is_file(member or found, about(files.container_id, path))  # something else may be there by now
        if member is None or member.size > max_size:
            return None
        content = await reader.read_all()
        await reader.next_member()  # to the end: it may be what says that the content is not whole
        return content


async def owner_of(files: Files, name: str) -> tuple[int, int]:
    """Return the uid and gid that ``name`` stands for: ``uid:gid``, or names of the container's own.

    :raises InvalidArgumentError: if the container does not have the name
    """
    parsed = UserName.parse("owner", name)
    accounts = _Accounts(
        {} if parsed.numeric else {path: await _account_file(files, path) for path in (PASSWD, GROUP)}
    )
    user = with_user({}, parsed, accounts)
    return user.get("uid", 0), user.get("gid", 0)


def check_is_file(found: Member, what: str) -> None:
    """Refuse what is no regular file.

    :raises FailedPreconditionError: if it is none
    """
    if found.kind is Kind.FILE:
        return
    text = "is a directory" if found.kind is Kind.DIRECTORY else "is not a regular file"
    raise FailedPreconditionError(f"{what} {text}", subject=what)


def place_of(look: Look, path: str, hidden: frozenset[Names]) -> Place:
    """Return where a path leads.

    :raises FailedPreconditionError: if that is in one of the places that are ``hidden``
    :raises OSError: as `resolve` says
    """
    place = resolve(look, path, max_lookups=_MAX_LOOKUPS)
    check_shown((*place.names, *place.missing), hidden)
    return place


async def _account_file(files: Files, path: str) -> bytes | None:
    try:
        return await content_of(files, path, max_size=_MAX_ACCOUNTS)
    except NotFoundError:
        return None


class _Accounts:
    """The files that tell users and groups."""

    def __init__(self, contents: Mapping[str, bytes | None]) -> None:
        self._contents = contents

    def read(self, path: str) -> bytes | None:
        return self._contents[path]
