"""``containerd-aio ps``: the tasks of a namespace, and the containers without one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from containerd_aio.cli.columns import age, columns
from containerd_aio.client import Client
from containerd_aio.events import rfc3339
from containerd_aio.types import ContainerInfo, ProcessRecord

_HEAD: Final = ("CONTAINER", "IMAGE", "PID", "STATE", "AGE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A container and its task. ``state`` and ``pid`` are ``None`` where it has no task; ``image`` and
    ``created_at_ns``, when the container was made, where containerd does not tell."""

    id: str
    image: str | None
    pid: int | None
    state: str | None
    exit_code: int | None
    created_at_ns: int | None

    def shown(self, now_ns: int) -> list[str]:
        """Return what stands in the columns."""
        state = self.state or "no task"
        if self.exit_code is not None:
            state = f"{state} ({self.exit_code})"
        return [self.id, self.image or "-", str(self.pid or "-"), state, age(self.created_at_ns, now_ns)]

    def as_json(self) -> str:
        """Return all of it as one JSON object."""
        created = None if self.created_at_ns is None else rfc3339(self.created_at_ns)
        return json.dumps(
            {
                "id": self.id,
                "image": self.image,
                "pid": self.pid,
                "state": self.state,
                "exit_code": self.exit_code,
                "created_at": created,
            },
            separators=(",", ":"),
        )


def rows(
    tasks: Sequence[ProcessRecord], containers: Sequence[ContainerInfo], *, without_task: bool
) -> list[Row]:
    """Return a row for each task, and ``without_task`` for each other container, the youngest first.

    A task whose container somebody has deleted is shown too.
    """
    infos = {info.id: info for info in containers}
    found = [_row(task.container_id, infos.get(task.container_id), task) for task in tasks]
    if without_task:
        with_task = {task.container_id for task in tasks}
        found += [_row(info.id, info, None) for info in containers if info.id not in with_task]
    return sorted(found, key=lambda row: (-(row.created_at_ns or 0), row.id))


async def show_tasks(
    *, address: str | None, namespace: str | None, all: bool, quiet: bool, as_json: bool
) -> None:
    """Print the tasks: in columns, as JSON objects, or ``quiet``, their ids only."""
    async with Client(address, namespace=namespace) as client:
        # The tasks first: one that is made in between is not shown, rather than without its container.
        tasks = await client.tasks.list()
        found = rows(tasks, await client.containers.list(), without_task=all)
    if quiet:
        lines = [row.id for row in found]
    elif as_json:
        lines = [row.as_json() for row in found]
    else:
        now = time.time_ns()
        sys.stdout.write(columns(_HEAD, [row.shown(now) for row in found]))
        return
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _row(id: str, info: ContainerInfo | None, task: ProcessRecord | None) -> Row:
    ended = task.status.exit_status if task is not None else None
    return Row(
        id=id,
        image=info.image if info is not None else None,
        pid=task.pid or None if task is not None else None,
        state=task.status.state if task is not None else None,
        exit_code=ended.code if ended is not None else None,
        created_at_ns=info.created_at_ns if info is not None else None,
    )
