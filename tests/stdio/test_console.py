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
from containerd_aio.stdio import inherit, pipes
from containerd_aio.stdio.console import Console
from tests.stdio.shim import created, running
from tests.stdio.test_connect import record


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


async def shown(master: int, size: int) -> bytes:
    """Read what the user sees: so many bytes."""
    text = b""
    while len(text) < size:
        await anyio.wait_readable(master)
        text += os.read(master, size - len(text))
    return text


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
    with anyio.fail_after(30):
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
    with anyio.fail_after(30):
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
        with anyio.fail_after(30):
            assert await shim.read(1) == b"\x03"
            await shim.write(b"prompt\r\n")
            assert await shown(master, 8) == b"prompt\r\n"
            await anyio.wait_all_tasks_blocked()
            assert sizes == [(80, 24)]
        shim.end()
        await opened.drain(5)
        assert opened.complete
        await opened.aclose()
        assert not is_raw(slave)


async def test_it_is_raw_before_anything_is_shown(terminal: tuple[int, int], fifo_dir: str) -> None:
    """The shim may open stdin some time later; what a program asks its terminal meanwhile must not be echoed."""
    master, slave = terminal
    stdio = inherit(terminal=True, descriptors=(slave, slave, slave))
    async with created(stdio, fifo_dir) as (opened, shim), anyio.create_task_group() as group:
        shim.stop_reading()
        await shim.write(b"\x1b[6n")
        group.start_soon(opened.started)
        with anyio.fail_after(30):
            assert await shown(master, 4) == b"\x1b[6n"
        assert is_raw(slave)
        group.cancel_scope.cancel()


