"""Running a process to its end with its output in memory: what ``run()`` of a client and of a task share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from containerd_aio.errors import ContainerdError, InvalidArgumentError, NotFoundError, OutputTooLargeError
from containerd_aio.process import Process
from containerd_aio.types import Completed

MAX_OUTPUT = 16 * 1024 * 1024


def check_max_output(max_output: int) -> None:
    """Refuse what is no bound.

    :raises InvalidArgumentError: if it is negative
    """
    if max_output < 0:
        raise InvalidArgumentError(f"max_output is a number of bytes, not {max_output}")


async def captured(process: Process, *, input: bytes | None, max_output: int) -> Completed:
    """Start a process that was made with ``pipes()``, feed it, read it to its end, and delete it.

    :raises OutputTooLargeError: if it writes more than ``max_output`` bytes; it is killed
    """
    exited = process.wait()
    await process.start()
    output = _Output(process, max_output)
    failure: ContainerdError | None = None
    async with anyio.create_task_group() as group:

        async def guarded(call: Callable[[], Awaitable[None]]) -> None:
            nonlocal failure
            try:
                await call()
            except ContainerdError as error:
                failure = failure or error
                group.cancel_scope.cancel()

        if process.stdin is not None:
            group.start_soon(guarded, partial(_feed, process.stdin, input or b""))
        for stream, kept in ((process.stdout, output.stdout), (process.stderr, output.stderr)):
            if stream is not None:
                group.start_soon(guarded, partial(output.collect, stream, kept))
        await asyncio.wait([exited])
        try:
            # The streams go on being read while Delete drains them, and end when it is done.
            await process.delete()
        except ContainerdError as error:
            failure = failure or error
            group.cancel_scope.cancel()
    if exited.done():
        exited.result()  # why it is not known says more than what failed because of that
    if failure is not None:
        raise failure
    status = exited.result()
    if output.too_large:
        raise OutputTooLargeError(f"{process.id} wrote more than {max_output} bytes; it was killed")
    return Completed(status, bytes(output.stdout), bytes(output.stderr), process.stdio.complete)


class _Output:
    """What a process has written so far, within a bound that both streams share."""

    def __init__(self, process: Process, limit: int) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.too_large = False
        self._process = process
        self._limit = limit

    async def collect(self, stream: ByteReceiveStream, kept: bytearray) -> None:
        async for chunk in stream:
            if len(self.stdout) + len(self.stderr) + len(chunk) > self._limit:
                self.too_large = True
                await self._stop(stream)
                return
            kept += chunk

    async def _stop(self, stream: ByteReceiveStream) -> None:
        await stream.aclose()  # drops the rest, so that the process is not held up while it dies
        try:
            await self._process.kill()
        except NotFoundError:
            pass  # it has ended


async def _feed(stdin: ByteSendStream, data: bytes) -> None:
    try:
        await stdin.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # it ended, or closed its input, without reading all: as with subprocess.communicate()
    await stdin.aclose()
