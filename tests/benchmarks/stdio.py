"""What ``pipes()`` costs over a FIFO that the same event loop reads and writes by itself.

::

    python -m tests.benchmarks.stdio [--quick]

No containerd: a process that only writes, or only reads, stands for the shim. The two ways take turns; of each the
best round counts, and the limit is on the ratio of the two, since other work on the machine slows both. Exits 1 if it
is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from containerd_aio.stdio import OpenStdio, pipes
from containerd_aio.stdio.fifo import FIFO_SIZE

MIB = 1024 * 1024
CHUNK = 64 * 1024

LIMIT = 0.7
"""The least bytes per second, as a part of what the plain way does."""

WRITER = """
import os, sys
fifo, left, chunk = os.open(sys.argv[1], os.O_WRONLY), int(sys.argv[2]), bytes(32 * 1024)  # as the shim writes
while left: left -= os.write(fifo, chunk[:left])
"""
READER = """
import os, sys
fifo = os.open(sys.argv[1], os.O_RDONLY)
while os.read(fifo, 32 * 1024): pass
"""


@dataclass(slots=True)
class Measured:
    """Bytes per second of each round, on the process's CPU clock and on the wall's."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    async def round(self, work: Callable[[], Awaitable[None]], size: int) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        self.wall.append(size / (time.perf_counter() - wall))
        self.cpu.append(size / (time.process_time() - cpu))


@asynccontextmanager
async def peer(program: str, path: str, size: int) -> AsyncIterator[None]:
    """The other side of the FIFO, a process; waited for at the end."""
    command = [sys.executable, "-S", "-c", program, path, str(size)]
    async with await anyio.open_process(command, stdin=None, stdout=None, stderr=None):
        yield


async def opened(path: str, flags: int) -> int:
    """Open an end of the FIFO once its other side is there, with the library's room in it."""
    while True:
        try:
            descriptor = os.open(path, flags | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            await anyio.sleep(0.001)
            continue
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, FIFO_SIZE if os.geteuid() == 0 else CHUNK)
        return descriptor


async def plain_output(directory: str, size: int, measured: Measured) -> None:
    path = os.path.join(directory, "plain-out")
    os.mkfifo(path)
    fifo = await opened(path, os.O_RDONLY)
    loop = asyncio.get_running_loop()
    left = size

    async def read_all() -> None:
        ended = loop.create_future()

        def read() -> None:
            nonlocal left
            left -= len(os.read(fifo, CHUNK))
            if not left:
                loop.remove_reader(fifo)
                ended.set_result(None)

        loop.add_reader(fifo, read)
        await ended

    async with peer(WRITER, path, size):
        await anyio.wait_readable(fifo)
        await measured.round(read_all, size)
    os.close(fifo)
    os.unlink(path)


async def plain_input(directory: str, size: int, measured: Measured) -> None:
    path = os.path.join(directory, "plain-in")
    os.mkfifo(path)
    loop = asyncio.get_running_loop()
    chunk, left = bytes(CHUNK), size

    async with peer(READER, path, size):
        fifo = await opened(path, os.O_WRONLY)

        async def write_all() -> None:
            ended = loop.create_future()

            def write() -> None:
                nonlocal left
                left -= os.write(fifo, chunk[:left])
                if not left:
                    loop.remove_writer(fifo)
                    ended.set_result(None)

            loop.add_writer(fifo, write)
            await ended

        await measured.round(write_all, size)
        os.close(fifo)
    os.unlink(path)


@asynccontextmanager
async def piped(directory: str, *, stdin: bool) -> AsyncIterator[OpenStdio]:
    stdio = await pipes(stdin=stdin, stdout=not stdin, stderr=False).open(
        process_id="bench", fifo_dir=directory
    )
    try:
        yield stdio
    finally:
        await stdio.aclose()


async def piped_output(directory: str, size: int, measured: Measured) -> None:
    async with piped(directory, stdin=False) as stdio, peer(WRITER, stdio.stdout_path, size):
        assert stdio.stdout is not None
        stream, left = stdio.stdout, size

        async def read_all() -> None:
            nonlocal left
            async for chunk in stream:
                left -= len(chunk)
                if not left:
                    return

        left -= len(await stream.receive(1))
        await stdio.started()
        await measured.round(read_all, size)


async def piped_input(directory: str, size: int, measured: Measured) -> None:
    async with piped(directory, stdin=True) as stdio, peer(READER, stdio.stdin_path, size):
        assert stdio.stdin is not None
        stream, chunk = stdio.stdin, bytes(CHUNK)
        await stdio.started()

        async def write_all() -> None:
            for _ in range(size // CHUNK):
                await stream.send(chunk)

        await measured.round(write_all, size)
        await stream.aclose()


async def measure(size: int, rounds: int) -> int:
    missed = 0
    for name, plain_way, way in (
        ("output", plain_output, piped_output),
        ("input", plain_input, piped_input),
    ):
        plain, library = Measured(), Measured()
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as directory:
                await plain_way(directory, size, plain)
                await way(directory, size, library)
        ratio = max(library.cpu) / max(plain.cpu)
        missed += ratio < LIMIT
        print(
            f"{max(library.wall) / MIB:8.0f} MiB/s   {name} through pipes(), {size // MIB} MiB;"
            f" by itself the loop does {max(plain.wall) / MIB:.0f}."
            f" For each second of CPU: {max(library.cpu) / MIB:.0f} and {max(plain.cpu) / MIB:.0f} MiB,"
            f" a part of {ratio:.2f}; limit {LIMIT}: {'MISSED' if ratio < LIMIT else 'met'}",
            flush=True,
        )
    return 1 if missed else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stdio")
    parser.add_argument("--quick", action="store_true", help="fewer bytes, fewer rounds")
    quick = parser.parse_args(arguments).quick
    return asyncio.run(measure(128 * MIB if quick else 512 * MIB, 3 if quick else 7))


if __name__ == "__main__":
    sys.exit(main())
