"""The user's terminal: raw while it is shared, and given back whatever happens."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from containerd_aio.errors import UnavailableError
from containerd_aio.stdio import inherit
from containerd_aio.stdio.console import Console
from tests.stdio.shim import created, running


@pytest.fixture
def terminal() -> Generator[tuple[int, int]]:
    """A pty: its master, which the user's window holds, and the terminal."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    yield master, slave
    os.close(master)
    os.close(slave)


def is_raw(descriptor: int) -> bool:
    return not termios.tcgetattr(descriptor)[3] & (termios.ICANON | termios.ECHO)


async def test_it_is_raw_from_enter_to_leave(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    console = Console(terminal[1], terminal[1])
    console.enter()
    console.enter()
    assert is_raw(terminal[1])
    console.leave()
    console.leave()
    assert termios.tcgetattr(terminal[1]) == before
    await console.aclose()


async def test_what_is_no_terminal_is_left_alone() -> None:
    reader, writer = os.pipe()
    console = Console(reader, writer)
    console.enter()
    await console.aclose()
    os.close(reader)
    os.close(writer)


async def test_the_size_is_told_at_first_and_when_it_changes(terminal: tuple[int, int]) -> None:
    send, receive = anyio.create_memory_object_stream[tuple[int, int]](5)
    handler = signal.signal(signal.SIGWINCH, lambda *_: None)
    ours = signal.getsignal(signal.SIGWINCH)

    async def resize(width: int, height: int) -> None:
        await send.send((width, height))

    console = Console(terminal[1], terminal[1])
    console.on_resize(resize)
    with anyio.fail_after(5):
        console.enter()
        assert await receive.receive() == (80, 24)
        termios.tcsetwinsize(terminal[1], (50, 132))
        signal.raise_signal(signal.SIGWINCH)
        assert await receive.receive() == (132, 50)
        await console.aclose()
    assert signal.getsignal(signal.SIGWINCH) == ours, "the program's own handler is back"
    signal.signal(signal.SIGWINCH, handler)
    send.close()
    receive.close()


async def test_a_size_that_cannot_be_set_is_tried_again_at_the_next_change(terminal: tuple[int, int]) -> None:
    tries: list[tuple[int, int]] = []
    tried = anyio.Event()

    async def resize(width: int, height: int) -> None:
        nonlocal tried
        tries.append((width, height))
        tried.set()
        raise UnavailableError("not now")

    console = Console(terminal[1], terminal[1])
    console.on_resize(resize)
    console.enter()
    with anyio.fail_after(5):
        await tried.wait()
        tried = anyio.Event()
        signal.raise_signal(signal.SIGWINCH)
        await tried.wait()
    assert len(tries) == 2
    await console.aclose()


async def test_the_terminal_of_this_process_is_connected_with_the_containers(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    master, slave = terminal
    stdio = inherit(terminal=True, descriptors=(slave, slave, slave))
    sizes: list[tuple[int, int]] = []

    async def resize(width: int, height: int) -> None:
        sizes.append((width, height))

    async with created(stdio, fifo_dir) as (opened, shim):
        assert opened.terminal
        assert opened.stderr_path == ""
        opened.on_resize(resize)
        assert not is_raw(slave)
        await opened.started()
        assert is_raw(slave)
        os.write(master, b"\x03")  # Ctrl-C is the container's to see
        with anyio.fail_after(5):
            await shim.write(b"prompt\r\n")
            await anyio.wait_readable(master)
            assert os.read(master, 100) == b"prompt\r\n"
            await anyio.wait_all_tasks_blocked()
            assert sizes == [(80, 24)]
        opened.close_stdin()
        await shim.close_io()
        assert await shim.read() == b"\x03"
        shim.end()
        await opened.drain(5)
        assert opened.complete
        await opened.aclose()
        assert not is_raw(slave)


async def test_a_terminal_without_input_stays_as_it_is(terminal: tuple[int, int], fifo_dir: str) -> None:
    stdio = inherit(stdin=False, terminal=True, descriptors=(terminal[1],) * 3)
    async with running(stdio, fifo_dir):
        assert not is_raw(terminal[1])


PROGRAM = """
import asyncio, os, sys, termios
from containerd_aio.stdio.console import Console

async def main():
    console = Console(0, 0)
    console.enter()
    os.write(1, b"raw")
    raise RuntimeError("the program's own fault")

asyncio.run(main())
"""


def test_a_program_that_ends_without_closing_gives_the_terminal_back(
    terminal: tuple[int, int], tmp_path: Path
) -> None:
    before = termios.tcgetattr(terminal[1])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdin=terminal[1], capture_output=True, check=False, timeout=30
    )
    assert ended.stdout == b"raw"
    assert b"the program's own fault" in ended.stderr
    assert termios.tcgetattr(terminal[1]) == before
