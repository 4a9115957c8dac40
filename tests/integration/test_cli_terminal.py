"""The command line at a terminal: what a person types there, and sees."""

from __future__ import annotations

import signal
import termios
from collections.abc import AsyncIterator, Iterator

import anyio
import pyte
import pytest

from containerd_aio import Client, Image, where
from containerd_aio.cli.rm import remove
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.terminals import ASLEEP, CTRL_C, FALL_ASLEEP, Terminal, until_size

pytestmark = pytest.mark.integration

PROMPT = b"/ # "


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal that is as before when the test is over."""
    terminal = Terminal()
    before = terminal.settings()
    yield terminal
    after = terminal.settings()
    terminal.close()
    assert after == before


@pytest.fixture
async def env(daemon: PrivateDaemon, namespace: str, client: Client) -> AsyncIterator[dict[str, str]]:
    """Where the commands work; no container is left there."""
    yield {
        "CONTAINERD_ADDRESS": daemon.address,
        "CONTAINERD_NAMESPACE": namespace,
        "TERM": "xterm",
        "PYTHONWARNINGS": "error",
    }
    assert await client.list_containers() == []


def seen(terminal: Terminal) -> list[str]:
    """The lines that a person sees now."""
    rows, columns = termios.tcgetwinsize(terminal.descriptor)
    screen = pyte.Screen(columns, rows)
    pyte.ByteStream(screen).feed(terminal.screen)
    return [line.rstrip() for line in screen.display if line.strip()]


async def removed(id: str, env: dict[str, str]) -> None:
    where = {"address": env["CONTAINERD_ADDRESS"], "namespace": env["CONTAINERD_NAMESPACE"]}
    assert await remove([id], **where, force=True) == 0


async def test_a_session_is_typed_into_resized_interrupted_and_left(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    with terminal.command("run", "-t", "-i", image.name, "sh", env=env) as command:
        await terminal.shows(PROMPT)
        assert terminal.is_raw
        await terminal.types(b"echo $((40 + 2)) $TERM\r")
        await terminal.shows(b"42 xterm\r\n")
        await terminal.shows(PROMPT)
        await terminal.types(b"stty size\r")
        await terminal.shows(b"\n24 80\r\n")
        await terminal.shows(PROMPT)
        terminal.resize(100, 30)
        await terminal.types(until_size(b"30 100"))
        await terminal.shows(b"\n30 100\r\n")
        await terminal.shows(PROMPT)

        await terminal.types(b"clear; " + FALL_ASLEEP)
        await terminal.shows(ASLEEP)
        await terminal.types(CTRL_C)
        await terminal.shows(PROMPT)
        assert command.poll() is None, "Ctrl-C was the container's"
        await terminal.types(b"echo code $?\r")
        await terminal.shows(b"code 130\r\n" + PROMPT)
        lines = seen(terminal)
        assert lines[0] == "asleep 42", "what was above is cleared"
        assert lines[-3:] == ["/ # echo code $?", "code 130", "/ #"]
        await terminal.types(b"exit 7\r")
        assert await terminal.ends(command) == 7


async def test_the_shell_goes_on_when_its_client_is_killed_and_somebody_attaches(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    before = terminal.settings()
    with terminal.command("run", "-t", "-i", "--id", "session", image.name, "sh", env=env) as command:
        await terminal.shows(PROMPT)
        await terminal.types(b"kept=here\r")
        await terminal.shows(PROMPT)
        command.kill()
        assert await terminal.ends(command) == -signal.SIGKILL
    termios.tcsetattr(terminal.descriptor, termios.TCSANOW, before)  # the person's `stty sane`

    with terminal.command("attach", "session", env=env) as command:
        await terminal.types(b"echo still $kept\r")
        await terminal.shows(b"still here\r\n")
        await terminal.shows(PROMPT)
        await terminal.types(b"exit 9\r")
        assert await terminal.ends(command) == 9
    await removed("session", env)


async def test_a_session_can_be_left_and_attached_to_again(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    with terminal.command("run", "-d", "-t", "-i", "--id", "session", image.name, "sh", env=env) as command:
        await terminal.shows(b"session\r\n")
        assert await terminal.ends(command) == 0
    with terminal.command("attach", "session", env=env) as command:
        await terminal.shows(PROMPT)
        await terminal.types(b"echo $((40 + 2))\r")
        await terminal.shows(b"\n42\r\n")
        await terminal.shows(PROMPT)
        await terminal.types(b"\x10\x11")
        assert await terminal.ends(command) == 0
    with terminal.command("exec", "-t", "-i", "session", "sh", env=env) as command:
        await terminal.shows(PROMPT)
        await terminal.types(b"exit 3\r")
        assert await terminal.ends(command) == 3
    await removed("session", env)


async def test_the_keys_to_detach_leave_the_session_that_run_began(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    before = terminal.settings()
    with terminal.command("run", "-t", "-i", "--id", "session", image.name, "sh", env=env) as command:
        await terminal.shows(PROMPT)
        await terminal.types(b"kept=here\r")
        await terminal.shows(PROMPT)
        await terminal.types(b"\x10\x11")
        await terminal.shows(b"`attach session` takes it up again\r\n")
        assert await terminal.ends(command) == 0
    assert terminal.settings() == before
    with terminal.command("attach", "session", env=env) as command:
        await terminal.types(b"echo still $kept\r")
        await terminal.shows(b"still here\r\n")
        await terminal.shows(PROMPT)
        await terminal.types(b"exit 9\r")
        assert await terminal.ends(command) == 9
    await removed("session", env)


@pytest.mark.parametrize("topic", ["/containers/create", "/tasks/create", "/tasks/start"])
async def test_ctrl_c_at_any_moment_leaves_neither_a_container_nor_a_raw_terminal(
    terminal: Terminal, client: Client, image: Image, env: dict[str, str], topic: str
) -> None:
    """Typed when the terminal is raw, it is the container's: then the shell is left by what is typed next."""
    async with client.events.subscribe(where(topic=topic)) as events:
        with terminal.command("run", "-t", "-i", image.name, "sh", env=env) as command:
            with anyio.fail_after(20):
                await anext(aiter(events))
            await terminal.types(CTRL_C + b"exit 130\n")
            assert await terminal.ends(command) == 130


