"""Making a container: record, snapshot and spec, all of them or none.

``Containers.Create`` comes first, naming the snapshot that is not there yet: so the collector spares the snapshot
from its first moment, without a lease (tried on containerd 1.6, 1.7 and 2.1). A spec that needs the files of the
image, to look a user up, is completed when the snapshot is there, and stored by one more call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from functools import partial

from containerd_aio._session import Session, defaults_of
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio._transport.runc import runc_options
from containerd_aio._transport.typeurl import SPEC, json_any
from containerd_aio.container import Container
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.spec import (
    RootfsNeeded,
    Spec,
    SpecContext,
    SpecOption,
    args,
    compose,
    default_spec,
    image_config,
    open_rootfs,
)
from containerd_aio.spec.rootfs import Rootfs, UnreadableRootfs
from containerd_aio.types import (
    AnyValue,
    ContainerInfo,
    Descriptor,
    ImageConfig,
    Mount,
    RuncOptions,
    Runtime,
)
from containerd_aio.types.identifier import check_identifier
from containerd_aio.types.signal import STOP_SIGNAL_LABEL, known_signal


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
    runtime_options: RuncOptions | AnyValue | None = None
    layer: Descriptor | None = None
    """What goes over the image's files, from a checkpoint."""

    def __post_init__(self) -> None:
        check_identifier("container id", self.id)
        if isinstance(self.args, str | bytes):
            raise InvalidArgumentError(f"args is a list of strings, not one string: [{self.args!r}]")
        if self.image is None and self.spec is None and not self.options:
            raise self._rootless()
        if self.spec is not None and self.args is not None:
            raise InvalidArgumentError("args belong into the spec that is given: spec['process']['args']")

    def runtime_or(self, default: str) -> Runtime:
        """Return the runtime and its options."""
        options = self.runtime_options
        if isinstance(options, RuncOptions):
            options = runc_options(options)
        return Runtime(self.runtime or default, options)

    def built(self, namespace: str, config: ImageConfig | None, rootfs: Rootfs | None) -> Spec:
        """Return the spec.

        :raises RootfsNeeded: if it takes the image's files and there are none yet
        :raises InvalidArgumentError: if an option does not fit, or nothing is to be run
        """
        context = SpecContext(self.id, namespace, config, rootfs)
        options = self.options
        if self.spec is None and config is not None:
            options = (image_config(self.args), *options)
        elif self.args is not None:
            options = (args(*self.args), *options)
        spec = compose(*options)(self.spec or default_spec(self.id, namespace), context)
        if not (spec.get("process") or {}).get("args"):
            raise InvalidArgumentError(
                f"container '{self.id}' has nothing to run: its image names no command; give args="
            )
        if (
            self.image is None
            and self.spec is None
            and not ((spec.get("root") or {}).get("path") or "").startswith("/")
        ):
            raise self._rootless()
        return spec

    def _rootless(self) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"container '{self.id}' has neither an image nor a spec: give image=, spec= with a root of yours, or "
            "the option rootfs_path()"
        )


async def new_container(session: Session, wanted: NewContainer) -> Container:
    """Create the container. If it fails or is cancelled, neither record nor snapshot stays."""
    defaults = await defaults_of(session.services, session.namespace)
    image, config = wanted.image, None
    if image is not None:
        config = await image.config()
    try:
        spec = wanted.built(session.namespace, config, None)
        complete = True
    except RootfsNeeded:
        spec, complete = default_spec(wanted.id, session.namespace), False
    snapshotter = wanted.snapshotter or defaults.snapshotter
    info = ContainerInfo(
        id=wanted.id,
        runtime=wanted.runtime_or(defaults.runtime),
        spec=json_any(SPEC, spec),
        image=None if image is None else image.name,
        labels=_stop_signal(config) | {**wanted.labels},
        snapshotter=None if image is None else snapshotter,
        snapshot_key=None if image is None else wanted.id,
    )
    made = _Made(session, info)
    try:
        info = await made.record()
        mounts = None if image is None else await made.snapshot(image, snapshotter)
        if wanted.layer is not None:
            await made.files(wanted.layer, mounts or ())
        if not complete:
            spec = _with_rootfs(wanted, session, config, mounts or ())
            info = await session.services.containers.update(replace(info, spec=json_any(SPEC, spec)), "spec")
    except BaseException as error:
        await cleaned_up(made.undo, error, f"what was made of container '{wanted.id}' could not be removed")
        raise
    return Container(session, info, owned=True, mounts=mounts)


def _stop_signal(config: ImageConfig | None) -> dict[str, str]:
    """The label for how the image wants to be stopped: the one thing of an image that becomes a label."""
    if config is None or known_signal(config.stop_signal) is None:
        return {}
    return {STOP_SIGNAL_LABEL: config.stop_signal}


class _Made:
    """What of a container was made so far, so that exactly that can be undone."""

    def __init__(self, session: Session, info: ContainerInfo) -> None:
        self._services = session.services
        self._info = info
        self._undo: list[Callable[[], Awaitable[None]]] = []

    async def record(self) -> ContainerInfo:
        """Make the record."""

        async def create() -> ContainerInfo:
            info = await self._services.containers.create(self._info)
            self._undo.append(partial(self._services.containers.delete, info.id))
            return info

        try:
            return await completed(create)
        except AlreadyExistsError as error:
            raise error.reworded(
                f"there is a container '{self._info.id}' already: take another id, or load_container() and delete() it"
            ) from error

    async def snapshot(self, image: Image, snapshotter: str) -> Sequence[Mount]:
        """Make the snapshot, unpacking the image where that was not done yet."""
        snapshots = self._services.snapshotter(snapshotter)
        parent = await image.chain_id()

        async def prepare() -> Sequence[Mount]:
            mounts = await snapshots.prepare(self._info.id, parent=parent)
            self._undo.append(partial(snapshots.remove, self._info.id))
            return mounts

        try:
            return await completed(prepare)
        except NotFoundError:
            await image.unpack(snapshotter)
            return await completed(prepare)

    async def files(self, layer: Descriptor, mounts: Sequence[Mount]) -> None:
        """Write a layer over the files of the snapshot."""
        await completed(partial(self._services.diff.apply, layer, mounts))

    async def undo(self) -> None:
        """Remove it all, last things first; what fails keeps nothing else from being removed."""
        async with AsyncExitStack() as steps:
            for remove in self._undo:
                steps.push_async_callback(_removed, remove)


async def _removed(remove: Callable[[], Awaitable[None]]) -> None:
    try:
        await remove()
    except NotFoundError:
        pass


def _with_rootfs(
    wanted: NewContainer, session: Session, config: ImageConfig | None, mounts: Sequence[Mount]
) -> Spec:
    with ExitStack() as stack:
        if session.fifo_dir is None:
            rootfs: Rootfs = UnreadableRootfs("containerd is on another host")
        else:
            rootfs = stack.enter_context(open_rootfs(mounts))
        return wanted.built(session.namespace, config, rootfs)
