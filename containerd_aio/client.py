"""The door: a connection to containerd, its services, and what is made with them."""

from __future__ import annotations

import os
import secrets
import ssl as tls
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from containerd_aio._capture import MAX_OUTPUT, captured, check_max_output
from containerd_aio._checkpoint.restoring import restorable
from containerd_aio._checkpoint.support import checkpoint_support
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._exits.witness import supported as witness_supported
from containerd_aio._images.exporting import export_archive
from containerd_aio._images.importing import import_archive
from containerd_aio._images.reference import normalize_name
from containerd_aio._images.target import ArchiveTarget
from containerd_aio._new_container import NewContainer, new_container
from containerd_aio._session import Session
from containerd_aio._tar.source import ArchiveSource
from containerd_aio._transport.address import Address
from containerd_aio._transport.completion import shielded
from containerd_aio._transport.connection import Connection
from containerd_aio.container import Container
from containerd_aio.errors import NotFoundError
from containerd_aio.image import Image
from containerd_aio.services import Services
from containerd_aio.services.containers import Containers
from containerd_aio.services.content import Content
from containerd_aio.services.diff import Diff
from containerd_aio.services.events import Events
from containerd_aio.services.health import Health
from containerd_aio.services.images import Images
from containerd_aio.services.introspection import Introspection
from containerd_aio.services.leases import Leases
from containerd_aio.services.namespaces import Namespaces
from containerd_aio.services.snapshots import Snapshotter
from containerd_aio.services.tasks import Tasks
from containerd_aio.services.version import Version
from containerd_aio.spec import Spec, SpecOption
from containerd_aio.stdio import DEFAULT_FIFO_DIR, pipes
from containerd_aio.types import AnyValue, CheckpointSupport, Completed, ImageInfo, RuncOptions
from containerd_aio.types.identifier import check_identifier

DEFAULT_ADDRESS = "/run/containerd/containerd.sock"
DEFAULT_NAMESPACE = "default"


