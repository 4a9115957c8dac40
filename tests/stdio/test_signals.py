"""Listening to signals: the program's own handlers and the defaults go on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator

import anyio
import anyio.to_thread
import pytest

from containerd_aio.stdio.signals import listen


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    """Each test leaves the handlers as they were."""
    numbers = (signal.SIGWINCH, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


def test_all_who_listen_hear_it_until_they_stop() -> None:
    heard: list[str] = []
    stops = [listen(signal.SIGWINCH, lambda name=name: heard.append(name)) for name in "ab"]  # type: ignore[misc]
    signal.raise_signal(signal.SIGWINCH)
    stops[0]()
    stops[0]()
    signal.raise_signal(signal.SIGWINCH)
    stops[1]()
    signal.raise_signal(signal.SIGWINCH)
    assert heard == ["a", "b", "b"]


def test_the_programs_own_handler_is_called_too_and_is_back_afterwards() -> None:
    calls: list[object] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: calls.append(number))
    stop = listen(signal.SIGUSR1, lambda: calls.append("heard"))
    signal.raise_signal(signal.SIGUSR1)
    stop()
    signal.raise_signal(signal.SIGUSR1)
    assert calls == ["heard", signal.SIGUSR1, signal.SIGUSR1]
    signal.signal(signal.SIGUSR1, before)


def test_a_handler_that_the_program_puts_in_meanwhile_stays() -> None:
    stop = listen(signal.SIGWINCH, lambda: None)
    ours = signal.signal(signal.SIGWINCH, signal.SIG_IGN)
    stop()
    assert signal.getsignal(signal.SIGWINCH) == signal.SIG_IGN
    assert callable(ours)
    signal.signal(signal.SIGWINCH, signal.SIG_DFL)


async def test_the_event_loops_own_handler_hears_it_too() -> None:
    told, heard = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    stop = listen(signal.SIGUSR1, heard.set)
    signal.raise_signal(signal.SIGUSR1)
    with anyio.fail_after(30):
        await told.wait()
        await heard.wait()
    stop()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)


async def test_in_another_thread_nothing_is_ever_heard() -> None:
    def other() -> None:
        listen(signal.SIGWINCH, lambda: None)()

    await anyio.to_thread.run_sync(other)


PROGRAM = """
import signal
from containerd_aio.stdio.signals import listen
listen(signal.{name}, lambda: print("heard", flush=True))
signal.raise_signal(signal.{name})
print("went on", flush=True)
signal.raise_signal(signal.{name})
"""


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("SIGTERM", -signal.SIGTERM, "heard\n"), ("SIGCHLD", 0, "heard\nwent on\nheard\n")],
)
def test_the_default_is_done_once_it_was_heard(name: str, code: int, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (said, "", code)
