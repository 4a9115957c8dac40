"""Standard output of a command that runs for ever.

``print()`` blocks the event loop when whoever reads stdout does not (``| less``), and learns that nobody does any
more (``| head``) only with the next line, which may never come.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import stat
from collections.abc import Generator
from contextlib import contextmanager

import anyio

from containerd_aio.cli.program import tell_notes


class Output:
    """A file descriptor that is written to without blocking, whatever it is, and left as it was."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._polled = True

    async def write(self, data: str | bytes) -> None:
        """Write all of it, as the reader takes it.

        :raises BrokenPipeError: if there is no reader any more
        """
        rest = data if isinstance(data, bytes) else data.encode(errors="surrogateescape")
        while rest:
            await self._until_writable()
            # What says that it is writable takes so much at once.
            rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]

    async def _until_writable(self) -> None:
        if not self._polled:
            return
        try:
            await anyio.wait_writable(self._descriptor)
        except PermissionError:  # a file, which always is
            self._polled = False


@contextmanager
def until_closed(descriptor: int) -> Generator[None]:
    """Run the block; leave it in silence when it is broken off because a pipe has no reader any more."""
    piped = stat.S_ISFIFO(os.fstat(descriptor).st_mode) and _only_writes(descriptor)
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:

        def closed() -> None:
            loop.remove_reader(descriptor)  # it stays so, and would be told again at each turn of the loop
            scope.cancel()

        if piped:
            # The write end of a pipe is never readable, except by an error: nobody reads.
            loop.add_reader(descriptor, closed)
        try:
            yield
        except BrokenPipeError as error:
            tell_notes(error)
            return
        except asyncio.CancelledError as error:
            tell_notes(error)
            raise
        finally:
            if piped:
                loop.remove_reader(descriptor)


def _only_writes(descriptor: int) -> bool:
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
