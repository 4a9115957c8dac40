"""The other side of the FIFOs, as containerd's shim is: it opens them in its order and keeps ends of its own.

Each output is opened to write (which would wait for a reader: here it fails instead) and then to read, so that
the process gets no SIGPIPE; stdin is opened to read, and to write, which only CloseIO ends.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress

import anyio

from containerd_aio.errors import NotFoundError
from containerd_aio.stdio import OpenStdio, Stdio

PROCESS_ID = "web-1"


class Shim:
    """A shim in this process, of one process that does what the test says."""

    def __init__(self, stdio: OpenStdio) -> None:
        self._outputs: dict[str, tuple[int, int]] = {}
        self._stdin: int | None = None
        self._own_stdin: int | None = None
        self.close_io_calls = 0
        for name, path in (("stdout", stdio.stdout_path), ("stderr", stdio.stderr_path)):
            if path not in ("", os.devnull):
                self._outputs[name] = _open(path, os.O_WRONLY), _open(path, os.O_RDONLY)
        if stdio.stdin_path:
            self._stdin = _open(stdio.stdin_path, os.O_RDONLY)
            self._own_stdin = _open(stdio.stdin_path, os.O_WRONLY)

    async def write(self, data: bytes, stream: str = "stdout") -> None:
        """Write as the process does; waits while the FIFO is full."""
        rest = memoryview(data)
        while rest:
            with suppress(BlockingIOError):
                rest = rest[os.write(self._outputs[stream][0], rest) :]
            await anyio.lowlevel.checkpoint()

    def fill(self, stream: str = "stdout", *, write: int = 4096) -> int:
        """Write until the FIFO takes no more, ``write`` bytes at once, and return how much it took."""
        written = 0
        with suppress(BlockingIOError):
            while True:
                written += os.write(self._outputs[stream][0], bytes(write))
        return written

    async def read(self, size: int | None = None) -> bytes:
        """Read stdin until it ends, or so many bytes of it."""
        assert self._stdin is not None
        received = b""
        while size is None or len(received) < size:
            with suppress(BlockingIOError):
                chunk = os.read(self._stdin, 65536 if size is None else size - len(received))
                received += chunk
                if not chunk:
                    break
            await anyio.lowlevel.checkpoint()
        return received

    async def close_io(self) -> None:
        """The CloseIO call."""
        self.close_io_calls += 1
        if self._own_stdin is None:
            raise NotFoundError("process not found")
        os.close(self._own_stdin)
        self._own_stdin = None

    def end(self, streams: Iterable[str] = ("stdout", "stderr")) -> None:
        """Close outputs: the process has ended, and nobody else holds them."""
        for name in streams:
            for descriptor in self._outputs.pop(name, ()):
                os.close(descriptor)

    def stop_reading(self) -> None:
        """Close stdin, as when the process is deleted."""
        for descriptor in (self._stdin, self._own_stdin):
            if descriptor is not None:
                os.close(descriptor)
        self._stdin = self._own_stdin = None

    def gone(self) -> None:
        """Close everything."""
        self.end()
        self.stop_reading()


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@asynccontextmanager
async def running(stdio: Stdio, fifo_dir: str) -> AsyncGenerator[tuple[OpenStdio, Shim]]:
    """A process that is started; it is gone, and its streams are closed, after the block."""
    async with created(stdio, fifo_dir) as (opened, shim):
        await opened.started()
        yield opened, shim


@asynccontextmanager
async def created(stdio: Stdio, fifo_dir: str) -> AsyncGenerator[tuple[OpenStdio, Shim]]:
    """A process that is created, not started."""
    opened = await stdio.open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    try:
        shim = Shim(opened)
        opened.on_stdin_closed(shim.close_io)
        try:
            yield opened, shim
        finally:
            shim.gone()
    finally:
        await opened.aclose()
