"""``containerd-aio logs``: what a container has written to its log file, and what it writes.

Following takes no polling: inotify tells of what is written, the library of the end. What a process wrote last may
come after its end is told, for its shim copies the output. So the end of the log is where nobody has the file open
for writing any more; whoever wants a read lease on it learns that.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import math
import os
import signal
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
from asyncinotify import Inotify, Mask

from containerd_aio.cli.log_files import LOG_FILE_LABEL, default_log_file
from containerd_aio.cli.lookup import container_named
from containerd_aio.cli.output import Output, until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.stdio.logs import log_file_path
from containerd_aio.task import Task
from containerd_aio.types import ExitStatus

_CHUNK: Final = 64 * 1024
_WRITES: Final = Mask.MODIFY | Mask.CLOSE_WRITE
_LAST_OUTPUT_SECONDS: Final = 3.0


async def show_logs(
    container_id: str, *, address: str | None, namespace: str | None, follow: bool, tail: int | None
) -> int:
    """Print what a container has written, ``tail`` lines of it at most, and with ``follow`` go on to its end.

    :raises NotFoundError: if there is no log
    """
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            container = await container_named(client, container_id)
            path, task = await _log_of(client, container)
            with _opened(path) as descriptor:
                if tail is not None:
                    os.lseek(descriptor, start_of_last_lines(descriptor, tail), os.SEEK_SET)
                output = Output(sys.stdout.fileno())
                if follow and task is not None:
                    await copy_until_ended(path, descriptor, output, task.wait())
                else:
                    await copy(descriptor, output)
        return 0
    return SIGPIPE_CODE


def start_of_last_lines(descriptor: int, count: int) -> int:
    """Return where the last ``count`` lines of a file begin; what follows the last line's end is a line too."""
    end = position = os.fstat(descriptor).st_size
    found = 0
    while position > 0 and count > 0:
        begin = max(0, position - _CHUNK)
        block = os.pread(descriptor, position - begin, begin)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            if begin + at == end - 1:
                continue  # the end of the last line
            found += 1
            if found == count:
                return begin + at + 1
        position = begin
    return 0 if count > 0 else end


async def copy(descriptor: int, output: Output) -> None:
    """Print what there is from where the file stands up to its end of now; one that was cut shorter is begun anew."""
    size, position = os.fstat(descriptor).st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
    if size < position:
        position = os.lseek(descriptor, 0, os.SEEK_SET)
    while position < size and (chunk := os.read(descriptor, min(_CHUNK, size - position))):
        await output.write(chunk)
        position += len(chunk)


async def copy_until_ended(
    path: Path,
    descriptor: int,
    output: Output,
    exited: asyncio.Future[ExitStatus],
    *,
    patience: float = _LAST_OUTPUT_SECONDS,
) -> None:
    """Print what is written until the task has ended and its shim has written all of it.

    What is written later than ``patience`` seconds after the end is not waited for: another container may write to
    the same file for ever. Whoever reads what is printed may take any time.
    """
    changed = asyncio.Event()
    deadline = math.inf

    def noticed(_: object) -> None:
        nonlocal deadline
        deadline = anyio.current_time() + patience
        changed.set()

    with Inotify() as watch:
        watch.add_watch(os.fspath(path), _WRITES)  # pyright: ignore[reportUnknownMemberType] - a bare PathLike
        exited.add_done_callback(noticed)
        async with anyio.create_task_group() as group:
            group.start_soon(_notice, watch, changed)
            while True:
                changed.clear()
                late = anyio.current_time() >= deadline
                at_end = late or (exited.done() and not is_written(descriptor))
                await copy(descriptor, output)
                if at_end:
                    break
                with anyio.CancelScope(deadline=deadline):
                    await changed.wait()
            group.cancel_scope.cancel()
    exited.remove_done_callback(noticed)
    exited.cancel()  # where it is still open


def is_written(descriptor: int) -> bool:
    """Tell whether somebody has the file open for writing; also where the filesystem does not tell."""
    # Who opens it for writing at this very moment waits for the lease to go, and we are told by SIGIO.
    former = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    finally:
        signal.signal(signal.SIGIO, former)
    return False


async def _notice(watch: Inotify, changed: asyncio.Event) -> None:
    while True:
        await watch.get()
        changed.set()


async def _log_of(client: Client, container: Container) -> tuple[Path, Task | None]:
    """Return the log file of a container, and its task, where it has one."""
    ours = default_log_file(client.namespace, container.id)
    try:
        task = await container.task()
    except NotFoundError:
        named = (await container.labels()).get(LOG_FILE_LABEL)
        if named == str(ours):
            return ours, None
        hint = f"; its output may be in {named!r}" if named else ""
        raise NotFoundError(f"container '{container.id}' has no task, and no log here{hint}") from None
    reported = task.stdio.stdout_path
    path = log_file_path(reported)
    if path is None:
        kept = reported not in ("", os.devnull)
        where = f"goes to {reported!r}" if kept else "is not kept"
        raise NotFoundError(
            f"{task.name} has no log file: its output {where}; `run -d` keeps a log, `attach` shows what comes now"
        )
    return Path(path), task


@contextmanager
def _opened(path: Path) -> Generator[int]:
    """Open a log file for reading."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        wrong = NotFoundError if error.errno == errno.ENOENT else InvalidArgumentError
        raise wrong(f"cannot read the log file {str(path)!r}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidArgumentError(f"the log {str(path)!r} is no file")
        yield descriptor
    finally:
        os.close(descriptor)
