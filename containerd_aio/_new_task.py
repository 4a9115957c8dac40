"""Making a container's task: its streams are open and its exit is followed before there is a process, or nothing is.

The runtime believes the spec about the terminal, so that is stored first.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from containerd_aio._checkpoint.origin import origin_of
from containerd_aio._exits.record import ExitRecord, Phase
from containerd_aio._opening import open_stdio
from containerd_aio._process.calls import ProcessCalls
from containerd_aio._process.spec import spec_of
from containerd_aio._refusal import start_failed
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio._transport.runc import runc_options, takes_runc_options
from containerd_aio._transport.typeurl import json_any
from containerd_aio.errors import (
    AlreadyExistsError,
    ContainerdError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    UnknownError,
)
from containerd_aio.image import Image
from containerd_aio.spec import Spec
from containerd_aio.stdio import OpenStdio, Stdio
from containerd_aio.task import Task
from containerd_aio.types import AnyValue, ContainerInfo, Mount, RuncOptions, TaskEndpoint

Update: TypeAlias = Callable[[ContainerInfo, str], Awaitable[ContainerInfo]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a task shall be; the arguments of ``container.new_task()``."""

    stdio: Stdio
    checkpoint: Image | os.PathLike[str] | None = None
    rootfs: Sequence[Mount] = ()
    options: RuncOptions | AnyValue | None = None
    runtime_path: str | None = None
    endpoint: TaskEndpoint | None = None


async def new_task(
    session: Session, info: ContainerInfo, mounts: Sequence[Mount], wanted: NewTask, update: Update
) -> Task:
    """Create the task of a container whose files are at ``mounts``; ``update`` stores a change of its record.

    If it fails or is cancelled, there is no task, and the record says what is stored.
    """
    spec = spec_of(info)
    origin = await origin_of(
        session, wanted.checkpoint, terminal=bool((spec.get("process") or {}).get("terminal"))
    )
    origin.check_terminal(wanted.stdio.terminal, container_id=info.id)
    options = await _options(session, info, origin.laid_over(wanted.options), wanted.endpoint)
    rootfs = [*_labelled(mounts, spec), *wanted.rootfs]
    _check_root(info.id, spec, rootfs)
    exits = session.exits
    await exits.attached()
    info = await _with_terminal(update, info, spec, terminal=wanted.stdio.terminal)
    opened = await open_stdio(session, wanted.stdio, info.id)
    record = exits.track(info.id)

    async def create() -> None:
        pid = await session.services.tasks.create(
            info.id,
            rootfs=rootfs,
            stdin=opened.stdin_path,
            stdout=opened.stdout_path,
            stderr=opened.stderr_path,
            terminal=opened.terminal,
            checkpoint=origin.memory,
            options=options,
            runtime_path=wanted.runtime_path or "",
            endpoint=wanted.endpoint,
        )
        exits.created(record, pid)

    try:
        await completed(create)
    except BaseException as error:
        undo = partial(_undo, session, record, opened)
        await cleaned_up(undo, error, f"the task of container '{info.id}' could not be removed")
        if isinstance(error, AlreadyExistsError | UnknownError):
            raise _refused(info.id, error) from error
        raise
    return Task(session, record, opened, owned=True, container=info)


def _check_root(container_id: str, spec: Spec, rootfs: Sequence[Mount]) -> None:
    root = (spec.get("root") or {}).get("path") or ""
    if not rootfs and not root.startswith("/"):
        raise InvalidArgumentError(
            f"container '{container_id}' has no root filesystem: give rootfs=, or an absolute root.path in its spec"
        )


async def _with_terminal(update: Update, info: ContainerInfo, spec: Spec, *, terminal: bool) -> ContainerInfo:
    process = spec.get("process") or {}
    if bool(process.get("terminal")) is terminal or info.spec is None:
        return info
    changed = {**spec, "process": {**process, "terminal": terminal}}
    document = json_any(info.spec.type_url, changed)
    # Not given up in the middle: what is stored then would not be known, and the next task have a wrong terminal.
    return await completed(partial(update, replace(info, spec=document), "spec"))


async def _options(
    session: Session,
    info: ContainerInfo,
    options: RuncOptions | AnyValue | None,
    endpoint: TaskEndpoint | None,
) -> AnyValue | None:
    stored = info.runtime.options
    if endpoint is not None:
        await _check_endpoints(session, info)
        if options is None and takes_runc_options(stored):
            options = RuncOptions()
    if isinstance(options, RuncOptions):
        return runc_options(options, stored, endpoint=endpoint)
    return options


async def _check_endpoints(session: Session, info: ContainerInfo) -> None:
    """Refuse an endpoint that containerd would pass over in silence, to start a shim."""
    version = await session.services.version.get()
    if version.release < (2, 0):
        raise NotImplementedByServerError(
            f"a task endpoint takes containerd 2.0 or later; this is {version.version}",
            subject=f"container '{info.id}'",
        )
    if info.sandbox is None:
        raise InvalidArgumentError(
            f"container '{info.id}' is in no sandbox: only there a task endpoint counts"
        )


async def _undo(session: Session, record: ExitRecord, opened: OpenStdio) -> None:
    try:
        if record.phase is Phase.CREATED:
            record.deleting = True
            await ProcessCalls(session, record).delete()
    except NotFoundError:
        pass  # its shim has died meanwhile
    finally:
        session.exits.discard(record)
        await opened.aclose()


def _refused(container_id: str, error: AlreadyExistsError | UnknownError) -> ContainerdError:
    if isinstance(error, UnknownError):
        return start_failed(f"task '{container_id}'", error)
    return error.reworded(f"container '{container_id}' has a task already; container.task() loads it")


def _labelled(mounts: Sequence[Mount], spec: Spec) -> Sequence[Mount]:
    """Give each mount the SELinux label of the spec, as the Go client does."""
    label = (spec.get("linux") or {}).get("mountLabel")
    if not label:
        return mounts
    if '"' in label:  # it would end there, and what follows be options of the mount: another lowerdir=
        raise InvalidArgumentError(f"linux.mountLabel of the container's spec holds a quote: {label!r}")
    return [replace(mount, options=(*mount.options, f'context="{label}"')) for mount in mounts]
