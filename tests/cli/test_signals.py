"""Who gets the signals of a command."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from containerd_aio.cli.signals import CAUGHT, SignalsCaught


@pytest.mark.parametrize("number", CAUGHT)
async def test_a_signal_that_nobody_takes_ends_the_command(number: signal.Signals) -> None:
    signals = SignalsCaught()
    with anyio.fail_after(60), signals.ending():
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()
    assert signals.ended_by is number


async def test_whoever_takes_signals_gets_them_and_may_end_the_command() -> None:
    signals = SignalsCaught()
    got: list[signal.Signals] = []
    came = anyio.Event()

    def take(number: signal.Signals) -> None:
        got.append(number)
        came.set()

    with anyio.fail_after(60), signals.ending():
        with signals.taken(take):
            os.kill(os.getpid(), signal.SIGTERM)
            await came.wait()
        assert signals.ended_by is None
        signals.end(signal.SIGTERM)
        signals.end(signal.SIGINT)
        await anyio.sleep_forever()
    assert got == [signal.SIGTERM]
    assert signals.ended_by is signal.SIGTERM


async def test_what_we_were_started_to_ignore_stays_ignored() -> None:
    signals = SignalsCaught()
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with anyio.fail_after(60), signals.ending():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            await anyio.sleep_forever()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)
    assert signals.ended_by is signal.SIGTERM


async def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in CAUGHT]
    with SignalsCaught().ending():
        assert [signal.getsignal(number) for number in CAUGHT] != before
    assert [signal.getsignal(number) for number in CAUGHT] == before


async def test_ctrl_c_at_the_very_end_is_as_silent_as_at_the_beginning() -> None:
    """The command line sets it so, and the loop would leave Python's own way: a traceback."""
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with SignalsCaught().ending():
            pass
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, former)
