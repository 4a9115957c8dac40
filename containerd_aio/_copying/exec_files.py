"""A container's files through a ``tar`` of its own, run in it by an exec.

This is the way where the host does not show the files of a container that runs: another pid namespace, no root, a
virtual machine. The kernel of the container confines it. It takes a tar in the image; busybox's, GNU's and BSD's
do. Paths are followed by that tar, so names here are as they were given, links among them.
"""

from __future__ import annotations

import posixpath
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio

from containerd_aio._copying.attributes import to_container
from containerd_aio._copying.checks import Batch, archive_of
from containerd_aio._copying.faults import about
from containerd_aio._copying.files import Located
from containerd_aio._copying.landing import Names, names_of, path_of
from containerd_aio._copying.owners import Owners
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.reader import TarReader
from containerd_aio._tar.writer import END, gnu_header_of, header_of, padding_of
from containerd_aio._transport.supervise import Background
from containerd_aio.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StartFailedError,
)
from containerd_aio.process import Process
from containerd_aio.spec.resolution import MAX_LINKS, Place
from containerd_aio.stdio import pipes
from containerd_aio.task import Task

_MAX_MESSAGE: Final = 4096
_ABOUT_TO_END: Final = 10.0  # seconds for the exit of a tar that has closed its stdout


class ExecFiles:
    """The files of one container that runs. ``reason`` is why there is no better way."""

    def __init__(self, container_id: str, load_task: Callable[[], Awaitable[Task]], reason: str) -> None:
        self.container_id = container_id
        self.owners = Owners()  # its tar counts as the container does
        self._load_task = load_task
        self._reason = reason
        self._kinds: dict[Names, Kind] = {}

    async def locate(self, path: str) -> Located:
        """Follow a path, as `Files` says."""
        for _ in range(MAX_LINKS):
            located = await self._locate(path)
            if located.member is None or located.member.kind is not Kind.SYMLINK:
                return located
            parent = path_of(located.place.names[:-1])
            path = posixpath.join(parent, located.member.target)
        raise InvalidArgumentError(f"{about(self.container_id, path)} leads through too many links")

    async def _locate(self, path: str) -> Located:
        """Follow a path, but for a link at its end that leads to no directory."""
        names = tuple(name for name in path.split("/") if name not in ("", "."))
        missing: Names = ()
        while True:
            found = await self._first_member("-C", path_of(names), ".")
            if found is None and names and not missing:
                found = await self._first_member("-C", path_of(names[:-1]), f"./{names[-1]}")
                if found is not None and path.endswith(("/", "/.")):
                    raise FailedPreconditionError(f"{about(self.container_id, path)} is not a directory")
            if found is not None:
                self._kinds[names] = found.kind
                return Located(Place(names, missing), None if missing else found)
            if not names or names[-1] == "..":
                raise NotFoundError(f"{about(self.container_id, path)} is not there")
            names, missing = names[:-1], (names[-1], *missing)

    async def pieces(self, names: Names, prefix: str) -> AsyncGenerator[bytes]:
        """Read an archive, as `Files` says."""
        is_directory = self._kinds[names] is Kind.DIRECTORY
        where, what = (names, ".") if is_directory else (names[:-1], f"./{names[-1]}")

        def named(name: str) -> str:
            inner = names_of(name, about="a file's name from the container's tar") if is_directory else ()
            return "/".join((*filter(None, [prefix]), *inner))

        async with self._tar("-c", "-f", "-", "-C", path_of(where), what) as tar:
            try:
                async for piece in _renamed(archive_of(tar.output()), named):
                    yield piece
            except InvalidArgumentError:
                await tar.check_failed()
                raise
            await tar.check_end()
        yield END

    async def write(self, base: Names, members: AsyncIterator[Batch]) -> None:
        """Write members, as `Files` says; a directory that is there gets the mode and owner that the archive has."""
        links: set[Names] = set()
        async with self._tar("-x", "-p", "-f", "-", "-C", path_of(base), input=True) as tar:
            padding = b""
            async for batch in members:
                for item in batch:
                    if isinstance(item, Member):
                        _check_link(item, links)
                        await tar.feed(padding + gnu_header_of(item))
                        padding = padding_of(item.size)
                    else:
                        await tar.feed(item)
            await tar.feed(padding + END)
            await tar.check_end()

    async def _first_member(self, *args: str) -> Member | None:
        """Return what a tar of something begins with; ``None`` if there is nothing."""
        async with self._tar("-c", "-f", "-", *args) as tar:
            try:
                return await archive_of(tar.output()).next_member()
            except InvalidArgumentError:
                return None  # it ended at once: its exit code tells no more

    @asynccontextmanager
    async def _tar(self, *args: str, input: bool = False) -> AsyncGenerator[_Tar]:
        stdio = pipes(stdin=input, stdout=not input)
        async with (
            await self._load_task() as task,
            await task.exec(
                f"copy-{secrets.token_hex(8)}", ["tar", *args], stdio=stdio, user="0:0", cwd="/"
            ) as process,
        ):
            try:
                await process.start()
            except StartFailedError as error:
                raise FailedPreconditionError(
                    f"the files of container '{self.container_id}' cannot be reached from here: {self._reason}; nor"
                    f" has it a tar to copy them with: {error}"
                ) from error
            tar = _Tar(process)
            reading = Background.start(tar.read_errors, name="errors of a tar", crashed=_ignored)
            try:
                yield tar
            finally:
                await reading.aclose()


