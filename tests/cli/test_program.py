"""How a command ends: its code, and what it says."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from containerd_aio.cli.program import NOT_RUN, exit_code, finish
from containerd_aio.errors import InvalidArgumentError, NotFoundError, StartFailedError


async def _returns() -> int:
    return 7


async def _is_done() -> None:
    pass


async def _fails() -> int:
    error = NotFoundError("there is no such thing; make one")
    error.add_note("and something could not be removed")
    raise error


async def _fails_in_a_group() -> int:
    async with anyio.create_task_group() as group:
        group.start_soon(_fails)
    return 0


async def _meets_a_full_disk() -> int:
    raise OSError(28, "No space left on device")


async def _opens_what_is_not_there() -> int:
    raise FileNotFoundError(2, "No such file or directory", "/no/such")


async def _has_too_much_open() -> int:
    raise OSError(24, "Too many open files")


async def _is_not_read() -> int:
    print("x" * 1_000_000)
    raise BrokenPipeError


NOTED = (
    "containerd-aio: there is no such thing; make one\ncontainerd-aio: and something could not be removed\n"
)


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        pytest.param(_returns, 7, "", id="a code"),
        pytest.param(_is_done, 0, "", id="none"),
        pytest.param(_fails, 1, NOTED, id="an error"),
        pytest.param(_fails_in_a_group, 1, NOTED, id="an error in a task group"),
        pytest.param(
            _meets_a_full_disk,
            1,
            "containerd-aio: cannot write the output: No space left on device\n",
            id="a full disk",
        ),
        pytest.param(
            _opens_what_is_not_there,
            1,
            "containerd-aio: '/no/such': No such file or directory\n",
            id="a file",
        ),
        pytest.param(_has_too_much_open, 1, "containerd-aio: Too many open files\n", id="the system's"),
    ],
)
def test_a_command_ends_with_its_code_and_tells_errors_in_a_line(
    work: Callable[[], Coroutine[Any, Any, int | None]],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        finish(work())
    assert ended.value.code == code
    assert capsys.readouterr().err == said


def test_where_a_process_has_codes_ours_is_another() -> None:
    with pytest.raises(SystemExit) as ended:
        finish(_fails(), failed=NOT_RUN)
    assert ended.value.code == 125


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param('exec: "/no": stat /no: no such file or directory', 127, id="no such file"),
        pytest.param('exec: "no": executable file not found in $PATH', 127, id="not in PATH"),
        pytest.param("executable file `no` not found in $PATH: No such file or directory", 127, id="crun"),
        pytest.param('exec: "/etc/passwd": permission denied', 126, id="not executable"),
        pytest.param('exec: "/etc": is a directory', 126, id="a directory"),
        pytest.param("exec /bin/arm: exec format error", 126, id="another machine's"),
        pytest.param(
            'error mounting "/no" to rootfs at "/x": mount /no:/x: no such file or directory',
            125,
            id="a mount",
        ),
        pytest.param("the shim is gone", 125, id="something else"),
    ],
)
def test_what_the_runtime_says_of_the_program_gives_docker_s_code(error: str, code: int) -> None:
    said = (
        f"failed to create shim task: OCI runtime create failed: unable to start container process: {error}"
    )
    assert exit_code(StartFailedError(said), NOT_RUN) == code
    assert exit_code(InvalidArgumentError(error), NOT_RUN) == NOT_RUN


def test_closed_streams_are_none_of_its_business() -> None:
    """Their numbers would be given to what is opened next."""
    program = """
import os, sys
from containerd_aio.cli.program import finish
async def work():
    print("nobody reads this")
    return 7 if all(os.fstat(n).st_rdev == os.stat(os.devnull).st_rdev for n in range(3)) else 8
finish(work())
"""
    script = f"{shlex.join([sys.executable, '-c', program])} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], check=False).returncode == 7


def test_a_warning_of_the_library_is_told_as_ours() -> None:
    program = """
import logging
from containerd_aio.cli.program import finish
async def work():
    logging.getLogger("containerd_aio.exits").warning("lost the event stream")
finish(work())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "containerd-aio: lost the event stream\n")


BROKEN_PIPE = """
from tests.cli.test_program import _is_not_read
from containerd_aio.cli.program import finish
finish(_is_not_read())
"""
INTERRUPTED = """
import os, signal
from containerd_aio.cli.program import finish
async def work():
    raise KeyboardInterrupt
finish(work())
"""


@pytest.mark.parametrize(
    ("program", "code"),
    [pytest.param(BROKEN_PIPE, 141, id="no reader"), pytest.param(INTERRUPTED, 130, id="Ctrl-C")],
)
def test_some_ends_need_no_words(program: str, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody_reads:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=nobody_reads, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (code, b"")


LEAVES_SOMETHING_BEHIND = """
import os
from signal import SIGTERM
import anyio
from containerd_aio._transport.completion import cleaned_up
from containerd_aio.cli.output import until_closed
from containerd_aio.cli.program import SIGPIPE_CODE, finish

class Container:
    async def __aenter__(self):
        return self
    async def __aexit__(self, kind, error, traceback):
        await cleaned_up(self.remove, error, "container 'web' could not be removed")
    async def remove(self):
        raise OSError("the daemon is gone")

async def work():
    with until_closed(1):
        async with Container():
            {end}
            await anyio.sleep_forever()
    return SIGPIPE_CODE
finish(work())
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        pytest.param("os.kill(os.getpid(), SIGTERM)", 143, id="a signal"),
        pytest.param("pass", 141, id="no reader"),
        pytest.param("raise BrokenPipeError", 141, id="no reader, found by writing"),
    ],
)
def test_what_was_left_behind_is_told_however_it_ends(end: str, code: int) -> None:
    reading, writing = os.pipe()
    if code == 141:
        os.close(reading)
    with os.fdopen(writing, "wb") as output:
        program = LEAVES_SOMETHING_BEHIND.format(end=end)
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=output, stderr=subprocess.PIPE, check=False
        )
    if code != 141:
        os.close(reading)
    said = b"containerd-aio: container 'web' could not be removed: the daemon is gone\n"
    assert (done.returncode, done.stderr) == (code, said)


BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
PRINTS = """
from containerd_aio.cli.program import finish
async def work():
    print("one line")
finish(work())
"""
COMPLAINS = """
from tests.cli.test_program import _fails
from containerd_aio.cli.program import finish
finish(_fails())
"""


FULL = "containerd-aio: cannot write the output: No space left on device\n"


def onto_a_full_disk(*argv: str, env: dict[str, str] = BUFFERED) -> tuple[int, str]:
    """The code of a program of ours that cannot write its output, and what it says."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *argv], stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False
        )
    return done.returncode, done.stderr


def test_a_full_disk_is_told_once() -> None:
    """What Python has not written, it would try again at the end, complain, and end with 120."""
    assert onto_a_full_disk("-c", PRINTS) == (1, FULL)


def test_where_complaints_cannot_be_written_the_code_tells() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", COMPLAINS], stderr=full, env=BUFFERED, check=False)
    assert done.returncode == 1


@pytest.mark.parametrize("asked", ["--help", "--version"])
@pytest.mark.parametrize("env", [BUFFERED, {**BUFFERED, "PYTHONUNBUFFERED": "1"}], ids=["buffered", "not"])
def test_help_that_cannot_be_shown_ends_in_a_line(asked: str, env: dict[str, str]) -> None:
    assert onto_a_full_disk("-m", "containerd_aio", asked, env=env) == (1, FULL)
