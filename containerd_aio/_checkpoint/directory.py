"""A checkpoint of a task's memory in a directory of containerd's host, and nothing else: CRIU's images as files."""

from __future__ import annotations

import os
import shutil
from functools import partial

from containerd_aio._checkpoint.memory import call_criu
from containerd_aio._checkpoint.taking import LivingTask, check_living
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError
from containerd_aio.types import CheckpointOptions


async def checkpoint_to_directory(
    session: Session,
    container_id: str,
    task: LivingTask,
    path: str | os.PathLike[str],
    options: CheckpointOptions,
) -> None:
    """Have CRIU write its images to a directory, which must be empty, or absent in one that is there.

    If this fails or is cancelled, the directory is as it was, unless the task has ended by ``options.exit``; that of
    another host may have files in it.

    :raises InvalidArgumentError: if the path is not absolute, or cannot be a directory
    :raises AlreadyExistsError: if there is something in the directory
    :raises FailedPreconditionError: if the task does not run
    :raises CheckpointFailedError: if CRIU could not do it
    """
    name = os.fspath(path)
    if not os.path.isabs(name):
        raise InvalidArgumentError(f"the path is one of containerd's host, so it must be absolute: {name!r}")
    await check_living(container_id, task)
    written = False

    async def write() -> None:
        nonlocal written
        await call_criu(session, container_id, options, status=task.status, image_path=name)
        written = True

    if session.fifo_dir is None:
        await completed(write)
        return
    made = _make(name)
    try:
        await completed(write)
    except BaseException as error:
        if not (written and options.exit):  # else it is all that is left of the task
            await cleaned_up(partial(_empty, name, remove=made), error, f"{name} could not be emptied")
        raise


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


async def _empty(name: str, *, remove: bool) -> None:
    for entry in os.scandir(name):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    if remove:
        os.rmdir(name)
