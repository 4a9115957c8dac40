"""One reader of events: a stream that a task of its own empties, and a bounded queue before the reader.

The stream must be emptied whatever the reader does: containerd queues for a slow subscriber without bound. So
what the reader has not taken waits here, and when that is too much, the stream is given up and the reader told.

The task holds the `_Inbox` and never the `Subscription`. A loop that was left by ``break`` drops its
`Subscription`, which is finalised at once and ends the task; an async generator would live on till the garbage
collector finds it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from containerd_aio._transport.supervise import Background
from containerd_aio.errors import ConnectionLostError, ContainerdError, DeadlineExceededError, EventsLostError
from containerd_aio.events import Event, decode
from containerd_aio.services.events.knock import PATIENCE, is_knock, knock
from containerd_aio.services.events.stream import RawEvent

MAX_LAG: Final = 10_000
"""How many events a reader may lag behind."""

OpenStream = Callable[[], AbstractAsyncContextManager[AsyncIterator[RawEvent]]]


class Subscription:
    """Events as they come: an async iterator, and an async context manager; made by ``Events.subscribe()``.

    Entered, it is live: whatever is published from then on is seen, so also what the block causes. Iterated
    without being entered, it is live some milliseconds after the first step. It ends when it is closed;
    leaving the block closes it, and so does dropping it, as a ``break`` does when nothing else refers to it.

    Cancelling a step loses no event.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        publish_knock: Callable[[], Awaitable[None]],
        *,
        knock_topic: str,
        max_lag: int = MAX_LAG,
    ) -> None:
        self._open_stream = open_stream
        self._publish_knock = publish_knock
        self._knock_topic = knock_topic
        self._max_lag = max_lag
        self._closed = False
        self._inbox: _Inbox | None = None

    async def __aenter__(self) -> Self:
        """Open the stream, and wait until it is live.

        :raises DeadlineExceededError: if nothing comes back in 5 s
        :raises ContainerdError: if containerd refuses the stream, or a Publish
        """
        try:
            await self._begun().until_live(self._publish_knock)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        :raises EventsLostError: after the last event before the gap, if this reader lagged too far behind
        :raises ConnectionLostError: when containerd went away: later events are not seen
        """
        inbox = self._begun() if not self._closed else self._inbox
        raw = await inbox.take() if inbox is not None else None
        if raw is None:
            raise StopAsyncIteration
        return Event(raw.timestamp_ns, raw.namespace, raw.topic, decode(raw.payload))

    async def aclose(self) -> None:
        """End the stream and drop what was not taken; idempotent.

        Waits until the stream is closed, also when it is cancelled.
        """
        self._closed = True
        if self._inbox is not None:
            await self._inbox.aclose()

    def _begun(self) -> _Inbox:
        if self._closed:
            raise RuntimeError("this subscription was closed; subscribe again")
        if self._inbox is None:
            self._inbox = _Inbox(self._open_stream, self._knock_topic, self._max_lag)
        return self._inbox

    def __del__(self) -> None:
        inbox: _Inbox | None = getattr(self, "_inbox", None)
        if inbox is not None:
            inbox.abandon()


class _Inbox:
    """The queue, the task that fills it, and why that task ended.

    No memory stream of anyio's: its halves warn when they are collected before the one who would close them.
    """

    def __init__(self, open_stream: OpenStream, knock_topic: str, max_lag: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[RawEvent] = deque()
        self._awaited: anyio.Event | None = None
        self._knock_topic = knock_topic
        self._max_lag = max_lag
        self._heard = anyio.Event()
        self._scope = anyio.CancelScope()
        self._ended = False
        self._failure: BaseException | None = None
        self._background = Background.start(
            lambda: self._fill(open_stream), name="subscription", crashed=self._fail
        )

    async def _fill(self, open_stream: OpenStream) -> None:
        try:
            with self._scope:
                async with open_stream() as events:
                    async for event in events:
                        await self._put(event)
                # Another end than our own is a gap.
                raise ConnectionLostError("containerd ended the stream of events: later ones are not seen")
        except ContainerdError as exc:
            self._fail(exc)
        finally:
            self._end()

    async def _put(self, event: RawEvent) -> None:
        if is_knock(event.topic):
            if event.topic == self._knock_topic:
                self._heard.set()
            return
        if len(self._queue) >= self._max_lag:
            raise EventsLostError(
                f"the reader lagged more than {self._max_lag} events behind, so its stream was given up;"
                " subscribe again, and ask for the state of what matters"
            )
        self._queue.append(event)
        self._wake()
        if len(self._queue) > 1:
            await checkpoint()  # let the reader have its turn: a burst is no lag

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure

    def _end(self) -> None:
        self._ended = True
        self._heard.set()
        self._wake()

    def _wake(self) -> None:
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None

    async def until_live(self, publish_knock: Callable[[], Awaitable[None]]) -> None:
        with anyio.move_on_after(PATIENCE) as limit:
            await knock(publish_knock, self._heard)
        if limit.cancelled_caught:
            raise DeadlineExceededError(
                f"the stream of events was not live after {PATIENCE:g} s: no event that was published to it came"
            )
        if self._failure is not None:
            raise self._failure

    async def take(self) -> RawEvent | None:
        """The next event, ``None`` when the subscription was closed; raises why the stream ended."""
        await checkpoint_if_cancelled()
        while not self._queue:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return None
            if self._awaited is None:
                self._awaited = anyio.Event()
            await self._awaited.wait()
        return self._queue.popleft()

    async def aclose(self) -> None:
        await self._background.aclose()
        # A task that was cancelled before its first step never came to its end by itself.
        self._end()
        self._queue.clear()

    def abandon(self) -> None:
        """End the task without waiting, from any thread, as finalisers run."""
        # A closed loop has ended its tasks.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._scope.cancel)
