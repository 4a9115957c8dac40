"""Signals by number and by name, as people write them."""

from __future__ import annotations

import signal

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types.signal import known_signal, signal_number


@pytest.mark.parametrize("text", ["SIGTERM", "TERM", "term", "sigterm", "15", 15, signal.SIGTERM])
def test_a_signal_has_many_names(text: str | int) -> None:
    assert signal_number(text) == 15


@pytest.mark.parametrize("number", [1, 34, 64])
def test_every_number_of_the_kernel_is_taken(number: int) -> None:
    assert signal_number(number) == number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGRTMIN", 34),
        ("rtmin+3", 37),
        ("SIGRTMIN+30", 64),
        ("SIGRTMAX", 64),
        ("RTMAX-14", 50),
        ("SIGRTMAX-30", 34),
    ],
)
def test_real_time_signals_are_counted_from_either_end(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize(
    "wrong",
    ["", "SIG", "SIGNOPE", "0", "65", "-1", "1.5", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMAX+1", 0, -1, 65],
)
def test_what_is_no_signal_is_refused(wrong: str | int) -> None:
    with pytest.raises(InvalidArgumentError, match="no signal"):
        signal_number(wrong)


def test_what_somebody_else_has_named_is_a_signal_or_not() -> None:
    assert known_signal("SIGQUIT") == 3
    assert known_signal("2") == 2
    assert known_signal("") is None
    assert known_signal("SIGNOPE") is None
