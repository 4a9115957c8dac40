"""A checkpoint of a task's memory in a directory of containerd's host, and nothing else: CRIU's images as files."""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial

from containerd_aio._checkpoint.living import (
    LIVING,
    LivingTask,
    check_frozen,
    check_living,
    end_frozen,
    ended_by_criu,
)
from containerd_aio._checkpoint.memory import call_criu
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from containerd_aio.types import CheckpointOptions, ProcessState


async def checkpoint_to_directory(
    session: Session,
    container_id: str,
    task: LivingTask,
    path: str | os.PathLike[str],
    options: CheckpointOptions,
) -> None:
    """Have CRIU write its images to a directory, which must be empty, or absent in one that is there.

    If this fails or is cancelled, the directory is as it was, unless the task has ended, or may have, by
    ``options.exit``; that of another host may have files in it.

    :raises InvalidArgumentError: if the path is not absolute, or cannot be a directory
    :raises AlreadyExistsError: if there is something in the directory
    :raises FailedPreconditionError: if the task does not run
    :raises CheckpointFailedError: if CRIU could not do it
    """
    name = os.fspath(path)
    if not os.path.isabs(name):
        raise InvalidArgumentError(f"the path is one of containerd's host, so it must be absolute: {name!r}")
    await check_living(container_id, task)
    by_criu = ended_by_criu(options)
    killed = False

    def ending(may_have_ended: bool) -> None:
        nonlocal killed
        killed = may_have_ended

    async def write() -> None:
        wanted = replace(options, exit=by_criu)
        await call_criu(session, container_id, wanted, status=task.status, image_path=name)
        if options.exit and not by_criu:
            await check_frozen(container_id, task)
            await completed(partial(end_frozen, task, ending))

    async def undo(error: BaseException) -> None:
        if killed:  # also if it lives: a kill that was not answered may come late
            error.add_note(f"task '{container_id}' may have ended, so its memory stays in {name}")
        elif not await _lives(task) and by_criu:
            error.add_note(f"task '{container_id}' has ended; its memory stays in {name}")
        else:
            _empty(name, remove=made)

    made = session.fifo_dir is not None and _make(name)
    try:
        # Files that it changed after its memory was written would not fit.
        async with task.paused() if options.exit and not by_criu else nullcontext():
            await completed(write)
    except BaseException as error:
        if session.fifo_dir is not None:
            await cleaned_up(partial(undo, error), error, f"{name} could not be emptied")
        raise


async def _lives(task: LivingTask) -> bool:
    """Tell whether a task lives; waits for a CRIU that was given up and still writes."""
    state = ProcessState.UNKNOWN
    with suppress(NotFoundError):
        while state is ProcessState.UNKNOWN:
            state = (await task.status()).state
    return state in LIVING


def _make(name: str) -> bool:
    """Make the directory; tell whether it was absent."""
    try:
        os.mkdir(name, 0o700)  # it holds the memory of the processes
    except FileExistsError:
        pass
    except OSError as error:
        raise InvalidArgumentError(f"cannot make the directory {name!r}: {error}") from error
    else:
        return True
    try:
        found = os.listdir(name)
    except OSError as error:
        raise InvalidArgumentError(f"cannot use the directory {name!r}: {error}") from error
    if found:
        raise AlreadyExistsError(f"the directory {name!r} is not empty: CRIU would mix its files with others")
    return False


def _empty(name: str, *, remove: bool) -> None:
    for entry in os.scandir(name):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    if remove:
        os.rmdir(name)
