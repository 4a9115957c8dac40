"""A session at a terminal, as a person sees it: a program on a pty that shows a container's shell."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import AsyncIterator, Iterator

import pytest

from containerd_aio import Container, NotFoundError, ProcessState
from tests.integration.conftest import Shared
from tests.integration.terminals import ASLEEP, CTRL_C, FALL_ASLEEP, Terminal, tell, until_size

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
async def container(shared: Shared) -> AsyncIterator[Container]:
    async with await shared.client.new_container("session", image=shared.image, args=SHELL) as container:
        yield container


@pytest.fixture
def where(shared: Shared) -> tuple[str, ...]:
    return shared.client.address, shared.client.namespace, shared.fifo_dir


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
        await terminal.shows(PROMPT)
        terminal.resize(132, 50)
        await terminal.types(until_size(b"50 132"))
        await terminal.shows(b"\r\n50 132\r\n")
        await terminal.shows(PROMPT)

        await terminal.types(FALL_ASLEEP)
        await terminal.shows(ASLEEP)
        await terminal.types(CTRL_C)
        await terminal.shows(PROMPT)
        await terminal.types(b"echo code $?\r")
        await terminal.shows(b"code 130\r\n")
        assert program.poll() is None, "Ctrl-C was the container's"

        await terminal.types(b"exit 5\r")
        await terminal.shows(b"code 5\r\n")
        assert await terminal.ends(program) == 0
    assert terminal.settings() == before


ENDINGS = {
    "an exception": ("raise RuntimeError('a bug of the user')", None, 1),
    "sys.exit": ("sys.exit(3)", None, 3),
    "a cancelled task": ("asyncio.current_task().cancel(); await anyio.sleep_forever()", None, 1),
    "a timeout": ("await asyncio.wait_for(anyio.sleep_forever(), 0.01)", None, 1),
    "os.kill with SIGINT": ("await exited", signal.SIGINT, None),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_however_the_program_ends_the_task_is_removed_and_the_terminal_as_before(
    terminal: Terminal, container: Container, where: tuple[str, ...], how: str
) -> None:
    then, number, code = ENDINGS[how]
    before = terminal.settings()
    body = SESSION.format(then=f"await told.wait(); {then}" if number is None else then)
    with terminal.program(body, *where) as program:
        await terminal.shows(PROMPT)
        assert terminal.is_raw
        if number is None:
            tell(program)
        else:
            program.send_signal(number)
        ended = await terminal.ends(program)
        assert ended == code if code is not None else ended != 0
    assert terminal.settings() == before
    with pytest.raises(NotFoundError):
        await container.task()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_that_ends_the_program_without_a_word_leaves_the_terminal_as_before(
    terminal: Terminal, container: Container, where: tuple[str, ...], number: signal.Signals
) -> None:
    """Its default is kept: the program is not cleaned up, and the container runs on."""
    before = terminal.settings()
    with terminal.program(TO_THE_END, *where) as program:
        await terminal.shows(PROMPT)
        assert terminal.is_raw
        program.send_signal(number)
        assert await terminal.ends(program) == -number
    assert terminal.settings() == before
    async with await container.task() as task:
        assert (await task.status()).state is ProcessState.RUNNING


async def test_a_program_that_is_stopped_gives_the_terminal_back_and_continued_takes_it_again(
    terminal: Terminal, container: Container, where: tuple[str, ...]
) -> None:
    before = terminal.settings()
    with terminal.program(TO_THE_END, *where, job=True) as shell:
        await terminal.shows(PROMPT)
        os.kill(terminal.foreground, signal.SIGTSTP)
        await terminal.shows(b"stopped\r\n")
        assert terminal.settings() == before
        shell.send_signal(signal.SIGUSR1)  # fg
        await terminal.shows(b"continued")
        await terminal.types(b"exit 7\r")
        await terminal.shows(b"code 7\r\n")
        assert await terminal.ends(shell) == 0
    assert terminal.settings() == before


async def test_a_start_that_fails_never_touches_the_terminal(
    terminal: Terminal, shared: Shared, where: tuple[str, ...]
) -> None:
    before = terminal.settings()
    async with await shared.client.new_container("session", image=shared.image, args=["/no/such/program"]):
        with terminal.program(TO_THE_END, *where) as program:
            assert await terminal.ends(program) == 1
            assert b"StartFailedError" in terminal.screen
    assert terminal.settings() == before


CRASH = """
container = await client.load_container("session")
task = await container.new_task(stdio=inherit(terminal=True))
await task.start()
await told.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""
DETACHED = """
container = await client.load_container("session")
task = await container.new_task(stdio=inherit(terminal=True, detach_keys="ctrl-p,ctrl-q"))
await task.start()
await task.stdio.detached.wait()
print("detached", flush=True)
await task.stdio.aclose(unlink=False)
"""
AGAIN = """
container = await client.load_container("session")
async with await container.task(stdio=inherit(detach_keys="ctrl-p,ctrl-q")) as task:
    exited = task.wait()
    detached = asyncio.ensure_future(task.stdio.detached.wait())
    await asyncio.wait([exited, detached], return_when=asyncio.FIRST_COMPLETED)
    detached.cancel()
    if exited.done():
        await task.delete()
        print("code", exited.result().code, flush=True)
    else:
        print("detached", flush=True)
"""


async def test_the_same_shell_goes_on_when_the_client_was_killed_and_is_started_again(
    terminal: Terminal, container: Container, where: tuple[str, ...]
) -> None:
    before = terminal.settings()
    with terminal.program(CRASH, *where) as program:
        await terminal.shows(PROMPT)
        await terminal.types(b"kept=here\r")
        await terminal.shows(PROMPT)
        tell(program)
        assert await terminal.ends(program) == -signal.SIGKILL
    assert terminal.is_raw, "nothing helps against SIGKILL"
    termios.tcsetattr(terminal.descriptor, termios.TCSANOW, before)  # the person's `stty sane`

    terminal.resize(100, 30)
    with terminal.program(AGAIN, *where) as program:
        await terminal.types(b"echo still $kept\r")
        await terminal.shows(b"still here\r\n")
        await terminal.shows(PROMPT)
        assert terminal.is_raw
        await terminal.types(until_size(b"30 100"))
        await terminal.shows(b"\r\n30 100\r\n")
        await terminal.shows(PROMPT)
        await terminal.types(b"exit 9\r")
        await terminal.shows(b"code 9\r\n")
        assert await terminal.ends(program) == 0
    assert terminal.settings() == before


async def test_the_keys_to_detach_leave_the_shell_running_for_whoever_attaches_next(
    terminal: Terminal, container: Container, where: tuple[str, ...]
) -> None:
    before = terminal.settings()
    with terminal.program(DETACHED, *where) as program:
        await terminal.shows(PROMPT)
        await terminal.types(b"kept=here\r")
        await terminal.shows(PROMPT)
        await terminal.types(b"\x10\x11")
        await terminal.shows(b"detached\r\n")
        assert terminal.settings() == before
        assert await terminal.ends(program) == 0
    with terminal.program(AGAIN, *where) as program:
        await terminal.types(b"echo still $kept\r")
        await terminal.shows(b"\r\nstill here\r\n")
        await terminal.types(b"\x10")
        await terminal.types(b"\x11")
        await terminal.shows(b"detached\r\n")
        assert await terminal.ends(program) == 0
    assert terminal.settings() == before
    async with await container.task() as task:
        await task.delete(kill=True)
