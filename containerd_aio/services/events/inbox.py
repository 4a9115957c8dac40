"""What came and was not taken yet: a bounded queue between a stream of events and its reader.

No memory stream of anyio's: its halves warn when they are collected before the one who would close them.
"""

from __future__ import annotations

from collections import deque

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from containerd_aio.errors import EventsLostError
from containerd_aio.events import Gap
from containerd_aio.services.events.stream import RawEvent


class Inbox:
    """A queue of at most ``max_lag`` items, and why it gets no more."""

    def __init__(self, max_lag: int) -> None:
        self.failure: BaseException | None = None
        self._items: deque[RawEvent | Gap] = deque()
        self._max_lag = max_lag
        self._ended = False
        self._awaited: anyio.Event | None = None  # an item, or the end
        self._emptied: anyio.Event | None = None

    async def put(self, event: RawEvent) -> None:
        """Add an event; a reader that waits gets its turn.

        :raises EventsLostError: if as many as may wait do so already
        """
        if len(self._items) >= self._max_lag:
            raise EventsLostError(
                f"the reader lagged more than {self._max_lag} events behind, so its stream was given up;"
                " containerd does not repeat what is missed: ask for the state of what matters"
            )
        await self._add(event)

    async def put_gap(self, gap: Gap) -> None:
        """Add a gap; one behind another that was not taken yet becomes a part of it."""
        if self._items and isinstance(before := self._items[-1], Gap):
            self._items[-1] = Gap(before.since_ns, gap.until_ns, before.error)
        else:
            await self._add(gap)

    async def _add(self, item: RawEvent | Gap) -> None:
        self._items.append(item)
        self._wake()
        if len(self._items) > 1 or isinstance(item, Gap):
            await checkpoint()  # let the reader have its turn: a burst is no lag

    async def take(self) -> RawEvent | Gap | None:
        """Return the next item, ``None`` at the end; raises what the stream failed by."""
        await checkpoint_if_cancelled()
        while not self._items:
            if self._ended:
                if self.failure is not None:
                    raise self.failure
                return None
            if self._awaited is None:
                self._awaited = anyio.Event()
            await self._awaited.wait()
        item = self._items.popleft()
        if not self._items and self._emptied is not None:
            self._emptied.set()
            self._emptied = None
        return item

    async def until_empty(self) -> None:
        """Wait until all items were taken."""
        if self._items:
            if self._emptied is None:
                self._emptied = anyio.Event()
            await self._emptied.wait()

    def fail(self, failure: BaseException) -> None:
        """Let the reader have ``failure`` behind the last item."""
        self.failure = failure

    def end(self) -> None:
        """Let nobody wait for more."""
        self._ended = True
        self._wake()

    def clear(self) -> None:
        """Drop what was not taken."""
        self._items.clear()

    def _wake(self) -> None:
        if self._awaited is not None:
            self._awaited.set()
            self._awaited = None
