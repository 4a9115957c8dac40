"""Knocking: when it ends, and how often."""

from __future__ import annotations

import anyio
import pytest

from containerd_aio.errors import PermissionDeniedError
from containerd_aio.services.events.knock import is_knock, knock, new_topic


async def test_it_knocks_until_it_is_heard() -> None:
    heard = anyio.Event()
    knocks = 0

    async def publish() -> None:
        nonlocal knocks
        knocks += 1
        if knocks == 4:
            heard.set()

    with anyio.fail_after(60):
        await knock(publish, heard)
    assert knocks == 4


async def test_who_was_heard_does_not_knock() -> None:
    heard = anyio.Event()
    heard.set()

    async def publish() -> None:
        pytest.fail("a needless knock")

    await knock(publish, heard)


async def test_a_refused_knock_ends_it() -> None:
    async def publish() -> None:
        raise PermissionDeniedError("no")

    with pytest.raises(PermissionDeniedError):
        await knock(publish, anyio.Event())


async def test_pauses_grow_to_a_tenth_of_a_second() -> None:
    """In half a second that is 2, 4, 8 … 64, then 100 ms: some 10 knocks, not 250."""
    knocks = 0

    async def publish() -> None:
        nonlocal knocks
        knocks += 1

    with anyio.move_on_after(0.5):
        await knock(publish, anyio.Event())
    assert 2 < knocks < 15


def test_knocks_are_known_by_their_topics() -> None:
    assert is_knock(new_topic())
    assert not is_knock("/tasks/exit")
    assert new_topic() != new_topic()
