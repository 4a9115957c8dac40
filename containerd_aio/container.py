"""A container: a record of what is to run, its snapshot, and the task that runs it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from anyio.abc import ByteReceiveStream

from containerd_aio._checkpoint.living import LIVING
from containerd_aio._checkpoint.taking import Parts, take_checkpoint
from containerd_aio._copying import copying
from containerd_aio._copying.copying import MAX_FILE, CopyIn
from containerd_aio._copying.opening import Copied
from containerd_aio._exits.record import ProcessKey
from containerd_aio._new_task import NewTask, new_task
from containerd_aio._process.loading import load
from containerd_aio._process.spec import spec_of
from containerd_aio._session import Session
from containerd_aio._tar.source import ArchiveSource
from containerd_aio._transport.completion import cleaned_up
from containerd_aio.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from containerd_aio.image import Image
from containerd_aio.spec import Spec
from containerd_aio.stdio import Stdio, null
from containerd_aio.task import Task
from containerd_aio.types import AnyValue, CheckpointOptions, ContainerInfo, Mount, RuncOptions, TaskEndpoint


class Container:
    """A container in containerd: metadata and a snapshot; ``new_task()`` makes it run.

    As ``async with`` block, a container that was made by ``new_container()`` is removed at the end, with its
    task and snapshot; one that was loaded is only let go.
    """

    def __init__(
        self, session: Session, info: ContainerInfo, *, owned: bool, mounts: Sequence[Mount] | None = None
    ) -> None:
        self._session = session
        self._info = info
        self._owned = owned
        self._mounts = mounts  # what Prepare answered; asked for where it is not known
        self._made: Task | None = None  # the last task made here: its streams are open

    def __repr__(self) -> str:
        return f"<Container {self.id!r} in namespace {self._session.namespace!r}>"

    @property
    def id(self) -> str:
        """The container's id, unique in its namespace."""
        return self._info.id

    async def info(self) -> ContainerInfo:
        """Ask containerd for the container's record."""
        self._info = await self._session.services.containers.get(self.id)
        return self._info

    async def labels(self) -> Mapping[str, str]:
        """Ask containerd for the labels."""
        return (await self.info()).labels

    async def set_labels(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Set labels, leave the others, and return all of them; an empty value removes a label."""
        fields = [f"labels.{key}" for key in labels]
        if fields:
            changed = replace(self._info, labels=labels)
            self._info = await self._session.services.containers.update(changed, *fields)
        return self._info.labels

    async def spec(self) -> Spec:
        """Ask containerd for the OCI runtime spec."""
        return spec_of(await self.info())

    async def extensions(self) -> Mapping[str, AnyValue]:
        """Ask containerd for what others have stored with the container, by name."""
        return (await self.info()).extensions

    async def update(self, info: ContainerInfo, *fields: str) -> ContainerInfo:
        """Store a changed record and return it; ``fields`` names what to take (``labels``, ``spec``, …), all if none.

        :raises InvalidArgumentError: if the id is another one, or the runtime or snapshotter is changed
        """
        if info.id != self.id:
            raise InvalidArgumentError(
                f"the record of '{info.id}' cannot be stored for container '{self.id}'"
            )
        self._info = await self._session.services.containers.update(info, *fields)
        return self._info

    async def image(self) -> Image:
        """Ask containerd for the image that the container was made from.

        :raises NotFoundError: if it was made from none, or the image is gone
        """
        info = await self.info()
        if info.image is None:
            raise NotFoundError(f"container '{self.id}' was not made from an image")
        return Image(self._session, await self._session.services.images.get(info.image))

    async def new_task(
        self,
        *,
        stdio: Stdio | None = None,
        checkpoint: Image | os.PathLike[str] | None = None,
        rootfs: Sequence[Mount] = (),
        options: RuncOptions | AnyValue | None = None,
        runtime_path: str | None = None,
        endpoint: TaskEndpoint | None = None,
    ) -> Task:
        """Create the container's task: its init is made and held, until ``start()`` lets it run.

        Waits for the event stream to be live first, so that no exit can be missed. ``rootfs`` are mounts to add
        to those of the snapshot. ``options`` are the runtime's for this task: ``RuncOptions`` change what the
        container has, a value stands in its place. ``runtime_path`` is the shim's binary, an absolute path, in
        place of that of the container's runtime; with ``endpoint`` the task of a container in a sandbox goes to
        the shim of that. If cancelled, nothing is left behind.

        With ``checkpoint``, the processes go on from there when it is started, and the pid is known only then:
        from the memory in an image that ``checkpoint()`` made, or from the directory (a ``Path`` on containerd's
        host) that ``checkpoint_to()`` wrote. Their files must be as they were: use ``client.restore()``, or the
        container of old. What was piped is connected to ``stdio``; what was ``/dev/null`` stays so. CRIU does as
        root what a memory says, so take one only from whom you trust.

        :raises StartFailedError: if the runtime cannot make the process; the message has its reason
        :raises AlreadyExistsError: if the container has a task
        :raises InvalidArgumentError: if the container's options are not runc's, and ``options`` are; for ``endpoint``,
            if the container is in no sandbox; for ``checkpoint``, if it has no memory, or that of processes with a
            terminal and ``stdio`` has none, or the other way round
        :raises NotImplementedByServerError: for ``endpoint``, before containerd 2.0
        :raises ConnectionLostError: if containerd cannot be reached
        """
        wanted = NewTask(
            stdio=stdio or null(),
            checkpoint=checkpoint,
            rootfs=rootfs,
            options=options,
            runtime_path=runtime_path,
            endpoint=endpoint,
        )
        self._made = await new_task(self._session, self._info, await self._rootfs(), wanted, self.update)
        return self._made

    async def task(self, stdio: Stdio | None = None) -> Task:
        """Return the container's task, as somebody made it; leaving its block deletes nothing.

        With ``stdio=attach()`` it is connected to the streams that the task has.

        :raises NotFoundError: if the container has no task
        """
        return await load(
            self._session,
            ProcessKey(self.id, ""),
            stdio,
            lambda record, opened: Task(self._session, record, opened, owned=False, container=self._info),
        )

    async def checkpoint(
        self,
        ref: str,
        *,
        image: bool = True,
        task: bool = True,
        rw: bool = True,
        runtime: bool = True,
        exit: bool = False,
        options: CheckpointOptions | None = None,
    ) -> Image:
        """Store the container's state as the image ``ref``, for ``client.restore()``, and return that.

        It has the container's spec, and what is asked for: ``image``, what it was made from; ``task``, the memory of
        its processes, as ``task.checkpoint()`` does it, with ``options``; ``rw``, what it changed in the files of
        the image; ``runtime``, the runtime and its options. With ``exit`` the processes end with it. A task that
        runs is frozen meanwhile, in each case. If it fails or is cancelled, it is as ``task.checkpoint()`` says.

        :raises FailedPreconditionError: if there is no task that runs or is paused, no image, no snapshot
        :raises AlreadyExistsError: if there is an image of that name
        :raises CheckpointFailedError: if CRIU could not do it; the message has its reason
        """
        options = options or CheckpointOptions()
        return await take_checkpoint(
            self._session,
            self.id,
            await self._living_task(needed=task),
            ref=ref,
            parts=Parts(image=image, memory=task, files=rw, runtime=runtime),
            options=replace(options, exit=exit or options.exit),
        )

    async def _living_task(self, *, needed: bool) -> Task | None:
        """Return the task; without one, or where it need not be frozen, ``None``."""
        try:
            task = await self.task()
        except NotFoundError:
            return None
        return task if needed or (await task.status()).state in LIVING else None

    async def copy_in(
        self,
        source: ArchiveSource,
        path: str | os.PathLike[str],
        *,
        owner: str | None = None,
        preserve: bool = False,
        parents: bool = False,
        devices: bool = False,
        max_size: int | None = None,
    ) -> None:
        """Copy a local file or directory, or the members of a tar archive, into the container.

        ``source`` is a local path (``str`` or ``Path``), or an archive: bytes, a binary file, or an async iterable
        of bytes; plain or gzipped. A local path goes where ``docker cp`` puts it: into ``path`` if that is a
        directory, else it becomes ``path``; ``"directory/."`` means its contents. An archive is unpacked in the
        directory ``path``.

        ``path`` counts from the container's root, and is followed through the container's links, which never lead
        out of it. A local file then belongs to root, or with ``preserve`` to its owner here; a tar's members belong
        to the ids in it; ``owner`` gives all to a user: ``"1000:1000"``, or a name that the container knows. Modes
        and times are kept. Directories that are there stay as they are. ``parents`` makes those that are missing.
        ``devices`` takes devices and FIFOs; ``max_size`` bounds the bytes of an archive, unpacked.

        A file is there as a whole or not at all; if this fails or is cancelled, those before it stay. Without a task
        containerd unpacks all of them at the end, and before that nothing is changed; cancelling waits for it, up to
        15 s, and cuts it off then. To cancel does not wait for a binary file that has nothing to read, as a pipe: the
        thread that reads it does.

        :raises InvalidArgumentError: if the archive is damaged, or has a member that leads outside, or lies behind a
            link of its own
        :raises NotFoundError: if a directory is missing, or the container
        :raises FailedPreconditionError: if a file is where a directory is needed, or the filesystem is read-only, or
            the container's files cannot be reached from here; the message tells why
        :raises ResourceExhaustedError: if there is no space left
        :raises OSError: if a local file cannot be read
        """
        how = CopyIn(owner=owner, preserve=preserve, parents=parents, devices=devices, max_size=max_size)
        await copying.copy_in(await self._copied(), source, path, how)

    @asynccontextmanager
    async def copy_out(self, path: str | os.PathLike[str]) -> AsyncGenerator[ByteReceiveStream]:
        """Read a file or directory of the container as a tar archive.

        ``async with container.copy_out("/var/log") as archive: async for chunk in archive: ...`` The archive has it
        under its own name (``log/``), with the container's ids; ``"/var/log/."`` means the contents. What is mounted
        into the container is in it while the task is there; directories of ``/proc`` and its like are empty. The
        last name is followed if it is a link, others are kept as links.

        The files are read while the archive is; pause the task for a picture of one moment.

        :raises NotFoundError: if there is no such file, or container
        :raises FailedPreconditionError: if the container's files cannot be reached from here; while reading, if a
            file became smaller meanwhile
        """
        async with copying.copy_out(await self._copied(), path) as archive:
            yield archive

    async def copy_out_to(
        self,
        path: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        skip_unsafe: bool = False,
        max_size: int | None = None,
    ) -> None:
        """Copy a file or directory of the container to a local path.

        It goes where ``docker cp`` puts it: into ``target`` if that is a directory, else it becomes ``target``;
        ``"/var/log/."`` means the contents. The container is not trusted: files belong to whom this process runs as,
        without setuid and without write permission for others, nothing is written outside of ``target``, and no
        link leads out of the copy. A device or FIFO at ``target`` itself stays. Where there are such links, devices or FIFOs, it is refused, or with
        ``skip_unsafe`` they are left out; an exact copy is in the archive of `copy_out`. ``max_size`` bounds the
        bytes that are taken, headers of 512 bytes a file among them; give it, and a time, where the container may be
        hostile: its files can be without end.

        If this fails or is cancelled, the files that were complete stay.

        :raises NotFoundError: if there is no such file, or container
        :raises InvalidArgumentError: if the copy would have a link that leads outside, a device or a FIFO
        :raises FailedPreconditionError: as `copy_out`
        :raises ResourceExhaustedError: if it has more than ``max_size`` bytes
        :raises OSError: if a local file cannot be written
        """
        await copying.copy_out_to(
            await self._copied(), path, target, skip_unsafe=skip_unsafe, max_size=max_size
        )

    async def read_file(self, path: str | os.PathLike[str], *, max_size: int = MAX_FILE) -> bytes:
        """Return the content of a file of the container, of ``max_size`` bytes (16 MiB) at most.

        :raises NotFoundError: if there is no such file, or container
        :raises FailedPreconditionError: if it is no regular file, or cannot be reached from here
        :raises ResourceExhaustedError: if it is larger
        """
        return await copying.read_file(await self._copied(), path, max_size=max_size)

    async def write_file(
        self,
        path: str | os.PathLike[str],
        data: bytes,
        *,
        mode: int | None = None,
        owner: str | None = None,
        parents: bool = False,
    ) -> None:
        """Make a file of the container, or replace the one that is there, as a whole.

        Its mode and owner are those of the file that is there; a new one has 0644 and root. ``owner`` and
        ``parents`` are as for `copy_in`.

        :raises NotFoundError: if the directory is missing, or the container
        :raises FailedPreconditionError: as `copy_in`; also if something else than a file is there
        :raises ResourceExhaustedError: if there is no space left
        """
        await copying.write_file(await self._copied(), path, data, mode=mode, owner=owner, parents=parents)

    async def delete(self, *, snapshot: bool = True, kill: bool = False) -> None:
        """Remove the container from containerd, and with ``snapshot`` its files.

        ``kill`` first kills its task if that has not ended, whoever made it, and deletes it. If cancelled, a part of
        this may be done; calling again is safe.

        :raises FailedPreconditionError: if it has a task, without ``kill``
        :raises NotFoundError: if it is gone
        """
        if kill:
            await self._delete_made()
            await self._delete_remaining()
        else:
            await self._refuse_task()
        await self._remove(snapshot=snapshot)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._owned:
            return
        failure = error
        try:
            if error is None:
                await self._delete_made()  # our own streams may be slow to take the last of the output
        except BaseException as raised:
            failure = raised
            raise
        finally:
            await cleaned_up(
                partial(self._cleanup, error), failure, f"container '{self.id}' could not be removed"
            )

    async def _cleanup(self, error: BaseException | None) -> None:
        if self._made is not None and error is not None:
            # In a hurry; what fails in it is told with the error, and does not keep the container.
            await self._made.__aexit__(type(error), error, error.__traceback__)
        await self._delete_remaining()
        try:
            await self._remove(snapshot=True)
        except NotFoundError:
            pass

    async def _refuse_task(self) -> None:
        try:
            task = await self._session.services.tasks.get(self.id)
        except NotFoundError:
            return
        raise FailedPreconditionError(
            f"container '{self.id}' has a task ({task.status.state}); delete that first, or delete(kill=True)",
            subject=f"container '{self.id}'",
        )

    async def _delete_made(self) -> None:
        """Remove the task that was made here with its streams, if that was not done yet."""
        if self._made is not None:
            async with self._made:
                pass

    async def _delete_remaining(self) -> None:
        """Remove the task that it has, whoever made it."""
        try:
            task = await self.task()
        except NotFoundError:
            pass
        else:
            try:
                await task.delete(kill=True)
            except NotFoundError:
                pass

    async def _remove(self, *, snapshot: bool) -> None:
        # The snapshot first: without its container the collector takes it, and the two would race.
        if snapshot and self._info.snapshotter and self._info.snapshot_key:
            try:
                await self._session.services.snapshotter(self._info.snapshotter).remove(
                    self._info.snapshot_key
                )
            except NotFoundError:
                pass
        await self._session.services.containers.delete(self.id)

    async def _copied(self) -> Copied:
        return Copied(self._session, await self.info(), self.task)

    async def _rootfs(self) -> Sequence[Mount]:
        if self._mounts is None:
            if not self._info.snapshotter or not self._info.snapshot_key:
                return ()
            snapshotter = self._session.services.snapshotter(self._info.snapshotter)
            self._mounts = await snapshotter.mounts(self._info.snapshot_key)
        return self._mounts
