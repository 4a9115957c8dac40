"""Making a container: record, snapshot and spec, all of them or none.

``Containers.Create`` comes first, naming the snapshot that is not there yet: so the collector spares the snapshot
from its first moment, without a lease (tried on containerd 1.6, 1.7 and 2.1). A spec that needs the files of the
image, to look a user up, is completed when the snapshot is there, and stored by one more call.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from containerd_aio._session import Session
from containerd_aio.container import Container
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.process import cleaned_up
from containerd_aio.spec import (
    RootfsNeeded,
    Spec,
    SpecContext,
    SpecOption,
    compose,
    default_spec,
    image_config,
    open_rootfs,
)
from containerd_aio.spec.rootfs import Rootfs, UnreadableRootfs
from containerd_aio.types import AnyValue, ContainerInfo, ImageConfig, Mount, Runtime
from containerd_aio.types.identifier import check_identifier

_SPEC = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
DEFAULT_RUNTIME = "io.containerd.runc.v2"
DEFAULT_SNAPSHOTTER = "overlayfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewContainer:
    """What a container shall be; the arguments of ``client.new_container()``."""

    id: str
    image: Image | None = None
    args: Sequence[str] | None = None
    options: Sequence[SpecOption] = ()
    spec: Spec | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    snapshotter: str | None = None
    runtime: str | None = None
    runtime_options: AnyValue | None = None

    def __post_init__(self) -> None:
        check_identifier("container id", self.id)
        if isinstance(self.args, str | bytes):
            raise InvalidArgumentError(f"args is a list of strings, not one string: [{self.args!r}]")
        if self.image is None and self.spec is None:
            raise InvalidArgumentError(
                f"container '{self.id}' has neither an image nor a spec: give image=, or spec= with a root of yours"
            )
        if self.spec is not None and self.args is not None:
            raise InvalidArgumentError("args belong into the spec that is given: spec['process']['args']")

    def built(self, namespace: str, config: ImageConfig | None, rootfs: Rootfs | None) -> Spec:
        """Return the spec.

        :raises RootfsNeeded: if it takes the image's files and there are none yet
        :raises InvalidArgumentError: if an option does not fit, or nothing is to be run
        """
        context = SpecContext(self.id, namespace, config, rootfs)
        options = self.options
        if self.spec is None and config is not None:
            options = (image_config(self.args), *options)
        spec = compose(*options)(self.spec or default_spec(self.id, namespace), context)
        if not spec.get("process", {}).get("args"):
            raise InvalidArgumentError(
                f"container '{self.id}' has nothing to run: its image names no command; give args="
            )
        return spec


async def new_container(session: Session, wanted: NewContainer) -> Container:
    """Create the container. If it fails or is cancelled, neither record nor snapshot stays."""
    labels = (await session.services.namespaces.get(session.namespace)).labels
    image, config = wanted.image, None
    if image is not None:
        config = await image.config()
    try:
        spec = wanted.built(session.namespace, config, None)
        complete = True
    except RootfsNeeded:
        spec, complete = default_spec(wanted.id, session.namespace), False
    snapshotter = (
        wanted.snapshotter or labels.get("containerd.io/defaults/snapshotter") or DEFAULT_SNAPSHOTTER
    )
    runtime = wanted.runtime or labels.get("containerd.io/defaults/runtime") or DEFAULT_RUNTIME
    info = ContainerInfo(
        id=wanted.id,
        runtime=Runtime(runtime, wanted.runtime_options),
        spec=_stored(spec),
        image=None if image is None else image.name,
        labels=wanted.labels,
        snapshotter=None if image is None else snapshotter,
        snapshot_key=None if image is None else wanted.id,
    )
    begun_ns = time.time_ns()
    try:
        info = await session.services.containers.create(info)
        mounts: Sequence[Mount] | None = None
        if image is not None:
            mounts = await _prepare(session, image, snapshotter, wanted.id)
        if not complete:
            spec = _with_rootfs(wanted, session, config, mounts or ())
            info = await session.services.containers.update(replace(info, spec=_stored(spec)), "spec")
    except BaseException as error:
        await cleaned_up(partial(_undo, session, info, begun_ns), error, f"container '{info.id}' may be left")
        raise
    return Container(session, info, owned=True, mounts=mounts)


def _stored(spec: Spec) -> AnyValue:
    return AnyValue(_SPEC, json.dumps(spec, separators=(",", ":")).encode())


def _with_rootfs(
    wanted: NewContainer, session: Session, config: ImageConfig | None, mounts: Sequence[Mount]
) -> Spec:
    with ExitStack() as stack:
        if session.fifo_dir is None:
            rootfs: Rootfs = UnreadableRootfs("containerd is on another host")
        else:
            rootfs = stack.enter_context(open_rootfs(mounts))
        return wanted.built(session.namespace, config, rootfs)


async def _prepare(session: Session, image: Image, snapshotter: str, key: str) -> Sequence[Mount]:
    snapshots = session.services.snapshotter(snapshotter)
    parent = await image.chain_id()
    try:
        return await snapshots.prepare(key, parent=parent)
    except NotFoundError:
        await image.unpack(snapshotter)
        return await snapshots.prepare(key, parent=parent)


async def _undo(session: Session, info: ContainerInfo, begun_ns: int) -> None:
    """Remove what was made since ``begun_ns``, and only that: the ids may have been somebody else's before.

    A call that was cancelled may have been refused because of that, and nobody heard the answer.
    """
    services = session.services
    try:
        found = await services.containers.get(info.id)
    except NotFoundError:
        return
    if not _since(begun_ns, found.created_at_ns):
        return
    if info.snapshotter and info.snapshot_key:
        snapshots = services.snapshotter(info.snapshotter)
        try:
            if _since(begun_ns, (await snapshots.stat(info.snapshot_key)).created_at_ns):
                await snapshots.remove(info.snapshot_key)
        except (NotFoundError, InvalidArgumentError):
            pass  # it was not prepared, or there is no such snapshotter
    await services.containers.delete(info.id)


def _since(begun_ns: int, created_at_ns: int | None) -> bool:
    return created_at_ns is not None and created_at_ns >= begun_ns
