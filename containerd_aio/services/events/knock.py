"""Proof that a stream of events is live.

Subscribe sends no answer, and the daemon registers a subscriber some time after the call: an event published
right after it was missed in up to half of all tries. So a reader also subscribes to a topic of its own, and
publishes to it until an event comes back. Everything that is published after that reaches it.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import anyio

from containerd_aio.types import AnyValue

PREFIX: Final = "/containerd-aio/attached/"
"""What the topics of all knocks begin with, anyone's. They reach every reader that filters no topics."""

PAYLOAD: Final = AnyValue("google.protobuf.Empty", b"")
"""What a knock carries: nothing, but of a type. A Publish without an event makes containerd 1.6 crash."""

PATIENCE: Final = 5.0
"""Seconds after which a stream that has not answered will not do so."""

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1


def new_topic() -> str:
    """Return a topic that nobody else has."""
    return PREFIX + uuid.uuid4().hex


def is_knock(topic: str) -> bool:
    """Whether an event is somebody's knock, and means nothing."""
    return topic.startswith(PREFIX)


async def knock(publish: Callable[[], Awaitable[None]], heard: anyio.Event) -> None:
    """Publish again and again, with pauses from 2 ms to 100 ms, until ``heard`` is set.

    One or two times are usual. The caller sets the bound; what ``publish`` raises comes out.
    """
    for pause in pauses():
        if heard.is_set():
            return
        await publish()
        with anyio.move_on_after(pause):
            await heard.wait()


def pauses() -> Iterator[float]:
    """Yield the seconds to listen after each knock, for ever."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)