class _Tar:
    """A tar that runs in the container."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._exited = process.wait()
        self._output_ended = False
        self._errors = bytearray()
        self._errors_ended = anyio.Event()

    async def output(self) -> AsyncGenerator[bytes]:
        """Give what it writes."""
        assert self._process.stdout is not None
        async for chunk in self._process.stdout:
            yield chunk
        self._output_ended = True

    async def feed(self, data: bytes) -> None:
        """Give it something to read. That it reads no more is told by its end."""
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.check_end()

    async def check_end(self) -> None:
        """Wait for its end.

        :raises FailedPreconditionError: if it failed, with its words
        """
        if self._process.stdin is not None:
            await self._process.stdin.aclose()
        status = await self._exited
        await self._errors_ended.wait()
        if status.code:
            text = _printable(self._errors.decode(errors="replace").strip()) or str(status)
            raise FailedPreconditionError(f"tar in container '{self._process.container_id}' failed: {text}")

    async def check_failed(self) -> None:
        """Tell by its own words why its archive is not whole; wait only where it may be about to end.

        :raises FailedPreconditionError: if it failed
        """
        if self._output_ended:
            with anyio.move_on_after(_ABOUT_TO_END):
                await self.check_end()

    async def read_errors(self) -> None:
        """Keep what it complains of, the first of it."""
        assert self._process.stderr is not None
        try:
            async for chunk in self._process.stderr:
                self._errors += chunk[: _MAX_MESSAGE - len(self._errors)]
        finally:
            self._errors_ended.set()


async def _renamed(archive: TarReader, named: Callable[[str], str]) -> AsyncGenerator[bytes]:
    """Give an archive with other names.

    :raises InvalidArgumentError: if one leads outside, cannot be, or links to a file that is not in the archive: where
        the copy goes there may be one of that name
    """
    linkable: set[str] = set()
    while (member := await archive.next_member()) is not None:
        name, target = named(member.name), member.target
        if member.kind is Kind.HARDLINK and (target := named(target)) not in linkable:
            raise InvalidArgumentError(
                f"the container's tar links {name!r} to {target!r}, which it has not given"
            )
        if member.kind is not Kind.DIRECTORY:
            linkable.add(name)
        attributes = to_container(member.xattrs, Owners())
        yield _header_of(replace(member, name=name or "./", target=target, xattrs=attributes))
        while piece := await archive.read():
            yield piece
        yield padding_of(member.size)


def _header_of(member: Member) -> bytes:
    try:
        return header_of(member)
    except (
        ValueError
    ) as error:  # a device's: all other numbers have records of their own where they are large
        raise InvalidArgumentError(
            f"the container's tar gives {member.name!r} a number that none can have: {error}"
        ) from error


def _check_link(member: Member, links: set[Names]) -> None:
    """Refuse a member that lies behind a link of the archive, as `Landing` does."""
    names = names_of(member.name, about=f"the archive's member {member.name!r}")
    behind = next((names[:depth] for depth in range(1, len(names)) if names[:depth] in links), None)
    if behind is not None:
        raise InvalidArgumentError(
            f"the archive's member {member.name!r} lies behind the link {'/'.join(behind)!r}, which the archive brought"
        )
    if member.kind is Kind.SYMLINK:
        links.add(names)


def _printable(text: str) -> str:
    """Return what the container's tar says without what a terminal would obey."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def _ignored(error: BaseException) -> None:
    """That what a tar complains of cannot be read is logged, and no more: its exit code counts."""
