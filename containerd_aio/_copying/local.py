"""Files of this host: what is copied into a container, and where a copy out of one goes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from containerd_aio._copying.checks import Batch
from containerd_aio._copying.destination import Source, name_of
from containerd_aio._copying.directory import DirectoryWriter
from containerd_aio._copying.faults import on_this_host
from containerd_aio._copying.landing import Names
from containerd_aio._copying.packing import Packing, Tree
from containerd_aio._copying.worker import Worker, working
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.layered import LayeredDirectories

_HOLD: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A file or directory of this host, held open to be copied."""

    source: Source
    tree: Tree
    names: Names
    worker: Worker

    async def pieces(self, prefix: str) -> AsyncGenerator[bytes]:
        """Read it as an archive, in which it is called ``prefix``."""
        packing = Packing(self.tree, self.names, prefix)
        self.worker.held.callback(packing.close)
        while piece := await self.worker.run(packing.next):
            yield piece


@asynccontextmanager
async def opened_local(path: str | os.PathLike[str]) -> AsyncGenerator[LocalFiles]:
    """Open what is at a path of this host, through links, for the length of the block.

    :raises OSError: if it cannot be opened
    :raises InvalidArgumentError: if it is neither a file nor a directory
    """
    async with working() as worker:
        yield await worker.run(partial(_open, worker, os.fspath(path)))


async def write_local(directory: str, members: AsyncIterator[Batch]) -> None:
    """Write members below a directory of this host.

    :raises OSError: if one cannot be written
    """
    async with working() as worker:
        descriptor = await worker.run(partial(_hold, worker.held, directory))
        writer = DirectoryWriter(descriptor, (), on_this_host(directory), own=False)
        worker.held.callback(writer.close)
        async for batch in members:
            await worker.run(partial(writer.take, batch))
        await worker.run(writer.finish)


def _open(worker: Worker, path: str) -> LocalFiles:
    real = os.path.realpath(path, strict=True)
    parent, base = os.path.split(real)
    directories = LayeredDirectories([_hold(worker.held, parent)])
    names = (base,) if base else ()
    with on_this_host(parent)("/".join(names)):
        node = directories.open(names)
    if node is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    with node:
        kind = stat.S_IFMT(node.status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise InvalidArgumentError(
            f"{path!r} is neither a file nor a directory; give a stream to read from it"
        )
    if kind == stat.S_IFREG and path.endswith(("/", "/.")):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    source = Source(_name(path, real), kind == stat.S_IFDIR)
    return LocalFiles(source, Tree(directories, on_this_host(parent)), names, worker)


def _name(path: str, real: str) -> str:
    """Return what a local path is called in a copy: by its own name, not by that of what it links to."""
    last = path.rstrip("/").rpartition("/")[2]
    return os.path.basename(real) if last == ".." else name_of(path)


def _hold(held: ExitStack, directory: str) -> int:
    descriptor = os.open(directory, _HOLD)
    held.callback(os.close, descriptor)
    return descriptor
