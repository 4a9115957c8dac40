"""Copying between a process's FIFOs and what the user gave: one background task for each stream.

The user's side may fail. Then the process must not be held up, and the failure must not be lost: the output is
read on and dropped, the input is closed, and the error is kept for ``OpenStdio.aclose()`` to raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ObjectReceiveStream, ObjectSendStream

from containerd_aio._transport.supervise import Background, cancelled_from_outside
from containerd_aio.stdio.receive import FifoReceiveStream
from containerd_aio.stdio.send import FifoSendStream

Source = ByteReceiveStream | ObjectReceiveStream[bytes]
Sink = ByteSendStream | ObjectSendStream[bytes]


class Pump:
    """A copy under way. ``failure`` is what it failed with; ``finished`` is set when it is over.

    ``copied`` counts what was handed over, in chunks.
    """

    def __init__(self, run: Callable[[Pump], Coroutine[Any, Any, None]], name: str) -> None:
        self._run = run
        self._name = name
        self._task: Background | None = None
        self._at_end: list[Callable[[], object]] = []
        self.copied = 0
        self.finished = asyncio.Event()
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin to copy; once only."""
        if self._task is None:
            self._task = Background.start(self._copy, name=self._name, crashed=self.failed)

    def failed(self, error: BaseException) -> None:
        """Keep the first error."""
        self.failure = self.failure or error

    def at_end(self, call: Callable[[], object]) -> None:
        """Have ``call()`` called when the copy is over; it must not raise."""
        self._at_end.append(call)

    def cancel(self) -> None:
        """Stop copying, and do not wait for that."""
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Stop copying; waits until the task is gone."""
        try:
            if self._task is not None:
                await self._task.aclose()
        finally:
            self.finished.set()  # also where it was stopped before its first step

    async def _copy(self) -> None:
        try:
            await self._run(self)
        finally:
            self.finished.set()
            for call in self._at_end:
                call()


def output_pump(source: FifoReceiveStream, sink: Sink) -> Pump:
    """Copy a process's output to ``sink`` until it ends."""

    async def run(pump: Pump) -> None:
        try:
            async for chunk in source:
                await sink.send(chunk)
                pump.copied += 1
        except BaseException as error:
            pump.failed(_fault(error))
            await source.aclose()

    return Pump(run, name=f"output {source}")


def input_pump(source: Source, process: FifoSendStream) -> Pump:
    """Copy ``source`` to a process's input, then close that; end early where the process reads no more."""

    async def run(pump: Pump) -> None:
        try:
            async for chunk in source:
                if not await _delivered(process, chunk):
                    break
        except BaseException as error:
            pump.failed(_fault(error))
        try:
            await process.aclose()
        except Exception as error:
            pump.failed(error)

    return Pump(run, name=f"input {process}")


async def finished(pumps: Sequence[Pump], *, patience: float) -> bool:
    """Wait until the copies are over, or none of them has handed anything over for ``patience`` seconds; tell
    which."""
    while not all(pump.finished.is_set() for pump in pumps):
        before = [pump.copied for pump in pumps]
        with anyio.move_on_after(patience):
            for pump in pumps:
                await pump.finished.wait()
            return True
        if before == [pump.copied for pump in pumps]:
            return False
    return True


def _fault(error: BaseException) -> Exception:
    """Return what a stream of the user's has failed with, and raise what is no fault of its."""
    if isinstance(error, Exception):
        return error
    if not isinstance(error, asyncio.CancelledError) or cancelled_from_outside():
        raise error
    failure = RuntimeError("the stream that is copied from or to was cancelled, and not by its user")
    failure.__cause__ = error
    return failure


async def _delivered(process: FifoSendStream, chunk: bytes) -> bool:
    try:
        await process.send(chunk)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return False
    return True
