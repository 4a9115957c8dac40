"""The memory of a task: what CRIU writes of it, seen to be there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from containerd_aio._checkpoint.index import CONFIG, MEMORY, Checkpoint
from containerd_aio._checkpoint.living import LIVING
from containerd_aio._checkpoint.unique_spec import found_after_all, held_digests
from containerd_aio._criu_log import criu_says
from containerd_aio._refusal import reason_of, state_named
from containerd_aio._session import Session
from containerd_aio._transport.runc import checkpoint_options
from containerd_aio.errors import AlreadyExistsError, CheckpointFailedError, NotFoundError, UnknownError
from containerd_aio.types import CheckpointOptions, ContainerInfo, Descriptor, Status


async def write_memory(
    session: Session,
    info: ContainerInfo,
    options: CheckpointOptions,
    *,
    lease_id: str,
    status: Callable[[], Awaitable[Status]],
) -> list[Descriptor]:
    """Have the state of a container's task written to the content store; return what containerd says it wrote.

    :raises FailedPreconditionError: if the task does not run
    :raises CheckpointFailedError: if CRIU could not do it
    """
    services = session.services
    before = await held_digests(services, lease_id)
    try:
        return await call_criu(session, info.id, options, status=status)
    except AlreadyExistsError:
        parts = await found_after_all(services, info, lease_id, before)
        if not parts:
            raise
        return parts


async def with_memory(
    session: Session, info: ContainerInfo, checkpoint: Checkpoint, parts: Sequence[Descriptor]
) -> Checkpoint:
    """Return the checkpoint with the memory in it, and the spec, which are seen to be there.

    :raises CheckpointFailedError: if there is no memory: nothing is passed off as if it had one
    """
    by_type = {part.media_type: part for part in parts}
    memory = by_type.get(MEMORY)
    if memory is None or not await _is_stored(session, memory):
        raise CheckpointFailedError(
            f"containerd has written no memory of task '{info.id}'", subject=f"task '{info.id}'"
        )
    return replace(checkpoint, memory=memory, config=by_type.get(CONFIG))


async def call_criu(
    session: Session,
    container_id: str,
    options: CheckpointOptions,
    *,
    status: Callable[[], Awaitable[Status]],
    image_path: str = "",
) -> list[Descriptor]:
    """Call Tasks.Checkpoint, and say what went wrong in it.

    :raises FailedPreconditionError: if the task does not run
    :raises CheckpointFailedError: if CRIU could not do it
    """
    name = f"task '{container_id}'"
    try:
        async with state_named("it cannot be checkpointed", name, status, allowed=LIVING):
            return await session.services.tasks.checkpoint(
                container_id, options=checkpoint_options(options, image_path=image_path)
            )
    except UnknownError as error:
        raise _failed(session, name, error) from error


async def _is_stored(session: Session, part: Descriptor) -> bool:
    try:
        return (await session.services.content.info(part.digest)).size == part.size > 0
    except NotFoundError:
        return False


def _failed(session: Session, name: str, error: UnknownError) -> CheckpointFailedError:
    said = criu_says(error, local=session.fifo_dir is not None)
    more = said or "; client.checkpoint_support() tells whether it can be here"
    return error.reworded(
        f"{name} could not be checkpointed: {reason_of(error)}{more}", CheckpointFailedError
    )