async def test_a_signal_for_the_client_ends_the_session(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    """As when the window is closed."""
    with terminal.command("run", "-t", "-i", image.name, "sh", env=env) as command:
        await terminal.shows(PROMPT)
        command.send_signal(signal.SIGHUP)
        assert await terminal.ends(command) == 128 + signal.SIGHUP


async def test_a_terminal_that_is_not_typed_into_leaves_ctrl_c_to_the_client(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    """The first one is handed on, and unheeded: an init without a handler ignores it. Then a way out is shown."""
    with terminal.command("run", "-t", image.name, "sh", "-c", "stty size; sleep 100", env=env) as command:
        await terminal.shows(b"24 80\r")  # from the first moment
        assert not terminal.is_raw
        await terminal.types(CTRL_C)
        await terminal.shows(b"Ctrl-C again kills it\r\n")
        await terminal.types(CTRL_C)
        assert await terminal.ends(command) == 130


async def test_lines_are_typed_into_a_process_without_a_terminal_until_ctrl_d(
    terminal: Terminal, image: Image, env: dict[str, str]
) -> None:
    with terminal.command("run", "-i", image.name, "sh", "-c", "echo up; cat; exit 5", env=env) as command:
        await terminal.shows(b"up\r\n")
        assert not terminal.is_raw
        await terminal.types(b"one\n")
        await terminal.shows(b"one\r\none\r\n")  # as typed, and what cat makes of it
        await terminal.types(b"\x04")
        assert await terminal.ends(command) == 5


async def test_top_draws_a_table_until_ctrl_c(
    terminal: Terminal, client: Client, image: Image, env: dict[str, str]
) -> None:
    async with (
        await client.new_container(
            "busy", image=image, args=["sh", "-c", "while :; do :; done"]
        ) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with terminal.command("top", "--interval", "0.1", env=env) as command:
            await terminal.shows(b"busy")
            drawn = seen(terminal)
            assert drawn[0].split() == ["CONTAINER", "CPU", "%", "MEMORY", "LIMIT", "PIDS"]
            await terminal.shows(b"busy")
            while seen(terminal)[1].split()[1] in ("-", "0.0"):  # until it has got some time
                await terminal.shows(b"busy")
            await terminal.types(CTRL_C)
            assert await terminal.ends(command) == 130
    assert terminal.screen.endswith(b"\x1b[?25h\x1b[?1049l"), "the cursor and the screen are as before"
