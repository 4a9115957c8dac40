"""A process's terminal on a WebSocket, whichever framework it is of.

Binary messages are what is typed and what is shown, in bytes. A text message from the peer is the size of its
terminal, ``{"resize": [columns, rows]}``; the one to the peer tells the end, ``{"exit_code": 0}``.

The peer is listened to all the time, also while the process does not read: else nobody would see it go.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from containerd_aio.errors import ContainerdError, InvalidArgumentError
from containerd_aio.process import Process
from containerd_aio.types import ExitStatus

NORMAL: Final = 1000
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011

_PIECE: Final = 4096
_MOST_TYPED: Final = 1024 * 1024  # that the process has not read yet
_LAST_OUTPUT_SECONDS: Final = 2.0


class PeerGoneError(Exception):
    """The WebSocket is closed, or broken."""


class BadMessageError(Exception):
    """The peer sends what nobody understands, or more than anybody reads."""


class Peer(Protocol):
    """Who sits at the other end of the WebSocket."""

    async def receive(self) -> bytes | str:
        """Return the next message.

        :raises PeerGoneError: if there will be none
        """
        ...

    async def send(self, message: bytes | str) -> None:
        """Send a message; waits while the peer takes none.

        :raises PeerGoneError: if it takes none any more
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close the WebSocket, if the peer has not; a reason has 123 bytes at most."""
        ...


def terminal_of(process: Process) -> tuple[ByteSendStream, ByteReceiveStream]:
    """Return the two streams of a process's terminal.

    :raises InvalidArgumentError: if it has none here
    """
    if process.stdin is None or process.stdout is None or not process.stdio.terminal:
        raise InvalidArgumentError(
            f"{process.name} has no terminal here: make it with stdio=pipes(stdin=True, terminal=True)"
        )
    return process.stdin, process.stdout


async def bridged(process: Process, peer: Peer) -> ExitStatus | None:
    """Connect a started process's terminal with a peer until either ends, and close the WebSocket.

    Returns how the process ended, ``None`` if the peer went first, or was shown out; then the process runs on.

    :raises ContainerdError: if how the process ended cannot be learned
    """
    try:
        ended = await _Bridge(process, peer).run()
    except PeerGoneError:
        return None
    except BadMessageError as error:
        await peer.close(POLICY_VIOLATION, str(error))
        return None
    except ContainerdError:
        await peer.close(INTERNAL_ERROR, "containerd failed")
        raise
    with suppress(PeerGoneError):
        await peer.send(json.dumps({"exit_code": ended.code}))
    await peer.close(NORMAL, str(ended))
    return ended


class _Bridge:
    """Three things at once: listen to the peer, type what it sends, show what the process writes."""

    def __init__(self, process: Process, peer: Peer) -> None:
        self._process = process
        self._peer = peer
        self._stdin, self._stdout = terminal_of(process)
        self._exited = process.wait()
        self._typed = bytearray()
        self._has_typed = anyio.Event()
        self._reading = anyio.CancelScope()
        self._failure: PeerGoneError | BadMessageError | None = None

    async def run(self) -> ExitStatus:
        self._exited.add_done_callback(self._bound_reading)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_failure, group.cancel_scope, self._listen)
                group.start_soon(self._type)
                await self._until_failure(group.cancel_scope, self._show)
                group.cancel_scope.cancel()
            if self._failure is not None:
                raise self._failure
            return self._exited.result()
        finally:
            self._exited.cancel()

    async def _until_failure(self, scope: anyio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (PeerGoneError, BadMessageError) as error:
            self._failure = self._failure or error
            scope.cancel()

    async def _listen(self) -> None:
        while True:
            message = await self._peer.receive()
            if isinstance(message, str):
                await self._resize(*_size(message))
                continue
            self._typed += message
            if len(self._typed) > _MOST_TYPED:
                raise BadMessageError("the process does not read what is typed")
            self._has_typed.set()

    async def _type(self) -> None:
        while True:
            await self._has_typed.wait()
            self._has_typed = anyio.Event()
            while self._typed:
                piece = bytes(self._typed[:_PIECE])
                del self._typed[:_PIECE]
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    # Else nobody reads it any more; what the process still shows is shown.
                    await self._stdin.send(piece)

    async def _show(self) -> None:
        """Send what the process writes until it has ended; waits with it where the peer takes nothing."""
        while chunk := await self._next_output():
            await self._peer.send(chunk)
        await asyncio.wait([self._exited])

    async def _next_output(self) -> bytes:
        """Return what the process writes next; nothing at the end, or when it has ended and is silent since."""
        self._reading = anyio.CancelScope()
        if self._exited.done():
            self._bound_reading()
        with self._reading, suppress(anyio.EndOfStream):
            return await self._stdout.receive()
        return b""

    def _bound_reading(self, _: object = None) -> None:
        # A process left behind may hold the terminal open, and be silent. What it still writes is shown.
        self._reading.deadline = asyncio.get_running_loop().time() + _LAST_OUTPUT_SECONDS

    async def _resize(self, columns: int, rows: int) -> None:
        try:
            await self._process.resize(columns, rows)
        except InvalidArgumentError as error:
            raise BadMessageError(str(error)) from error
        except ContainerdError:
            pass  # the process has just ended, or containerd restarts: the terminal works on, in its old size


def _size(message: str) -> tuple[int, int]:
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        content = None
    match content:
        case {"resize": [int(columns), int(rows)]}:
            return columns, rows
        case _:
            raise BadMessageError('a text message is {"resize": [columns, rows]}')
