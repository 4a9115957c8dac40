"""Knocking: when it ends, and how often."""

from __future__ import annotations

import itertools

import anyio
import pytest

from containerd_aio.errors import PermissionDeniedError
from containerd_aio.services.events.knock import is_knock, knock, new_topic, pauses


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


def test_pauses_grow_to_a_tenth_of_a_second() -> None:
    """In the first half second that is some 10 knocks, not 250."""
    found = list(itertools.islice(pauses(), 9))
    assert found == [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.1, 0.1, 0.1]


async def test_it_pauses_between_knocks() -> None:
    knocked: list[float] = []

    async def publish() -> None:
        knocked.append(anyio.current_time())

    with anyio.move_on_after(0.1):
        await knock(publish, anyio.Event())
    for first, second, pause in zip(knocked, knocked[1:], pauses(), strict=False):
        assert second - first >= pause / 2


def test_knocks_are_known_by_their_topics() -> None:
    assert is_knock(new_topic())
    assert not is_knock("/tasks/exit")
    assert new_topic() != new_topic()