async def test_a_terminal_that_is_closed_while_it_starts_is_given_back(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    stdio = inherit(terminal=True, descriptors=(terminal[1],) * 3)
    async with created(stdio, fifo_dir) as (opened, shim):
        shim.stop_reading()
        async with anyio.create_task_group() as group:
            group.start_soon(opened.started)
            await anyio.wait_all_tasks_blocked()
            await opened.aclose()
        assert not is_raw(terminal[1])


async def test_keys_alone_can_be_attached(terminal: tuple[int, int], fifo_dir: str) -> None:
    master, slave = terminal
    async with created(pipes(stdin=True, terminal=True), fifo_dir) as (first, shim):
        asked = record(stdin=first.stdin_path, stdout=first.stdout_path, terminal=True)
        again = await inherit(stdout=False, descriptors=(slave, slave, slave)).attach(asked)
        await again.started()
        os.write(master, b"k")
        with anyio.fail_after(30):
            assert await shim.read(1) == b"k"
        await again.aclose(unlink=False)


async def test_a_terminal_without_input_stays_as_it_is(terminal: tuple[int, int], fifo_dir: str) -> None:
    stdio = inherit(stdin=False, terminal=True, descriptors=(terminal[1],) * 3)
    async with running(stdio, fifo_dir):
        assert not is_raw(terminal[1])


async def test_the_size_of_the_screen_is_followed_also_without_input(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    stdio = inherit(stdin=False, terminal=True, descriptors=(0, terminal[1], terminal[1]))
    assert stdio.terminal_size() == (80, 24)
    sizes: list[tuple[int, int]] = []

    async def resize(width: int, height: int) -> None:
        sizes.append((width, height))

    async with created(stdio, fifo_dir) as (opened, _):
        opened.on_resize(resize)
        await opened.starting()
        assert sizes == [(80, 24)], "before the process runs"
        await opened.started()
        await anyio.wait_all_tasks_blocked()
        assert sizes == [(80, 24)] * 2, "and again: it may have changed meanwhile"


async def test_a_size_that_is_given_is_the_first(fifo_dir: str) -> None:
    sizes: list[tuple[int, int]] = []

    async def resize(width: int, height: int) -> None:
        sizes.append((width, height))
        raise UnavailableError("which is not worth the process")

    stdio = pipes(terminal=True, size=(132, 50))
    async with created(stdio, fifo_dir) as (opened, _):
        opened.on_resize(resize)
        await opened.starting()
        await opened.started()
        assert sizes == [(132, 50)]
    nowhere = os.open(os.devnull, os.O_RDWR)
    for none in (pipes(), pipes(terminal=True), inherit(terminal=True, descriptors=(nowhere,) * 3)):
        async with created(none, fifo_dir) as (opened, _):
            opened.on_resize(resize)
            await opened.starting()
    os.close(nowhere)
    assert sizes == [(132, 50)]


async def test_the_terminal_is_given_back_when_the_output_ends_and_what_is_typed_then_is_the_next_ones(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    master, slave = terminal
    stdio = inherit(terminal=True, descriptors=(slave, slave, slave))
    async with running(stdio, fifo_dir) as (opened, shim):
        assert is_raw(slave)
        shim.end()
        with anyio.fail_after(30):
            await opened.drain(5)
        await anyio.wait_all_tasks_blocked()
        assert not is_raw(slave)
        os.write(master, b"for the shell\n")
        assert os.read(slave, 100) == b"for the shell\n"


async def test_a_process_that_exists_is_shown_as_it_is_and_draws_itself_again(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    """It is the record that tells of the terminal, not the kind; a size that stays tells the process nothing."""
    _, slave = terminal
    sizes: list[tuple[int, int]] = []

    async def resize(width: int, height: int) -> None:
        sizes.append((width, height))

    async with created(pipes(stdin=True, terminal=True), fifo_dir) as (first, _):
        asked = record(stdin=first.stdin_path, stdout=first.stdout_path, terminal=True)
        again = await inherit(descriptors=(slave, slave, slave)).attach(asked)
        again.on_resize(resize)
        await again.started()
        assert is_raw(slave)
        await anyio.wait_all_tasks_blocked()
        assert sizes == [(80, 25), (80, 24)]
        await again.aclose(unlink=False)
        assert not is_raw(slave)


async def test_the_keys_to_detach_give_the_terminal_back_and_do_not_end_the_input(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    master, slave = terminal
    stdio = inherit(terminal=True, detach_keys="ctrl-p,ctrl-q", descriptors=(slave, slave, slave))
    async with running(stdio, fifo_dir) as (opened, shim):
        assert not opened.detached.is_set()
        os.write(master, b"typed\x10\x11lost")
        with anyio.fail_after(30):
            await opened.detached.wait()
        assert not is_raw(slave)
        assert shim.close_io_calls == 0
        opened.close_stdin()
        await shim.close_io()
        assert await shim.read() == b"typed"


async def test_two_processes_on_one_terminal_both_follow_its_size_and_the_last_gives_it_back(
    terminal: tuple[int, int], fifo_dir: str
) -> None:
    _, slave = terminal
    stdio = inherit(terminal=True, descriptors=(slave, slave, slave))
    sizes: dict[str, list[tuple[int, int]]] = {"first": [], "second": []}

    async with created(stdio, fifo_dir) as (first, _), created(stdio, fifo_dir) as (second, _):
        for name, opened in (("first", first), ("second", second)):

            async def resize(width: int, height: int, name: str = name) -> None:
                sizes[name].append((width, height))

            opened.on_resize(resize)
            await opened.started()
        await anyio.wait_all_tasks_blocked()
        termios.tcsetwinsize(slave, (50, 132))
        signal.raise_signal(signal.SIGWINCH)
        await anyio.wait_all_tasks_blocked()
        assert sizes == {"first": [(80, 24), (132, 50)], "second": [(80, 24), (132, 50)]}
        await first.aclose()
        assert is_raw(slave)
        await second.aclose()
        assert not is_raw(slave)


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


async def test_closing_does_not_leave_the_size_that_only_made_it_draw_itself_again(
    terminal: tuple[int, int],
) -> None:
    sizes: list[tuple[int, int]] = []
    asked, answered = anyio.Event(), anyio.Event()

    async def resize(width: int, height: int) -> None:
        asked.set()
        await answered.wait()
        sizes.append((width, height))

    console = Console(terminal[1], terminal[1])
    console.on_resize(resize)
    console.enter(redraw=True)
    async with anyio.create_task_group() as group:
        with anyio.fail_after(30):
            await asked.wait()
        group.start_soon(console.aclose)
        await anyio.wait_all_tasks_blocked()
        answered.set()
    assert sizes == [(80, 25), (80, 24)]


LOOP_IS_CLOSED = """
import asyncio, signal
from containerd_aio.stdio.console import Console

async def main():
    async def resize(width, height):
        resized.set()

    resized = asyncio.Event()
    console = Console(0, 0)
    console.on_resize(resize)
    console.enter()
    await resized.wait()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
signal.raise_signal(signal.SIGWINCH)
print("goes on", flush=True)
"""


def test_a_window_that_changes_when_the_event_loop_is_closed_disturbs_nobody(
    terminal: tuple[int, int],
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOOP_IS_CLOSED],
        stdin=terminal[1],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ended.stdout == b"goes on\n", ended.stderr


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
