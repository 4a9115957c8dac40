"""Copying into containers and out of them: what `Container` offers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from anyio import to_thread
from anyio.abc import ByteReceiveStream

from containerd_aio._copying import destination
from containerd_aio._copying.checks import Batch, IntoContainer, OntoHost, archive_of, batches
from containerd_aio._copying.destination import Destination, Source, name_of
from containerd_aio._copying.faults import about
from containerd_aio._copying.files import Files, check_is_file, content_of, owner_of, present
from containerd_aio._copying.landing import Names
from containerd_aio._copying.local import opened_local, write_local
from containerd_aio._copying.opening import Copied, opened_files
from containerd_aio._copying.stream import ArchiveStream
from containerd_aio._tar.member import Kind, Member
from containerd_aio._tar.source import ArchiveSource, open_source
from containerd_aio.errors import InvalidArgumentError, ResourceExhaustedError

StrPath: TypeAlias = str | os.PathLike[str]

MAX_FILE: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CopyIn:
    """How something is copied into a container; the options of ``container.copy_in()``."""

    owner: str | None = None
    preserve: bool = False
    parents: bool = False
    devices: bool = False
    max_size: int | None = None


async def copy_in(container: Copied, source: ArchiveSource, path: StrPath, how: CopyIn) -> None:
    """Copy a local path, or the members of an archive, to ``path`` of a container."""
    place = _checked(path)
    async with AsyncExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            local = await stack.enter_async_context(opened_local(source))
            files = await stack.enter_async_context(opened_files(container))
            to = await _destination(files, place, local.source, parents=how.parents)
            chunks: AsyncIterator[bytes] = await stack.enter_async_context(
                aclosing(local.pieces("/".join(to.names)))
            )
            prefix: Names = ()
            owner = None if how.preserve else (0, 0)
        else:
            _check_archive(source)
            files = await stack.enter_async_context(opened_files(container))
            to = await _destination(files, place, Source("", True, into=True), parents=how.parents)
            chunks = await stack.enter_async_context(open_source(source))
            prefix, owner = to.names, None
        if how.owner is not None:
            owner = await owner_of(files, how.owner)
        check = IntoContainer(prefix, owner, files.owners, special=how.devices)
        members = batches(archive_of(chunks, max_size=how.max_size), check)
        await files.write(to.base, await stack.enter_async_context(aclosing(members)))


@asynccontextmanager
async def copy_out(container: Copied, path: StrPath) -> AsyncGenerator[ByteReceiveStream]:
    """Give what is at ``path`` of a container as an archive, for the length of the block."""
    place = _checked(path)
    async with opened_files(container) as files:
        names, _ = await present(files, place)
        async with ArchiveStream(files.pieces(names, name_of(place))) as stream:
            yield stream


async def copy_out_to(
    container: Copied,
    path: StrPath,
    target: StrPath,
    *,
    skip_unsafe: bool,
    max_size: int | None,
) -> None:
    """Copy what is at ``path`` of a container to a path of this host."""
    place = _checked(path)
    async with AsyncExitStack() as stack:
        files = await stack.enter_async_context(opened_files(container))
        names, found = await present(files, place)
        source = Source(name_of(place), found.kind is Kind.DIRECTORY)
        directory, to = await to_thread.run_sync(destination.on_host, target, source)
        pieces = await stack.enter_async_context(aclosing(files.pieces(names, "/".join(to))))
        bounded = _Bounded(
            pieces, sys.maxsize if max_size is None else max_size, about(files.container_id, place)
        )
        members = batches(archive_of(bounded), OntoHost(to, skip_unsafe=skip_unsafe))
        await write_local(directory, await stack.enter_async_context(aclosing(members)))


async def read_file(container: Copied, path: StrPath, *, max_size: int) -> bytes:
    """Return the content of a file of a container."""
    place = _checked(path)
    async with opened_files(container) as files:
        content = await content_of(files, place, max_size=max_size)
        if content is None:
            what = about(files.container_id, place)
            raise ResourceExhaustedError(
                f"{what} has more than {max_size} bytes; max_size= takes more", subject=what
            )
        return content


async def write_file(
    container: Copied, path: StrPath, data: object, *, mode: int | None, owner: str | None, parents: bool
) -> None:
    """Make a file of a container, or replace the one that is there."""
    place = _checked(path)
    if not name_of(place) or place.endswith("/"):
        raise InvalidArgumentError(f"{place!r} is the name of a directory, not of a file")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgumentError(f"a file holds bytes, not {type(data).__name__}; text has to be encoded")
    if mode is not None and not 0 <= mode <= 0o7777:
        raise InvalidArgumentError(f"{mode:#o} is no mode of a file: 0 to 0o7777")
    content = bytes(cast("bytes", data))
    async with opened_files(container) as files:
        located = await files.locate(place)
        before = located.member or Member("", Kind.FILE)
        check_is_file(before, about(files.container_id, place))
        to = destination.in_container(files.container_id, place, located, Source("", False), parents=parents)
        uid, gid = (before.uid, before.gid) if owner is None else await owner_of(files, owner)
        member = Member(
            "/".join(to.names),
            Kind.FILE,
            size=len(content),
            mode=before.mode if mode is None else mode,
            uid=uid,
            gid=gid,
            mtime_ns=time.time_ns(),
        )
        taken = IntoContainer(owners=files.owners)(member)
        assert taken is not None  # only directories are left out
        async with aclosing(_one([taken, content])) as members:
            await files.write(to.base, members)


async def _destination(files: Files, path: str, source: Source, *, parents: bool) -> Destination:
    located = await files.locate(path)
    return destination.in_container(files.container_id, path, located, source, parents=parents)


async def _one(batch: Batch) -> AsyncGenerator[Batch]:
    yield batch


def _checked(path: object) -> str:
    text = os.fspath(cast("os.PathLike[str]", path)) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidArgumentError(f"a path of the container is text that is not empty, not {path!r}")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"{path!r} cannot be a path: {error}") from error
    return text


def _check_archive(source: object) -> None:
    if not isinstance(source, bytes | bytearray | memoryview | AsyncIterable) and not hasattr(source, "read"):
        raise InvalidArgumentError(
            "copy_in() takes a local path, or a tar archive: bytes, a binary file or an async iterable of bytes;"
            f" not {type(source).__name__}"
        )


class _Bounded:
    """The bytes of an archive, up to a number."""

    def __init__(self, pieces: AsyncIterator[bytes], most: int, what: str) -> None:
        self._pieces = pieces
        self._most = most
        self._what = what
        self._taken = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await anext(self._pieces)
        self._taken += len(piece)
        if self._taken > self._most:
            raise ResourceExhaustedError(
                f"{self._what} is larger than {self._most} bytes as an archive; max_size= takes more",
                subject=self._what,
            )
        return piece
