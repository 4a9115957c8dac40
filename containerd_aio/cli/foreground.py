"""A process of a container in the foreground: its streams are ours, and so are its signals.

As with Docker, a signal that reaches this command is the process's. But a container's init ignores what it has no
handler for, so the second one ends the command, and removes what it made. Whoever sends SIGTERM or SIGHUP sends no
second one: after a grace the same happens. What a raw terminal sends as bytes never comes here.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from containerd_aio.cli.program import complain, tell
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.errors import ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.process import Process
from containerd_aio.stdio import Stdio, inherit
from containerd_aio.types import ExitStatus

_ENDING: Final = (SIGHUP, SIGINT, SIGTERM)
_UNHEEDED_SECONDS: Final = 1.0
"""After which somebody at a terminal is told how to go on."""


def own_streams(*, interactive: bool, terminal: bool, detach_keys: str = "") -> Stdio:
    """Return the stdio of a process that is connected with this command's own streams.

    :raises InvalidArgumentError: if a terminal is to be typed into, and our stdin is none; for keys that are none
    """
    if terminal and interactive and not os.isatty(sys.stdin.fileno()):
        raise InvalidArgumentError(
            "-t with -i needs a terminal to type in, and stdin is none: leave -t out to pipe something in"
        )
    return inherit(stdin=interactive, terminal=terminal, detach_keys=detach_keys)


async def run_to_the_end(process: Process, signals: SignalsCaught, *, grace: float, raw: bool) -> int | None:
    """Start a process, hand it the signals that come, delete it when it has ended, and return its code.

    ``raw``: it is typed into through a raw terminal. Then Ctrl-C is a byte for it, and a signal is about this
    command, which it ends. ``None`` if the keys to detach were typed there: the process runs on.
    """
    exited = process.wait()
    if raw:
        await process.start()
        if not await until_ended(exited, process.stdio.detached):
            return None
    else:
        await _start_and_hand_signals(process, exited, signals, grace)
    status = exited.result()
    await process.delete()
    tell_if_cut_off(process)
    return status.code


def tell_if_cut_off(process: Process) -> None:
    """Say so where a process that has ended wrote more than was shown."""
    if not process.stdio.complete:
        tell("the output is not complete: a process that was left behind still held it open")


async def until_ended(exited: asyncio.Future[ExitStatus], detached: asyncio.Event) -> bool:
    """Wait for either; tell whether it is the end."""
    async with anyio.create_task_group() as group:

        async def until_detached() -> None:
            await detached.wait()
            group.cancel_scope.cancel()

        group.start_soon(until_detached)
        await asyncio.wait([exited])
        group.cancel_scope.cancel()
    return exited.done()


async def _start_and_hand_signals(
    process: Process, exited: asyncio.Future[ExitStatus], signals: SignalsCaught, grace: float
) -> None:
    """Start a process, wait for its end, and hand it the signals that come meanwhile.

    What it shows is seen before start() has its answer: so whoever then sends a signal means the process already.
    """
    send, receive = anyio.create_memory_object_stream[Signals](math.inf)
    asked = False

    def arrived(number: Signals) -> None:
        nonlocal asked
        if asked and number in _ENDING:
            signals.end(number)  # now, whatever becomes of the first
            return
        asked = asked or number in _ENDING
        send.send_nowait(number)

    with send, receive, signals.taken(arrived):
        await process.start()
        async with anyio.create_task_group() as group:
            group.start_soon(_Handover(process, signals, grace).run, receive)
            await asyncio.wait([exited])
            group.cancel_scope.cancel()


class _Handover:
    """The signals on their way to the process, and what happens when it does not heed them."""

    def __init__(self, process: Process, signals: SignalsCaught, grace: float) -> None:
        self._process = process
        self._signals = signals
        self._grace = grace

    async def run(self, received: MemoryObjectReceiveStream[Signals]) -> None:
        async with anyio.create_task_group() as group:
            async for number in received:
                await self._hand_over(number)
                if number in _ENDING:
                    group.start_soon(self._unheeded, number)

    async def _hand_over(self, number: Signals) -> None:
        try:
            await self._process.kill(number)
        except NotFoundError:
            pass  # it has ended
        except ContainerdError as error:
            complain(error)

    async def _unheeded(self, number: Signals) -> None:
        if number is SIGINT:
            await anyio.sleep(_UNHEEDED_SECONDS)
            if sys.stderr.isatty():
                tell(f"{self._process.name} got {number.name} and goes on; Ctrl-C again kills it")
        else:
            await anyio.sleep(self._grace)
            self._signals.end(number)