class Client:
    """A client of one containerd, working in one namespace.

    Use it as ``async with Client() as client``, or ``await client.connect()`` and ``await client.aclose()``, from
    any asyncio tasks of one event loop. ``address`` is the path of containerd's socket, ``unix:///path``, or
    ``tcp://host:port`` of a TLS proxy in front of it, with ``ssl``; left out, it is ``$CONTAINERD_ADDRESS``, else
    ``/run/containerd/containerd.sock``. ``namespace`` is by default ``$CONTAINERD_NAMESPACE``, else ``default``.

    ``rpc_timeout`` is the deadline, in seconds, of calls that are quick by nature, so that a frozen containerd
    cannot hang a service; calls that may take long have none: use ``anyio.fail_after()`` round them.
    ``fifo_dir`` is where FIFOs are made, for a daemon that sees other paths (rootless). ``exit_witness`` lets the
    kernel tell how a process ended where containerd has forgotten it (Linux 6.15 and later, same host).

    Making a client does no I/O.
    """

    def __init__(
        self,
        address: str | os.PathLike[str] | None = None,
        *,
        namespace: str | None = None,
        ssl: tls.SSLContext | None = None,
        rpc_timeout: float | None = 30.0,
        fifo_dir: str | os.PathLike[str] | None = None,
        exit_witness: bool = True,
    ) -> None:
        text = os.fspath(address) if address is not None else os.environ.get("CONTAINERD_ADDRESS")
        if namespace is None:
            namespace = os.environ.get("CONTAINERD_NAMESPACE") or DEFAULT_NAMESPACE
        connection = Connection(Address.parse(text or DEFAULT_ADDRESS), ssl=ssl, rpc_timeout=rpc_timeout)
        local = connection.address.path is not None
        fifos = os.fspath(fifo_dir) if fifo_dir is not None else DEFAULT_FIFO_DIR
        self._sessions = _Sessions(connection, fifos if local else None, exit_witness and local)
        self._session = self._sessions.of(namespace)
        self._is_view = False

    def with_namespace(self, namespace: str) -> Client:
        """Return a client of the same connection that works in another namespace; closing it does nothing.

        :raises InvalidArgumentError: if containerd would not take the name
        """
        view = object.__new__(type(self))
        view._sessions = self._sessions
        view._session = self._sessions.of(namespace)
        view._is_view = True
        return view

    def __repr__(self) -> str:
        return f"<Client of {self.address} namespace={self.namespace!r}>"

    @property
    def address(self) -> str:
        """The address of containerd, as it was given."""
        return str(self._sessions.connection.address)

    @property
    def namespace(self) -> str:
        """The namespace that this client works in."""
        return self._session.namespace

    async def connect(self) -> None:
        """Connect now; the first call would do so otherwise. Does nothing where it is connected.

        :raises ConnectionLostError: if containerd cannot be reached; the message tells the way out
        :raises ClientClosedError: after ``aclose()``
        """
        await self._sessions.connection.connect()

    async def aclose(self) -> None:
        """Close the client: waits that are open fail with ``ClientClosedError``, and so do calls under way.

        No container is stopped, and no FIFO of a living task removed. May be called again; a view's does nothing.
        If cancelled, it is closed all the same.

        :raises RuntimeError: from another event loop than that in which the client was used
        """
        if not self._is_view:
            await self._sessions.aclose()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- services ------------------------------------------------------------------------------------------

    @property
    def containers(self) -> Containers:
        """The records of containers."""
        return self._session.services.containers

    @property
    def content(self) -> Content:
        """The content store: blobs by digest, and ingests."""
        return self._session.services.content

    @property
    def diff(self) -> Diff:
        """Layers applied to snapshots, and made from them."""
        return self._session.services.diff

    @property
    def events(self) -> Events:
        """What happens in containerd."""
        return self._session.services.events

    @property
    def health(self) -> Health:
        """Whether containerd serves."""
        return self._session.services.health

    @property
    def images(self) -> Images:
        """The image store: names for descriptors."""
        return self._session.services.images

    @property
    def introspection(self) -> Introspection:
        """containerd's plugins and the daemon itself."""
        return self._session.services.introspection

    @property
    def leases(self) -> Leases:
        """What garbage collection must spare."""
        return self._session.services.leases

    @property
    def namespaces(self) -> Namespaces:
        """The namespaces of this containerd."""
        return self._session.services.namespaces

    @property
    def tasks(self) -> Tasks:
        """The tasks service as it is; ``Container`` and ``Task`` are more comfortable, and miss no exit."""
        return self._session.services.tasks

    @property
    def version(self) -> Version:
        """containerd's version."""
        return self._session.services.version

    def snapshotter(self, name: str) -> Snapshotter:
        """Return the snapshots of one snapshotter (``overlayfs``, ``native``)."""
        return self._session.services.snapshotter(name)

    # -- images --------------------------------------------------------------------------------------------

    async def import_images(
        self,
        source: ArchiveSource,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Image]:
        """Import the images of an archive: an OCI layout or what ``docker save`` writes, as tar, also gzipped.

        ``source`` is a path, the bytes, a binary file or a stream. ``name`` names the image of an archive that
        holds one without a name. Existing names are set to what comes. ``labels`` go on the image records. If it fails or is cancelled, the images
        stay as they were.

        :raises InvalidArgumentError: if it is no such archive, is truncated, or has a wrong digest
        """
        infos = await import_archive(self._session.services, source, name=name, labels=labels)
        return [Image(self._session, info) for info in infos]

    async def export_images(
        self, target: ArchiveTarget, *images: Image | str, all_platforms: bool = False
    ) -> None:
        """Write images, checkpoints too, to an archive that ``import_images()`` takes, and docker and ``ctr`` do.

        ``target`` is a path, a binary file, or a stream (anyio's ``ByteSendStream``). Of an image for several
        platforms this machine's is written, or with ``all_platforms`` all that it lists. Each blob is hashed on its
        way. If it fails or is cancelled, a path is as it was.

        :raises NotFoundError: if there is no image of that name, a part of it is not there, or nothing of it is for
            this machine's platform
        :raises DataLossError: if a blob is damaged
        :raises InvalidArgumentError: if no image is given, or the path cannot be written
        """
        found = [await self.image(image) if isinstance(image, str) else image for image in images]
        infos = [ImageInfo(image.name, image.target) for image in found]
        await export_archive(self._session.services, infos, target, all_platforms=all_platforms)

    async def image(self, name: str) -> Image:
        """Return an image that is there, by its name as stored or as people write it (``busybox``).

        :raises NotFoundError: if there is none of that name
        """
        images = self._session.services.images
        try:
            try:
                info = await images.get(name)
            except NotFoundError:
                full_name = normalize_name(name)
                if full_name == name:
                    raise
                info = await images.get(full_name)
        except NotFoundError as error:
            raise error.reworded(
                f"there is no image '{name}' in namespace '{self.namespace}': import_images() brings one, "
                "list_images() gives those that are there"
            ) from error
        return Image(self._session, info)

    async def list_images(self, *filters: str) -> list[Image]:
        """Return the images that match any of the filters; all, if there are none."""
        return [Image(self._session, info) for info in await self._session.services.images.list(*filters)]

    # -- containers ----------------------------------------------------------------------------------------

    async def new_container(
        self,
        id: str,
        *,
        image: Image | str | None = None,
        args: Sequence[str] | None = None,
        options: Sequence[SpecOption] = (),
        spec: Spec | None = None,
        labels: Mapping[str, str] | None = None,
        snapshotter: str | None = None,
        runtime: str | None = None,
        runtime_options: RuncOptions | AnyValue | None = None,
    ) -> Container:
        """Make a container: its record, and a snapshot of its image to write to.

        ``image`` is an image, or the name of one that is there; it is unpacked where need be, and never pulled.
        ``args`` replaces the image's Cmd and keeps its Entrypoint. ``options`` change the OCI spec
        (``containerd_aio.spec``), which is containerd's default with the image's configuration, or ``spec``. Without
        an image the option ``rootfs_path`` says which directory of containerd's host the container runs in.
        ``snapshotter`` and ``runtime`` are by default those of the namespace's labels, else ``overlayfs`` and
        ``io.containerd.runc.v2``; a runtime may also be the absolute path of a shim. ``runtime_options`` are
        ``RuncOptions``, or what another runtime takes. If it fails or is cancelled, nothing is left behind.

        :raises InvalidArgumentError: if the id is none, an option does not fit, or there is nothing to run
        :raises AlreadyExistsError: if there is a container of that id
        :raises NotFoundError: if there is no image of that name
        """
        if isinstance(image, str):
            image = await self.image(image)
        wanted = NewContainer(
            id=id,
            image=image,
            args=args,
            options=options,
            spec=spec,
            labels=labels or {},
            snapshotter=snapshotter,
            runtime=runtime,
            runtime_options=runtime_options,
        )
        return await new_container(self._session, wanted)

    async def restore(
        self,
        id: str,
        image: Image | str,
        *,
        spec: Spec | None = None,
        rw: bool = True,
        runtime: bool = True,
        trusted: bool = False,
    ) -> Container:
        """Make a container out of a checkpoint: its image's files, what was changed in them, its spec and runtime.

        ``container.new_task(checkpoint=image)`` then makes its processes go on from where they were. ``spec``
        stands in place of the checkpoint's; ``rw=False`` leaves the changed files out, ``runtime=False`` takes the
        namespace's runtime. The container gets a cgroup of its own id. If it fails or is cancelled, nothing is left.

        Anybody can write a checkpoint: what its spec or its runtime's options want beyond what a container has by
        default (hooks, devices, host binds and namespaces, capabilities, another runtime) is refused, unless
        ``trusted``. That says nothing of the memory.

        :raises InvalidArgumentError: if the image is no checkpoint, or wants too much: all of it is listed
        :raises AlreadyExistsError: if there is a container of that id
        :raises FailedPreconditionError: if the image below the checkpoint is another one by now
        :raises NotFoundError: if there is no image of that name, or a part of it is gone
        """
        if isinstance(image, str):
            image = await self.image(image)
        check_identifier("container id", id)
        found = await restorable(self._session, id, image, spec=spec, rw=rw, runtime=runtime, trusted=trusted)
        wanted = NewContainer(
            id=id,
            image=found.image,
            spec=found.spec,
            layer=found.layer,
            snapshotter=found.snapshotter,
            runtime=found.runtime,
            runtime_options=found.runtime_options,
        )
        return await new_container(self._session, wanted)

    async def checkpoint_support(self) -> CheckpointSupport:
        """Tell whether tasks can be checkpointed, and in words why not: CRIU is missing, too old, or broken here.

        It looks at the CRIU that containerd's runtime would find, and runs ``criu check``. Where containerd is on
        another host, or this process is not root, it cannot be told, and that is said.

        :raises ConnectionLostError: if containerd cannot be reached
        """
        return await checkpoint_support(self._session)

    async def load_container(self, id: str) -> Container:
        """Return a container that is there; leaving its block deletes nothing.

        :raises NotFoundError: if there is none of that id
        """
        try:
            info = await self._session.services.containers.get(id)
        except NotFoundError as error:
            raise error.reworded(
                f"there is no container '{id}' in namespace '{self.namespace}': new_container() makes one, "
                "list_containers() gives those that are there"
            ) from error
        return Container(self._session, info, owned=False)

    async def list_containers(self, *filters: str) -> list[Container]:
        """Return the containers that match any of the filters; all, if there are none."""
        infos = await self._session.services.containers.list(*filters)
        return [Container(self._session, info, owned=False) for info in infos]

    async def run(
        self,
        image: Image | str,
        args: Sequence[str] | None = None,
        *,
        id: str | None = None,
        options: Sequence[SpecOption] = (),
        input: bytes | None = None,
        check: bool = False,
        max_output: int = MAX_OUTPUT,
    ) -> Completed:
        """Run a container to its end, remove it, and return how it ended and what it wrote.

        ``input`` is what it reads from stdin, ``/dev/null`` if left out. If cancelled, it is killed and removed.

        :raises ProcessFailedError: with ``check``, if it ends with another code than 0
        :raises OutputTooLargeError: if it writes more than ``max_output`` bytes, both streams together
        :raises StartFailedError: if the runtime cannot start it; the message has its reason
        """
        check_max_output(max_output)
        stdio = pipes(stdin=input is not None)
        async with AsyncExitStack() as stack:
            container = await self.new_container(
                id if id is not None else f"run-{secrets.token_hex(6)}",
                image=image,
                args=args,
                options=options,
            )
            await stack.enter_async_context(container)
            task = await stack.enter_async_context(await container.new_task(stdio=stdio))
            completed = await captured(task, input=input, max_output=max_output)
        return completed.check() if check else completed


class _Sessions:
    """What a client and its views share: the connection, and one session for each namespace."""

    def __init__(self, connection: Connection, fifo_dir: str | None, witness: bool) -> None:
        self.connection = connection
        self._fifo_dir = fifo_dir
        self._witness = witness
        self._by_namespace: dict[str, Session] = {}

    def of(self, namespace: str) -> Session:
        session = self._by_namespace.get(namespace)
        if session is None:
            check_identifier("namespace", namespace)
            services = Services.of(self.connection.caller(namespace))
            witnessed = self._witness and witness_supported()
            exits = ExitWatcher(services.events, services.tasks, namespace, witnessed=witnessed)
            session = Session(services, exits, namespace, self._fifo_dir, lambda: self.connection.peer_pid)
            self._by_namespace[namespace] = session
        return session

    async def aclose(self) -> None:
        for session in self._by_namespace.values():
            session.exits.check_loop()
        await shielded(self._close)

    async def _close(self) -> None:
        # Waits fail first, so that nobody is told "connection lost" of a client that was closed.
        for session in list(self._by_namespace.values()):
            await session.exits.aclose()
        await self.connection.aclose()
