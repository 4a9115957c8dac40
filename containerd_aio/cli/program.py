"""Running a command to its end, and ending this program as its users expect: one line for an error, and a code.

The code is that of the process in the foreground, where there is one (``run``, ``exec``, ``attach``); then errors
of our own are 125, 126 and 127, as Docker has them, so that they can be told from the process's. For all other
commands an error is 1. A signal gives 128 and its number; a pipe that nobody reads any more 141, without a word.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from signal import SIGINT, SIGPIPE
from typing import Any, Final, NoReturn, TextIO, cast

from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.errors import ContainerdError, StartFailedError

FAILED: Final = 1
NOT_RUN: Final = 125
"""What commands end with that would else end with a process's code, where there is none."""
SIGPIPE_CODE: Final = 128 + SIGPIPE
"""What a shell shows for a program that went on writing when nobody read."""

_CANNOT_BE_RUN: Final = 126
_NOT_FOUND: Final = 127
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What goes wrong with an output; the error of a stream does not say of what it is."""

# What runc and crun say of the program itself, not of a mount, say: exec: "/bin/x": stat /bin/x: no such file …
_MISSING: Final = re.compile(
    r'exec: ".*": .*(no such file or directory|not found in \$PATH)|executable file .* not found', re.DOTALL
)
_FORBIDDEN: Final = re.compile(
    r'exec: ".*": .*(permission denied|is a directory|not a directory)|exec \S+: (exec format error|permission denied)',
    re.DOTALL,
)


def finish(
    work: Coroutine[Any, Any, int | None], *, failed: int = FAILED, signals: SignalsCaught | None = None
) -> NoReturn:
    """Run a command and leave this program with its code; an error of ours is told on stderr and gives ``failed``."""
    _open_missing_streams()
    logging.basicConfig(
        format="containerd-aio: %(message)s"
    )  # warnings: a connection is lost, and waited for
    try:
        code = asyncio.run(_ended(work, signals or SignalsCaught()))
        sys.stdout.flush()
    except KeyboardInterrupt:  # before the signal was caught, or after
        code = 128 + SIGINT
    except BrokenPipeError as error:
        tell_notes(error)
        _drop(sys.stdout)
        code = SIGPIPE_CODE
    except (ContainerdError, OSError) as error:
        complain(error)
        _drop(sys.stdout)
        code = exit_code(error, failed)
    finally:
        work.close()  # where it never began
    sys.exit(code)


@contextmanager
def output_checked() -> Generator[None]:
    """Run the block, which prints what it knows without a command: help, for instance. That this cannot be written
    ends the program as it does with a command."""
    _open_missing_streams()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        sys.exit(SIGPIPE_CODE)
    except OSError as error:
        complain(error)
        _drop(sys.stdout)
        sys.exit(FAILED)


def complain(error: Exception) -> None:
    """Tell on stderr what went wrong."""
    for line in (_words(error), *getattr(error, "__notes__", ())):
        tell(line)


def tell_notes(error: BaseException) -> None:
    """Tell, once, what was noted on an error that ends a command without a word: what could not be removed, say."""
    notes: list[str] = getattr(error, "__notes__", [])
    while notes:
        tell(notes.pop(0))


def tell(line: str) -> None:
    """Say something on stderr; that nobody reads it is no reason to fail."""
    try:
        print(f"containerd-aio: {line}", file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def exit_code(error: Exception, failed: int) -> int:
    """Return the code for an error: where the runtime says so, 127 for a missing program, 126 for one that cannot
    be run, as shells have it; else ``failed``."""
    if isinstance(error, StartFailedError):
        if _MISSING.search(str(error)):
            return _NOT_FOUND
        if _FORBIDDEN.search(str(error)):
            return _CANNOT_BE_RUN
    return failed


async def _ended(work: Coroutine[Any, Any, int | None], signals: SignalsCaught) -> int:
    code: int | None = 0
    with signals.ending():
        try:
            code = await work
        except BaseExceptionGroup as group:  # the wrapping of a task group that one task has failed in
            raise _first(group) from None
        except asyncio.CancelledError as error:
            tell_notes(error)
            raise
    if signals.ended_by is not None:
        return 128 + signals.ended_by
    return code or 0


def _words(error: Exception) -> str:
    """What an error says; of the system's, without its number."""
    if not isinstance(error, OSError) or not error.strerror:  # as ours that are an OSError too have none
        return str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)!r}: {error.strerror}"
    return f"cannot write the output: {error.strerror}" if error.errno in _FULL else error.strerror


def _open_missing_streams() -> None:
    """Have stdin, stdout and stderr be there where somebody has closed them (``>&-``): else the next thing that is
    opened, a connection perhaps, would take their numbers, and get what is printed."""
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def _drop(stream: TextIO) -> None:
    """Have what Python still holds of an output go nowhere, where it cannot be written: else Python would complain
    about it at the end, and end with a code of its own."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
