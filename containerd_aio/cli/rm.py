"""``containerd-aio rm``: containers, with what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from containerd_aio.cli.log_files import LOG_FILE_LABEL, default_log_file
from containerd_aio.cli.lookup import container_named, each
from containerd_aio.client import Client
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.task import Task
from containerd_aio.types import ProcessState

_REMOVABLE = (ProcessState.CREATED, ProcessState.STOPPED)


async def remove(names: Sequence[str], *, address: str | None, namespace: str | None, force: bool) -> int:
    """Remove containers with their tasks, files and logs; ``force`` kills what runs. Return 1 if any failed."""
    async with Client(address, namespace=namespace) as client:

        async def removed(name: str) -> str:
            container = await container_named(client, name)
            try:
                task = await container.task()
            except NotFoundError:
                pass
            else:
                await _remove_task(task, force=force)
            labels = await container.labels()
            await container.delete()
            _remove_log(labels, default_log_file(client.namespace, container.id))
            return name

        return await each(names, removed)


async def _remove_task(task: Task, *, force: bool) -> None:
    try:
        state = (await task.status()).state
        if state not in _REMOVABLE and not force:
            raise FailedPreconditionError(f"{task.name} is {state}: `stop` it first, or `rm -f`")
        await task.delete(kill=force)
    except NotFoundError:
        pass  # somebody else was quicker


def _remove_log(labels: Mapping[str, str], ours: Path) -> None:
    """Remove the log, if it lies at the place that is ours: another one is the user's, or somebody else's."""
    if labels.get(LOG_FILE_LABEL) == str(ours):
        ours.unlink(missing_ok=True)
