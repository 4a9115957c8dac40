"""A session at a terminal, as a person sees it: a program on a pty that shows a container's shell."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from containerd_aio import Client, Container, Image
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.terminals import Terminal, tell

pytestmark = pytest.mark.integration

SHELL = ["sh", "-c", "PS1='in> ' exec sh -i"]
PROMPT = b"in> "

SESSION = """
container = await client.load_container("session")
async with await container.new_task(stdio=inherit(terminal=True)) as task:
    exited = task.wait()
    await task.start()
    {then}
"""
TO_THE_END = SESSION.format(
    then="""
    status = await exited
    await task.delete()
    print("code", status.code, flush=True)
"""
)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
async def container(client: Client, image: Image) -> AsyncIterator[Container]:
    async with await client.new_container("session", image=image, args=SHELL) as container:
        yield container


@pytest.fixture
def where(daemon: PrivateDaemon, namespace: str, fifo_dir: Path) -> tuple[str, ...]:
    return daemon.address, namespace, os.fspath(fifo_dir)


async def test_a_person_types_resizes_presses_ctrl_c_and_leaves(
    terminal: Terminal, container: Container, where: tuple[str, ...]
) -> None:
    before = terminal.settings()
    with terminal.program(TO_THE_END, *where) as program:
        await terminal.shows(PROMPT)
        assert terminal.is_raw
        await terminal.types(b"echo $((40 + 2))\r")
        echo = await terminal.shows(b"42\r\n")
        assert echo.count(b"echo $((40 + 2))\r\n") == 1, "the echo is the container's"
        await terminal.shows(PROMPT)

        await terminal.types(b"stty size\r")
        await terminal.shows(b"\r\n24 80\r\n")
        terminal.resize(132, 50)
        await terminal.types(b"until stty size | grep '50 132'; do usleep 1000; done\r")
        await terminal.shows(b"\r\n50 132\r\n")

        await terminal.types(b"echo; sleep 3600\r")
        await terminal.shows(b"\r\n\r\n")
        await terminal.types(b"\x03")
        await terminal.shows(b"^C")
        await terminal.shows(PROMPT)
        await terminal.types(b"echo code $?\r")
        await terminal.shows(b"code 130\r\n")
        assert program.poll() is None, "Ctrl-C was the container's"

        await terminal.types(b"exit 5\r")
        await terminal.shows(b"code 5\r\n")
        assert await terminal.ends(program) == 0
    assert terminal.settings() == before
