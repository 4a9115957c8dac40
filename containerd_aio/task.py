"""A task: the live init process of a container, and the door to what else runs in it."""

from __future__ import annotations

import os
import secrets
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial

import anyio

from containerd_aio._capture import MAX_OUTPUT, captured, check_max_output
from containerd_aio._checkpoint.directory import checkpoint_to_directory
from containerd_aio._checkpoint.taking import Parts, take_checkpoint
from containerd_aio._exits.record import ExitRecord, ProcessKey
from containerd_aio._process.adding import add_exec
from containerd_aio._process.ending import LAST_OUTPUT_SECONDS
from containerd_aio._process.freezer import Freezer
from containerd_aio._process.loading import load
from containerd_aio._process.spec import exec_spec, spec_of
from containerd_aio._refusal import limits_refused, state_named
from containerd_aio._session import Session
from containerd_aio._transport.typeurl import LINUX_RESOURCES, json_any
from containerd_aio.errors import InvalidArgumentError, UnavailableError, UnknownError
from containerd_aio.filters import where
from containerd_aio.image import Image
from containerd_aio.process import Process
from containerd_aio.spec import Spec
from containerd_aio.spec.schema import LinuxResources
from containerd_aio.spec.schema import Process as ProcessSpec
from containerd_aio.stdio import OpenStdio, Stdio, null, pipes
from containerd_aio.types import (
    CheckpointOptions,
    Completed,
    ContainerInfo,
    ExitStatus,
    Metrics,
    ProcessInfo,
    ProcessState,
)
from containerd_aio.types.identifier import check_identifier

_UPDATABLE = frozenset({ProcessState.CREATED, ProcessState.RUNNING, ProcessState.PAUSED})


