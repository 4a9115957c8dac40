"""The task that empties a stream of events into an inbox, and opens another one where the first was lost.

It must be emptied whatever the reader does: containerd queues for a slow subscriber without bound. A reader that
lags too far loses its stream, and gets a new one when it has caught up.

Subscribe has no acknowledgement. The first event that comes, whosever it is, proves that the stream is live; so
one of our own is published until one comes (`knock`). A feed that may not knock takes a new stream for live when
there was time enough to register it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final

import anyio

from containerd_aio._transport.supervise import Background
from containerd_aio.errors import (
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    DeadlineExceededError,
    EventsLostError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotImplementedByServerError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from containerd_aio.events import Gap
from containerd_aio.services.events.inbox import Inbox
from containerd_aio.services.events.knock import PATIENCE, is_knock, pauses
from containerd_aio.services.events.stream import RawEvent

OpenStream = Callable[[], AbstractAsyncContextManager[AsyncIterator[RawEvent]]]
PublishKnock = Callable[[], Awaitable[None]]

_FINAL: Final = (
    ClientClosedError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotImplementedByServerError,
    PermissionDeniedError,
    UnauthenticatedError,
)
"""What another try would not change."""

_NO_ANSWER: Final = (ClientClosedError, ConnectionLostError, DeadlineExceededError, UnavailableError)
"""How a Publish fails that was not refused."""

_REGISTERED: Final = 0.1
"""Seconds after which containerd has registered a subscriber; 14 ms at most were seen."""

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0

_log: Final = logging.getLogger("containerd_aio.events")


class Feed:
    """A running task; ``live`` is set when the first stream is, or when there will be none.

    ``knocks`` has each stream proved to be live; ``resumes`` replaces one that was lost.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        publish_knock: PublishKnock,
        inbox: Inbox,
        *,
        knocks: bool,
        resumes: bool,
    ) -> None:
        self.live = anyio.Event()
        self._open_stream = open_stream
        self._publish_knock = publish_knock
        self._inbox = inbox
        self._knocks = knocks
        self._resumes = resumes
        self._lost: tuple[int, ContainerdError] | None = None
        self._live_since = -math.inf
        self._pause = _FIRST_PAUSE
        self._loop = asyncio.get_running_loop()
        self._scope = anyio.CancelScope()
        self._background = Background.start(self._run, name="subscription", crashed=inbox.fail)

    async def _run(self) -> None:
        try:
            with self._scope:
                while True:
                    try:
                        await self._follow()
                    except ContainerdError as error:
                        if not self._resumes or not self.live.is_set() or isinstance(error, _FINAL):
                            raise
                        self._note_loss(error)
                        if isinstance(error, EventsLostError):
                            await self._inbox.until_empty()
                    await self._rest()
        except ContainerdError as failure:
            self._inbox.fail(failure)
        finally:
            self._inbox.end()
            self.live.set()

    async def _follow(self) -> None:
        async with self._open_stream() as events:
            first = await self._first_event(events)
            await self._note_live()
            if first is not None:
                await self._pass_on(first)
            while True:
                await self._pass_on(await _next(events))

    async def _first_event(self, events: AsyncIterator[RawEvent]) -> RawEvent | None:
        """Return the first event, which proves that the stream is live; ``None`` where it can only be assumed."""
        resumed = self.live.is_set()
        if self._knocks:
            patience = anyio.current_time() + (PATIENCE if resumed else math.inf)
            for pause in pauses():
                try:
                    await self._publish_knock()
                except ContainerdError as error:
                    if not resumed or isinstance(error, _NO_ANSWER):
                        raise
                    _log.debug("the knock was refused: %s", error)
                    break
                with anyio.move_on_after(pause):
                    return await _next(events)
                if anyio.current_time() > patience:
                    break
        with anyio.move_on_after(_REGISTERED):
            return await _next(events)
        return None

    async def _note_live(self) -> None:
        self.live.set()
        self._live_since = anyio.current_time()
        if self._lost is not None:
            (since_ns, error), self._lost = self._lost, None
            await self._inbox.put_gap(Gap(since_ns, time.time_ns(), error))

    async def _pass_on(self, event: RawEvent) -> None:
        if not is_knock(event.topic):
            await self._inbox.put(event)

    def _note_loss(self, error: ContainerdError) -> None:
        """Begin a gap, if this is not a failed try to end one."""
        if self._lost is not None:
            return
        # The frames of a traceback would keep the stream's objects as long as the reader keeps the gap.
        self._lost = time.time_ns(), error.with_traceback(None)
        _log.info("lost a stream of events, subscribing again: %s", error)
        if anyio.current_time() - self._live_since > _LONGEST_PAUSE:
            self._pause = _FIRST_PAUSE

    async def _rest(self) -> None:
        await anyio.sleep(self._pause * random.uniform(0.5, 1))
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def aclose(self) -> None:
        """End the task, wait until its stream is closed, and drop what was not taken."""
        await self._background.aclose()
        # A task that was cancelled before its first step never came to its end by itself.
        self._inbox.end()
        self._inbox.clear()
        self.live.set()

    def abandon(self) -> None:
        """End the task without waiting, from any thread, as finalisers run."""
        # A closed loop has ended its tasks.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._scope.cancel)


async def _next(events: AsyncIterator[RawEvent]) -> RawEvent:
    try:
        return await anext(events)
    except StopAsyncIteration:
        # Another end than our own is a gap.
        raise ConnectionLostError(
            "containerd ended the stream of events, and does not repeat those that follow"
        ) from None
