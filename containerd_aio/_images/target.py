"""Where the bytes of an archive go.

A local file blocks when it is written, so that goes through a worker thread, as reading one does.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import BinaryIO, TypeAlias

from anyio import to_thread
from anyio.abc import ByteSendStream

from containerd_aio.errors import InvalidArgumentError

ArchiveTarget: TypeAlias = str | os.PathLike[str] | BinaryIO | ByteSendStream
"""A path; a binary file object, written in a worker thread; or a stream of anyio's."""

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def open_target(target: ArchiveTarget) -> AsyncGenerator[Write]:
    """Give what takes the bytes in order. A file of a path is there when the block has ended well, or as it was.

    :raises InvalidArgumentError: if a path is none of a file that can be written
    """
    if isinstance(target, str | os.PathLike):
        async with _whole_file(target) as file:
            yield _in_thread(file)
    elif isinstance(target, ByteSendStream):
        yield target.send
    else:
        yield _in_thread(target)


@asynccontextmanager
async def _whole_file(path: str | os.PathLike[str]) -> AsyncGenerator[BinaryIO]:
    """Write beside the file, and put that in its place in the end."""
    place = _place(path)
    file = _open_beside(place)
    try:
        with file:
            yield file
            await to_thread.run_sync(_sync, file)
        os.replace(file.name, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(file.name)
        raise


def _place(path: str | os.PathLike[str]) -> str:
    try:
        place = os.path.realpath(path)  # what a link leads to is replaced, not the link
        regular = not os.path.lexists(place) or stat.S_ISREG(os.stat(place).st_mode)
    except (OSError, ValueError) as error:
        raise _cannot(path, error) from error
    if not regular:
        raise InvalidArgumentError(
            f"{os.fspath(path)!r} is not a file; give a stream to write into a pipe or device"
        )
    return place


def _open_beside(place: str) -> BinaryIO:
    directory, name = os.path.split(place)
    beside = os.path.join(directory, f".{name}.{secrets.token_hex(4)}.part")
    try:
        # Its owner's alone, as `docker save` has it: a checkpoint holds the memory of processes.
        return open(beside, "xb", opener=lambda path, flags: os.open(path, flags, 0o600))
    except (OSError, ValueError) as error:
        raise _cannot(place, error) from error


def _cannot(path: str | os.PathLike[str], error: Exception) -> InvalidArgumentError:
    return InvalidArgumentError(f"cannot write the archive {os.fspath(path)!r}: {error}")


def _in_thread(file: BinaryIO) -> Write:
    async def write(data: bytes) -> None:
        await to_thread.run_sync(_write_all, file, data)

    return write


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]  # one that is not buffered may take less


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
