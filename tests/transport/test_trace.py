"""The log of calls: one line each, and none where nobody looks."""

from __future__ import annotations

import logging
import re

import pytest

from containerd_aio._transport.trace import traced
from containerd_aio.errors import NotFoundError


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, the time left out."""
    return [re.sub(r"\d+\.\d ms", "T ms", record.getMessage()) for record in caplog.records]


@pytest.fixture
def looking(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="containerd_aio.rpc")
    return caplog


def test_a_call_that_was_answered(looking: pytest.LogCaptureFixture) -> None:
    with traced("a.B/C", "x"):
        pass
    assert lines(looking) == ["a.B/C in 'x': OK, T ms"]
    assert looking.records[0].name == "containerd_aio.rpc"


def test_a_call_that_failed(looking: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotFoundError), traced("a.B/C", ""):
        raise NotFoundError("no")
    assert lines(looking) == ["a.B/C in '': NotFoundError, T ms"]


def test_a_call_that_was_given_up(looking: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt), traced("a.B/C", "x"):
        raise KeyboardInterrupt
    assert lines(looking) == ["a.B/C in 'x': given up, T ms"]


def test_nothing_is_logged_where_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="containerd_aio.rpc")
    with traced("a.B/C", "x"):
        pass
    assert lines(caplog) == []
