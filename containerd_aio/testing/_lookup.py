"""Finding the process that a test speaks of: by the client's object, or by ids."""

from __future__ import annotations

from collections.abc import Iterator

from containerd_aio.process import Process
from containerd_aio.testing._process import FakeProcess
from containerd_aio.testing._task import FakeTask
from containerd_aio.testing._world import World
from containerd_aio.types import ProcessState


def find(
    world: World, process: Process | str, exec_id: str, namespace: str | None
) -> tuple[FakeTask, FakeProcess]:
    """Return a process, and its task. An object's pid tells it from others of its ids, once it has one.

    :raises LookupError: if there is none, or one in each of several namespaces
    """
    pid = 0
    if isinstance(process, Process):
        pid, container_id = process.pid, process.container_id
        exec_id = "" if process.id == container_id else process.id
    else:
        container_id = process
    found = [
        (task, each)
        for task in _tasks(world, container_id, namespace)
        for each in task.processes()
        if each.exec_id == exec_id and pid in (0, each.pid)
    ]
    what = f"container {container_id!r}" + (f" with an exec {exec_id!r}" if exec_id else "")
    if not found:
        raise LookupError(f"no process here is of {what}")
    if len(found) > 1:
        raise LookupError(f"several namespaces have a {what}: name one of them")
    return found[0]


def check_running(process: Process | str, exec_id: str, found: FakeProcess) -> None:
    """Refuse a process that does not run.

    :raises LookupError: with its state
    """
    if found.state not in (ProcessState.RUNNING, ProcessState.PAUSED):
        who = f"exec {exec_id!r} of {process!r}" if exec_id else repr(process)
        raise LookupError(f"{who} does not run: it is {found.state}")


def _tasks(world: World, container_id: str, namespace: str | None) -> Iterator[FakeTask]:
    for name, realm in world.realms.items():
        if namespace in (None, name) and container_id in realm.tasks:
            yield realm.tasks[container_id]