class Task(Process):
    """The init process of a container, made by ``container.new_task()``.

    As ``async with`` block, a task that was made here is killed if it has not ended, and deleted, with its
    execs; one that was loaded is only let go.
    """

    def __init__(
        self, session: Session, record: ExitRecord, stdio: OpenStdio, *, owned: bool, container: ContainerInfo
    ) -> None:
        super().__init__(session, record, stdio, owned=owned)
        self._container = container
        self._freezer = Freezer(self._calls)
        self._execs = weakref.WeakSet[Process]()  # those made here: their streams may be open

    async def spec(self) -> Spec:
        """Ask containerd for the OCI runtime spec that the container has."""
        return spec_of(await self._session.services.containers.get(self.id))

    async def exec(
        self,
        id: str,
        args: Sequence[str] | ProcessSpec,
        *,
        stdio: Stdio | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        capabilities: Sequence[str] | None = None,
        terminal: bool | None = None,
    ) -> Process:
        """Add a process to the container, which is created or runs; ``start()`` runs it.

        It is a copy of the container's own process with other arguments: ``env`` is merged into its
        environment, where ``None`` removes a variable; ``cwd``, ``user`` and ``capabilities`` replace its own. A
        whole OCI process (a mapping) is taken as it is. It has a terminal if ``stdio`` has one; ``terminal`` says
        so once more, for the reader. If cancelled, nothing is left behind.

        As ``async with`` block it is killed and deleted at the end. While the task is paused, it cannot die under
        cgroup v1: then the block ends, after a second, with a ``FailedPreconditionError`` that says so, nothing is
        thawed, and the process ends when the task is resumed, or with it.

        :raises InvalidArgumentError: if the id is none, or the arguments are not usable; before any RPC
        :raises AlreadyExistsError: if the task has a process of this id
        :raises FailedPreconditionError: if the task is paused, or has ended
        """
        check_identifier("exec id", id)
        if id == self.id:
            raise InvalidArgumentError(
                f"an exec cannot have its container's id '{id}': exits name both alike"
            )
        self._calls.key()
        stdio = stdio or null()
        if terminal not in (None, stdio.terminal):
            raise InvalidArgumentError(
                f"terminal={terminal} contradicts stdio=: a terminal is that of pipes(terminal=True) and its like"
            )
        process = await exec_spec(
            self._session,
            self._container,
            args,
            env=env,
            cwd=cwd,
            user=user,
            capabilities=capabilities,
            terminal=stdio.terminal,
        )
        made = await add_exec(self._calls, id, process, stdio, partial(Process, self._session, owned=True))
        self._execs.add(made)
        return made

    async def run(
        self,
        args: Sequence[str] | ProcessSpec,
        *,
        id: str | None = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        capabilities: Sequence[str] | None = None,
        input: bytes | None = None,
        check: bool = False,
        max_output: int = MAX_OUTPUT,
    ) -> Completed:
        """Run a process in the container to its end, as ``exec()`` adds it, and return how it ended and what it
        wrote.

        ``input`` is what it reads from stdin, ``/dev/null`` if left out. If cancelled, it is killed and removed.

        :raises ProcessFailedError: with ``check``, if it ends with another code than 0
        :raises OutputTooLargeError: if it writes more than ``max_output`` bytes, both streams together
        :raises StartFailedError: if the runtime cannot start it; the message has its reason
        :raises FailedPreconditionError: if the task is not running
        """
        check_max_output(max_output)
        process = await self.exec(
            id if id is not None else f"run-{secrets.token_hex(6)}",
            args,
            stdio=pipes(stdin=input is not None),
            env=env,
            cwd=cwd,
            user=user,
            capabilities=capabilities,
        )
        async with process:
            completed = await captured(process, input=input, max_output=max_output)
        return completed.check() if check else completed

    async def load_process(self, id: str, *, stdio: Stdio | None = None) -> Process:
        """Return an exec that somebody has made, running or ended; leaving its block deletes nothing.

        With ``stdio=attach()`` it is connected to the streams that the exec has. It has its pid, and ``wait()``
        tells how it ends, or ended, also to a client that was started after that.

        :raises InvalidArgumentError: if the id is none, or the container's own: that process is the task itself
        :raises NotFoundError: if the task has no exec of that id
        """
        check_identifier("exec id", id)
        if id == self.id:
            raise InvalidArgumentError(
                f"'{id}' is no exec but the task itself; container.task(stdio=...) attaches to that"
            )
        await self._calls.own_key()
        return await load(
            self._session,
            ProcessKey(self.id, id),
            stdio,
            partial(Process, self._session, owned=False),
        )

    async def update(
        self, resources: LinuxResources, *, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Change the limits of the task while it runs; ``containerd_aio.spec.resources()`` makes the argument.

        What it does not name stays as it is. ``annotations`` are the runtime's; runc takes none. If cancelled, the
        limits may or may not be changed.

        :raises InvalidArgumentError: if the kernel does not take the limits; the message has the runtime's reason
        :raises FailedPreconditionError: if the task has ended
        :raises NotFoundError: if it was deleted
        """
        document = json_any(LINUX_RESOURCES, resources)
        if not document.value.startswith(b"{"):
            raise InvalidArgumentError(
                f"resources is a mapping, as spec.resources() makes it, not {resources!r}"
            )
        key = await self._calls.own_key()
        try:
            async with state_named("it cannot be updated", self.name, self.status, allowed=_UPDATABLE):
                await self._session.services.tasks.update(key.container_id, document, annotations=annotations)
        except UnknownError as error:
            raise limits_refused(self.name, error) from error

    async def metrics(self) -> Metrics:
        """Ask what the task uses: CPU, memory, processes, block devices.

        :raises NotFoundError: if the task was deleted
        """
        await self._calls.own_key()
        for told in await self._session.services.tasks.metrics(where(id=self.id)):
            return told
        await self.status()
        raise UnavailableError(f"containerd tells no metrics of {self.name} now", subject=self.name)

    async def pids(self) -> list[ProcessInfo]:
        """Ask for the processes in the container, with the exec id of each that an exec started."""
        return await self._session.services.tasks.list_pids((await self._calls.own_key()).container_id)

    async def pause(self) -> None:
        """Freeze all processes of the container.

        :raises FailedPreconditionError: if the task does not run
        """
        await self._freezer.freeze()

    async def resume(self) -> None:
        """Let the frozen processes of the container go on.

        :raises FailedPreconditionError: if the task is not paused
        """
        await self._freezer.thaw()

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Freeze the container for the length of the block, and restore the state it was found in.

        The state is restored also when the block fails or is cancelled; a task found paused stays paused. Of blocks
        of one client that overlap, the last one restores it; other clients' know nothing of them. That the task has
        ended meanwhile is no error. Where containerd restarts meanwhile, that is waited for (15 s at most).

        :raises FailedPreconditionError: if the task does not run
        """
        return self._freezer.frozen()

    async def checkpoint(self, ref: str | None = None, *, options: CheckpointOptions | None = None) -> Image:
        """Store the task's memory, and what its container changed in the files, as the image ``ref``; return that.

        ``client.restore()`` makes a container from it, and ``container.new_task(checkpoint=image)`` its processes,
        which go on from where they were. It needs CRIU where containerd is: ``client.checkpoint_support()`` tells.
        Without ``ref`` the name is a new one, ``containerd.io/checkpoint/<id>:<time>``. The task is frozen
        meanwhile, and afterwards in the state that it was in, or dead with ``CheckpointOptions(exit=True)``. Its execs
        are not in it.

        If it fails or is cancelled, there is no image, and the task is as it was: with ``exit`` it is killed when the
        image is there. A cancelled one is given 15 s to come to its end; a task that has ended by then has its image,
        whose name is logged. If this process is killed meanwhile, the task stays frozen until ``resume()``.

        :raises FailedPreconditionError: if the task neither runs nor is paused; if its container has no image or no
            snapshot
        :raises AlreadyExistsError: if there is an image of that name
        :raises CheckpointFailedError: if CRIU could not do it; the message has its reason
        """
        return await take_checkpoint(
            self._session, self.id, self, ref=ref, parts=Parts(), options=options or CheckpointOptions()
        )

    async def checkpoint_to(
        self, path: str | os.PathLike[str], *, options: CheckpointOptions | None = None
    ) -> None:
        """Have CRIU write the task's memory to a directory of containerd's host, without the files.

        ``path`` is absolute; the directory is empty, or absent in one that is there.
        ``container.new_task(checkpoint=Path(path))`` goes on from there, in this container: its files must be as
        they are now. Cancelling is as with ``checkpoint()``.

        :raises InvalidArgumentError: if the path is not absolute, or cannot be a directory
        :raises AlreadyExistsError: if the directory is not empty
        :raises FailedPreconditionError: if the task neither runs nor is paused
        :raises CheckpointFailedError: if CRIU could not do it; the message has its reason
        """
        await checkpoint_to_directory(self._session, self.id, self, path, options or CheckpointOptions())

    async def delete(self, *, kill: bool = False) -> ExitStatus | None:
        """As of each process; the execs go with it, and the streams of those that were made here are closed."""
        status = await super().delete(kill=kill)
        await self._let_execs_go()
        return status

    async def _cleanup(self) -> None:
        if self._owned:
            for process in self._execs:
                process.stdio.hurry()
        try:
            await super()._cleanup()
        finally:
            if self._owned:
                await self._let_execs_go()

    async def _let_execs_go(self) -> None:
        async with AsyncExitStack() as closing, anyio.create_task_group() as draining:
            for process in self._execs:  # each is closed, whatever happens to the others
                closing.push_async_callback(process.stdio.aclose)
                draining.start_soon(process.stdio.drain, LAST_OUTPUT_SECONDS)
