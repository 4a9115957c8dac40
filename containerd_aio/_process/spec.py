"""What the container's record says of its processes, and the process of an exec made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

from containerd_aio._session import Session
from containerd_aio._transport.typeurl import from_json_any
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import RootfsNeeded, Spec, open_rootfs, process_for_exec
from containerd_aio.spec.schema import Process as ProcessSpec
from containerd_aio.types import ContainerInfo


def spec_of(container: ContainerInfo) -> Spec:
    """Return the OCI runtime spec in a container's record.

    :raises InvalidArgumentError: if the record has none, or one that is no JSON object
    """
    if container.spec is None:
        raise InvalidArgumentError(f"container '{container.id}' has no spec")
    spec = from_json_any(container.spec)
    if not isinstance(spec, dict):
        raise InvalidArgumentError(f"the spec of container '{container.id}' is no JSON object")
    return cast(Spec, spec)


async def exec_spec(
    session: Session,
    container: ContainerInfo,
    args: Sequence[str] | ProcessSpec,
    *,
    env: Mapping[str, str | None] | None,
    cwd: str | None,
    user: str | None,
    capabilities: Sequence[str] | None,
    terminal: bool,
) -> ProcessSpec:
    """Return the container's own process with other arguments; a user is looked up in the container's files.

    A whole process, a mapping, is returned as it is.

    :raises InvalidArgumentError: if the arguments are not usable, or the user cannot be looked up
    """
    if isinstance(args, Mapping):
        if any(change is not None for change in (env, cwd, user, capabilities)):
            raise InvalidArgumentError(
                "env=, cwd=, user= and capabilities= change the container's process; a whole one has its own"
            )
        return args
    make = partial(
        process_for_exec,
        spec_of(container),
        args=args,
        env=env,
        cwd=cwd,
        user=user,
        capabilities=capabilities,
        terminal=terminal,
    )
    try:
        return make()
    except RootfsNeeded:
        pass  # the user must be looked up in the container's files
    snapshotter, key = container.snapshotter, container.snapshot_key
    if not snapshotter or not key:
        raise InvalidArgumentError(
            f"user '{user}' cannot be looked up: container '{container.id}' has no snapshot; give uid:gid"
        )
    if session.fifo_dir is None:
        raise InvalidArgumentError(
            f"user '{user}' cannot be looked up: containerd is on another host; give uid:gid"
        )
    mounts = await session.services.snapshotter(snapshotter).mounts(key)
    with open_rootfs(mounts) as rootfs:
        return make(rootfs=rootfs)
