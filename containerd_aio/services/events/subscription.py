"""One reader of events, and what it may do with its stream.

The task that empties the stream (`Feed`) never holds the `Subscription`. A loop that was left by ``break`` drops
its `Subscription`, which is finalised at once and ends the task; an async generator would live on till the garbage
collector finds it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Generic, Self, TypeVar, cast

import anyio

from containerd_aio.errors import DeadlineExceededError
from containerd_aio.events import Event, Gap, decode
from containerd_aio.services.events.feed import Feed, OpenStream, PublishKnock
from containerd_aio.services.events.inbox import Inbox
from containerd_aio.services.events.knock import PATIENCE
from containerd_aio.services.events.stream import RawEvent

MAX_LAG: Final = 10_000
"""How many events a reader may lag behind."""

Item = TypeVar("Item", bound=Event | Gap, covariant=True)


class Subscription(Generic[Item]):
    """Events as they come: an async iterator, and an async context manager; made by ``Events.subscribe()``.

    Entered, it is live: whatever is published from then on is seen, so also what the block causes. Iterated
    without being entered, it is live some milliseconds after the first step, and publishes no knocks. It ends
    when it is closed; leaving the block closes it, and so does dropping it, as a ``break`` does when nothing else
    refers to it.

    Cancelling a step loses no event.
    """

    def __init__(
        self, open_stream: OpenStream, publish_knock: PublishKnock, *, resumes: bool, max_lag: int = MAX_LAG
    ) -> None:
        self._open_stream = open_stream
        self._publish_knock = publish_knock
        self._resumes = resumes
        self._inbox = Inbox(max_lag)
        self._feed: Feed | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        """Open the stream, and wait until it is live.

        :raises DeadlineExceededError: if nothing comes back in 5 s
        :raises ContainerdError: if containerd cannot be reached, or refuses the stream, or a Publish
        """
        if self._closed:
            raise RuntimeError("this subscription was closed; subscribe again")
        if self._feed is not None:
            raise RuntimeError("this subscription is in use; enter it once, before it is read")
        try:
            await self._until_live(self._begin(knocks=True))
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

    async def __anext__(self) -> Item:
        """Return the next event; with ``on_gap="resume"``, a `Gap` where some are missing.

        :raises EventsLostError: after the last event before the gap, if this reader lagged too far behind
        :raises ConnectionLostError: when containerd went away: later events are not seen
        :raises ContainerdError: if containerd refuses the stream; the first two not with ``on_gap="resume"``,
            unless there never was a stream
        """
        if self._feed is None and not self._closed:
            self._begin(knocks=False)
        raw = await self._inbox.take() if self._feed is not None else None
        if raw is None:
            raise StopAsyncIteration
        # No gap comes where nothing resumes.
        return cast("Item", raw if isinstance(raw, Gap) else _event(raw))

    async def aclose(self) -> None:
        """End the stream and drop what was not taken; idempotent.

        Waits until the stream is closed, also when it is cancelled.
        """
        self._closed = True
        if self._feed is not None:
            await self._feed.aclose()

    def _begin(self, *, knocks: bool) -> Feed:
        self._feed = Feed(
            self._open_stream, self._publish_knock, self._inbox, knocks=knocks, resumes=self._resumes
        )
        return self._feed

    async def _until_live(self, feed: Feed) -> None:
        with anyio.move_on_after(PATIENCE) as limit:
            await feed.live.wait()
        if limit.cancelled_caught:
            raise DeadlineExceededError(
                f"the stream of events was not live after {PATIENCE:g} s: no event that was published to it came"
            )
        if self._inbox.failure is not None:
            raise self._inbox.failure

    def __del__(self) -> None:
        feed: Feed | None = getattr(self, "_feed", None)
        if feed is not None:
            feed.abandon()


def _event(raw: RawEvent) -> Event:
    return Event(raw.timestamp_ns, raw.namespace, raw.topic, decode(raw.payload))
