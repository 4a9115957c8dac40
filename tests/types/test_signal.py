"""Signals by number and by name, as people write them."""

from __future__ import annotations

import signal

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types.signal import signal_number


@pytest.mark.parametrize("text", ["SIGTERM", "TERM", "term", "sigterm", 15, signal.SIGTERM])
def test_a_signal_has_many_names(text: str | int) -> None:
    assert signal_number(text) == 15


@pytest.mark.parametrize("number", [1, 34, 64])
def test_every_number_of_the_kernel_is_taken(number: int) -> None:
    assert signal_number(number) == number


@pytest.mark.parametrize("wrong", ["", "SIG", "SIGNOPE", "15", 0, -1, 65])
def test_what_is_no_signal_is_refused(wrong: str | int) -> None:
    with pytest.raises(InvalidArgumentError, match="no signal"):
        signal_number(wrong)
