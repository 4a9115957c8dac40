"""A terminal in raw mode: shared by several, and given back by the last and by what ends the program."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Generator

import pytest

from containerd_aio.stdio.raw import raw_terminal
from tests.stdio.test_console import is_raw


@pytest.fixture
def terminal() -> Generator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_it_is_raw_until_it_is_left(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    leave = raw_terminal(terminal)
    assert is_raw(terminal)
    leave()
    leave()
    assert termios.tcgetattr(terminal) == before


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_on_one_terminal_the_last_gives_it_back(terminal: int, first: int) -> None:
    before = termios.tcgetattr(terminal)
    another = os.open(os.ttyname(terminal), os.O_RDWR | os.O_NOCTTY)
    leaves = [raw_terminal(terminal), raw_terminal(another)]
    leaves[first]()
    leaves[first]()
    assert is_raw(terminal)
    leaves[1 - first]()
    assert termios.tcgetattr(terminal) == before
    os.close(another)


def test_two_terminals_have_nothing_to_do_with_each_other(terminal: int) -> None:
    master, other = pty.openpty()
    leave = raw_terminal(terminal)
    leave_other = raw_terminal(other)
    leave()
    assert not is_raw(terminal)
    assert is_raw(other)
    leave_other()
    os.close(master)
    os.close(other)


def test_a_descriptor_that_the_program_closed_first_is_no_hindrance(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    own = os.dup(terminal)
    leave = raw_terminal(own)
    os.close(own)
    leave()
    assert termios.tcgetattr(terminal) == before


def test_what_is_no_terminal_is_refused() -> None:
    reader, writer = os.pipe()
    with pytest.raises(termios.error):
        raw_terminal(reader)
    os.close(reader)
    os.close(writer)


def test_the_handlers_of_the_program_are_as_before(terminal: int) -> None:
    numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT, signal.SIGINT]
    before = [signal.getsignal(number) for number in numbers]
    leave = raw_terminal(terminal)
    assert signal.getsignal(signal.SIGINT) == before[-1], "KeyboardInterrupt ends the program's blocks"
    leave()
    assert [signal.getsignal(number) for number in numbers] == before


PROGRAM = """
import os, signal
from containerd_aio.stdio.raw import raw_terminal
{before}
raw_terminal(0)
os.write(1, b"raw")
{then}
"""


@pytest.mark.parametrize(
    ("before", "then", "code"),
    [
        pytest.param("", "raise RuntimeError", 1, id="an error"),
        pytest.param("", "signal.raise_signal(signal.SIGTERM)", -signal.SIGTERM, id="SIGTERM"),
        pytest.param(
            "signal.signal(signal.SIGINT, signal.SIG_DFL)",
            "signal.raise_signal(signal.SIGINT)",
            -signal.SIGINT,
            id="SIGINT without KeyboardInterrupt",
        ),
        pytest.param("", "signal.raise_signal(signal.SIGINT)", -signal.SIGINT, id="KeyboardInterrupt"),
        pytest.param(
            "signal.signal(signal.SIGTERM, lambda *_: exit(4))",
            "signal.raise_signal(signal.SIGTERM)",
            4,
            id="a handler that ends the program",
        ),
    ],
)
def test_a_program_that_ends_gives_it_back(terminal: int, before: str, then: str, code: int) -> None:
    settings = termios.tcgetattr(terminal)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, then=then)],
        stdin=terminal,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (ended.stdout, ended.returncode) == (b"raw", code)
    assert termios.tcgetattr(terminal) == settings


STOPPED_IN_VAIN = """
import os, signal, termios
from containerd_aio.stdio.raw import raw_terminal
raw_terminal(0)
signal.raise_signal(signal.SIGTSTP)
os.write(1, b"raw" if not termios.tcgetattr(0)[3] & termios.ICANON else b"as before")
"""


def test_a_program_that_nobody_could_continue_is_not_stopped_and_keeps_it_raw(terminal: int) -> None:
    """The kernel drops SIGTSTP where no shell watches: in a session of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_VAIN],
        stdin=terminal,
        capture_output=True,
        check=False,
        timeout=30,
        start_new_session=True,
    )
    assert (ended.stdout, ended.returncode) == (b"raw", 0)


def test_a_handler_of_the_programs_that_goes_on_keeps_it_raw(terminal: int) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    leave = raw_terminal(terminal)
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert is_raw(terminal)
    leave()
    signal.signal(signal.SIGTERM, before)
