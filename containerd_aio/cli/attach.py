"""``containerd-aio attach``: the streams of a process that runs, until it ends or somebody lets go."""

from __future__ import annotations

import os
import sys
from typing import Final

from containerd_aio.cli.foreground import tell_if_cut_off, until_ended
from containerd_aio.cli.lookup import container_named, task_of
from containerd_aio.cli.output import until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.process import Process
from containerd_aio.stdio import Stdio, inherit
from containerd_aio.stdio.logs import log_file_path
from containerd_aio.task import Task
from containerd_aio.types import ProcessState

_LAST_OUTPUT_SECONDS: Final = 2.0
"""How long the shim may take to hand over what an ended process wrote."""


async def attach_to(
    container_id: str,
    exec_id: str | None,
    *,
    address: str | None,
    namespace: str | None,
    stdin: bool,
    detach_keys: str,
) -> int:
    """Connect our own streams with those of a process; return its code when it has ended, or 0 when let go.

    Whatever ends this, the process goes on.
    """
    stdio = inherit(stdin=stdin, detach_keys=detach_keys)
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            container = await container_named(client, container_id)
            async with await _process(container, exec_id, stdio) as process:
                exited = process.wait()
                if not await until_ended(exited, process.stdio.detached):
                    return 0
                await process.stdio.drain(_LAST_OUTPUT_SECONDS)
                tell_if_cut_off(process)
                return exited.result().code
    return SIGPIPE_CODE


async def _process(container: Container, exec_id: str | None, stdio: Stdio) -> Process:
    task = await task_of(container)
    process = task if exec_id is None else await _exec_of(task, exec_id)
    status = await process.status()
    if status.state is ProcessState.STOPPED:
        raise FailedPreconditionError(
            f"{process.name} has {status.exit_status}: nothing is left to attach to"
        )
    _check_streams(process)
    await process.stdio.aclose(unlink=False)
    return await (container.task(stdio) if exec_id is None else task.load_process(exec_id, stdio=stdio))


async def _exec_of(task: Task, exec_id: str) -> Process:
    try:
        return await task.load_process(exec_id)
    except NotFoundError as error:
        raise error.reworded(f"{task.name} has no exec '{exec_id}'") from error


def _check_streams(process: Process) -> None:
    """Refuse to wait in silence for an output that goes elsewhere.

    :raises FailedPreconditionError: if there is nothing to connect with
    """
    opened = process.stdio
    if not {opened.stdin_path, opened.stdout_path, opened.stderr_path} - {"", os.devnull}:
        raise FailedPreconditionError(
            f"{process.name} is connected with nothing: there is nothing to attach to"
        )
    path = log_file_path(opened.stdout_path)
    if path is not None and opened.stdin_path in ("", os.devnull):
        raise FailedPreconditionError(f"{process.name} writes to the log file {path!r}: `logs -f` shows it")
