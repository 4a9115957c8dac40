"""Taking a checkpoint: all of it or nothing, and the task as it was.

What can be refused is refused before the task is touched; then, while it is frozen, the changed files are written,
CRIU writes the memory, and the index and the image record follow at once. With ``exit`` the task is killed when all
of that is safe. Only where CRIU must do it the memory is the point of no return: from there on a cancellation waits
until the record is there, since the checkpoint is all that is left of the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import anyio

from containerd_aio._checkpoint.base import Base, find_base
from containerd_aio._checkpoint.index import CONFIG, RUNTIME_OPTIONS, Checkpoint
from containerd_aio._checkpoint.layer import changed_files
from containerd_aio._checkpoint.living import (
    LivingTask,
    check_frozen,
    check_living,
    end_frozen,
    ended_by_criu,
    may_end,
)
from containerd_aio._checkpoint.memory import with_memory, write_memory
from containerd_aio._checkpoint.record import CheckpointRecord
from containerd_aio._checkpoint.storing import write_index, write_value
from containerd_aio._checkpoint.unique_spec import unique_spec
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.image import Image
from containerd_aio.types import CheckpointOptions, ContainerInfo, Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What goes into a checkpoint beside the container's spec."""

    image: bool = True
    memory: bool = True
    files: bool = True
    runtime: bool = True


async def take_checkpoint(
    session: Session,
    container_id: str,
    task: LivingTask | None,
    *,
    ref: str | None,
    parts: Parts,
    options: CheckpointOptions,
) -> Image:
    """Take a checkpoint of a container, and of its task if there is one, and store it as the image ``ref``.

    Two of one container wait for each other. If this fails or is cancelled, the task is in the state that it was in,
    and there is no image; but if it has ended by ``options.exit``, there is one.

    :raises FailedPreconditionError: if the task does not run, or the container lacks what is wanted of it
    :raises AlreadyExistsError: if there is an image of that name
    :raises CheckpointFailedError: if CRIU could not do it
    """
    if options.exit and not parts.memory:
        raise InvalidArgumentError("exit ends the task, so its memory must be taken: task=True")
    record = CheckpointRecord(session.services.images, container_id, ref)
    taking = _Taking(session, parts, options, record)
    try:
        async with _lock(session, container_id), session.services.leases.hold() as lease:
            info = await session.services.containers.get(container_id)
            base = await taking.check(info, task)
            async with nullcontext() if task is None else task.paused():
                await taking.take(info, base, task, lease.id)
    except BaseException as error:
        record.own_up(error)
        await cleaned_up(record.undo, error, f"image '{record.name}' could not be removed")
        raise
    return Image(session, record.stored())


def _lock(session: Session, container_id: str) -> anyio.Lock:
    lock = session.checkpoints.get(container_id)
    if lock is None:
        lock = session.checkpoints[container_id] = anyio.Lock()
    return lock


class _Taking:
    def __init__(
        self, session: Session, parts: Parts, options: CheckpointOptions, record: CheckpointRecord
    ) -> None:
        self._session = session
        self._services = session.services
        self._parts = parts
        self._options = options
        self._record = record

    async def check(self, info: ContainerInfo, task: LivingTask | None) -> Base:
        """Refuse what can be refused before anything is done."""
        if self._parts.memory:
            await check_living(info.id, task)
        await self._record.check_free()
        return await find_base(self._session, info, image=self._parts.image, files=self._parts.files)

    async def take(self, info: ContainerInfo, base: Base, task: LivingTask | None, lease_id: str) -> None:
        """Write the parts, the index and the record."""
        checkpoint = await self._without_memory(info, base)
        if task is None or not self._parts.memory:
            if task is not None:
                await check_frozen(info.id, task)
            await completed(partial(self._finish, info, checkpoint))
            return

        async def take_memory() -> None:
            await check_frozen(info.id, task)
            by_criu, ending = ended_by_criu(self._options), self._record.is_all_that_is_left
            async with may_end(task, ending) if by_criu else nullcontext():
                parts = await write_memory(
                    self._session,
                    info,
                    replace(self._options, exit=by_criu),
                    lease_id=lease_id,
                    status=task.status,
                )
            await completed(partial(self._finish, info, checkpoint, parts))
            if by_criu:
                return
            await check_frozen(info.id, task)
            if self._options.exit:
                await completed(partial(end_frozen, task, ending))

        async with unique_spec(self._services, info):
            await completed(take_memory)

    async def _without_memory(self, info: ContainerInfo, base: Base) -> Checkpoint:
        layer = runtime_options = None
        if self._parts.files and info.snapshotter and info.snapshot_key:
            layer = await changed_files(self._services, info.snapshotter, info.snapshot_key, base.parent)
        if self._parts.runtime and info.runtime.options is not None:
            runtime_options = await write_value(self._services.content, info.runtime.options, RUNTIME_OPTIONS)
        return Checkpoint(
            runtime_options=runtime_options,
            image=base.image,
            layer=layer,
            image_name=info.image,
            runtime=info.runtime.name if self._parts.runtime else None,
            snapshotter=info.snapshotter,
            parent=base.parent,
        )

    async def _finish(
        self, info: ContainerInfo, checkpoint: Checkpoint, memory: Sequence[Descriptor] | None = None
    ) -> None:
        if memory is not None:
            checkpoint = await with_memory(self._session, info, checkpoint, memory)
        if checkpoint.config is None and info.spec is not None:
            config = await write_value(self._services.content, info.spec, CONFIG)
            checkpoint = replace(checkpoint, config=config)
        await self._record.store(await write_index(self._services.content, checkpoint))
