"""Which way leads to a container's files, now and from here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from containerd_aio._copying.exec_files import ExecFiles
from containerd_aio._copying.faults import Naming, in_container
from containerd_aio._copying.files import Files, place_of
from containerd_aio._copying.host_files import HostFiles
from containerd_aio._copying.index import opened_index
from containerd_aio._copying.landing import Names, look_into
from containerd_aio._copying.owners import owners_of_spec
from containerd_aio._copying.packing import Tree
from containerd_aio._copying.reach import UnreachableError, mounted_root, root_of_process
from containerd_aio._copying.snapshot import Snapshot
from containerd_aio._copying.snapshot_files import SnapshotFiles
from containerd_aio._copying.worker import Worker, working
from containerd_aio._process.spec import spec_of
from containerd_aio._session import Session
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.spec import Spec
from containerd_aio.spec.layered import LayeredDirectories
from containerd_aio.spec.layers import NotReadable
from containerd_aio.spec.resolution import Look
from containerd_aio.task import Task
from containerd_aio.types import ContainerInfo, Mount, ProcessState

LoadTask: TypeAlias = Callable[[], Awaitable[Task]]

_ALIVE: Final = frozenset(
    {ProcessState.CREATED, ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.PAUSING}
)


@dataclass(frozen=True, slots=True)
class Copied:
    """The container that is copied into or out of; ``load_task`` gives its task."""

    session: Session
    info: ContainerInfo
    load_task: LoadTask


@asynccontextmanager
async def opened_files(container: Copied) -> AsyncGenerator[Files]:
    """Open the files of a container for the length of the block.

    :raises FailedPreconditionError: if they cannot be reached from here; the message tells why
    :raises NotFoundError: if the container has no snapshot any more
    """
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(working())
        yield await _reached(container, worker, stack)


async def _reached(container: Copied, worker: Worker, stack: AsyncExitStack) -> Files:
    services, id = container.session.services, container.info.id
    mounts = await _mounts_of(container.session, container.info)
    pid = await _process_of(container.session, id)
    while True:
        snapshot = Snapshot(services, id, mounts, has_task=pid is not None)
        try:
            return await _opened_on_host(container, snapshot, worker, pid)
        except UnreachableError as error:
            reason = error
        now = await _process_of(container.session, id)
        if now == pid:
            return await stack.enter_async_context(
                _opened_by_daemon(container, snapshot, worker, pid, reason)
            )
        pid = now  # the task ended, or came, while its files were looked for


async def _opened_on_host(container: Copied, snapshot: Snapshot, worker: Worker, pid: int | None) -> Files:
    if container.session.fifo_dir is None:
        raise UnreachableError("containerd is on another host")
    return await worker.run(partial(_open_on_host, worker, snapshot, spec_of(container.info), pid or 0))


def _open_on_host(worker: Worker, snapshot: Snapshot, spec: Spec, pid: int) -> Files:
    """Open the files as files of this host.

    :raises UnreachableError: if they are none, or this process may not
    """
    named = in_container(snapshot.container_id)
    files = partial(HostFiles, snapshot.container_id, worker)
    if pid:
        root = root_of_process(worker.held, pid, snapshot.mounts)
        return files(Tree(root.directories, named, root.owners, root.pseudo), root.descriptor)
    owners = owners_of_spec(spec)
    mounted = mounted_root(worker.held, snapshot.mounts, writing=False)
    try:
        directories = (
            worker.held.enter_context(LayeredDirectories.of(snapshot.mounts))
            if mounted is None
            else LayeredDirectories([mounted])
        )
    except NotReadable as error:
        raise UnreachableError(str(error)) from error
    tree = Tree(directories, named, owners)
    return files(tree, snapshot, hidden=_hidden(spec, look_into(tree.directories), named))


@asynccontextmanager
async def _opened_by_daemon(
    container: Copied, snapshot: Snapshot, worker: Worker, pid: int | None, reason: UnreachableError
) -> AsyncGenerator[Files]:
    """Open files that this process cannot reach itself."""
    id = snapshot.container_id
    if pid:
        if container.session.fifo_dir is None:
            raise FailedPreconditionError(
                f"the files of container '{id}' cannot be reached while its task is there: {reason}; copy before the"
                " task is made, or after it was deleted"
            ) from reason
        yield ExecFiles(id, container.load_task, str(reason))
        return
    if snapshot.has_task:
        raise FailedPreconditionError(
            f"the files of container '{id}' cannot be reached while its task, which has ended, is there: {reason};"
            " delete the task first"
        ) from reason
    spec = spec_of(container.info)
    named = in_container(id)
    async with opened_index(snapshot) as index:
        yield SnapshotFiles(
            snapshot, worker, index, named, owners_of_spec(spec), hidden=_hidden(spec, index.look, named)
        )


def _hidden(spec: Spec, look: Look, named: Naming) -> frozenset[Names]:
    """Return where the container has something mounted that its snapshot does not show."""
    found: set[Names] = set()
    for mount in spec.get("mounts") or ():
        point = mount.get("destination", "")
        with named(point):
            place = place_of(look, point, frozenset())
        found.add((*place.names, *place.missing))
    return frozenset(found)


async def _mounts_of(session: Session, container: ContainerInfo) -> Sequence[Mount]:
    if container.snapshotter and container.snapshot_key:
        return await session.services.snapshotter(container.snapshotter).mounts(container.snapshot_key)
    root = spec_of(container).get("root", {}).get("path", "")
    if not root.startswith("/"):
        raise FailedPreconditionError(
            f"container '{container.id}' has neither a snapshot nor a root.path in its spec: no files that are its own"
        )
    return [Mount("bind", root, options=("rbind", "rw"))]


async def _process_of(session: Session, container_id: str) -> int | None:
    """Return the pid of a task's init, 0 if it has none (any more), ``None`` if there is no task."""
    try:
        task = await session.services.tasks.get(container_id)
    except NotFoundError:
        return None
    return task.pid if task.status.state in _ALIVE else 0
