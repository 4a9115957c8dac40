"""A task: the live init process of a container, and the door to what else runs in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

from containerd_aio._exits.record import ExitRecord, Phase
from containerd_aio._opening import open_stdio
from containerd_aio._refusal import state_named
from containerd_aio._session import Session
from containerd_aio._transport.completion import cleaned_up, completed
from containerd_aio._transport.typeurl import PROCESS, from_json_any, json_any
from containerd_aio.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from containerd_aio.process import Process
from containerd_aio.services.tasks import DeletedProcess
from containerd_aio.spec import RootfsNeeded, Spec, open_rootfs, process_for_exec
from containerd_aio.spec.schema import Process as ProcessSpec
from containerd_aio.stdio import OpenStdio, Stdio, null
from containerd_aio.types import ContainerInfo, ProcessInfo, ProcessState
from containerd_aio.types.identifier import check_identifier

_RUNNING = frozenset({ProcessState.RUNNING})
_PAUSED = frozenset({ProcessState.PAUSED})


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

    async def spec(self) -> Spec:
        """Ask containerd for the OCI runtime spec that the container has."""
        return spec_of(await self._session.services.containers.get(self.id))

    async def exec(
        self,
        id: str,
        args: Sequence[str] | ProcessSpec,
        *,
        stdio: Stdio | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        terminal: bool | None = None,
    ) -> Process:
        """Add a process to the running container; ``start()`` runs it.

        It is a copy of the container's own process with other arguments: ``env`` is merged into its
        environment; ``cwd`` and ``user`` replace its own. A whole OCI process (a mapping) is taken as it is.
        If cancelled, nothing is left behind.

        :raises InvalidArgumentError: if the id is none, or the arguments are not usable; before any RPC
        :raises AlreadyExistsError: if the task has a process of this id
        :raises FailedPreconditionError: if the task is paused, or has ended
        """
        check_identifier("exec id", id)
        if id == self.id:
            raise InvalidArgumentError(
                f"an exec cannot have its container's id '{id}': exits name both alike"
            )
        stdio = stdio or null()
        if terminal is None:
            terminal = stdio.terminal
        process = await self._process_spec(args, env=env, cwd=cwd, user=user, terminal=terminal)
        exits = self._session.exits
        await exits.attached()
        opened = await open_stdio(self._session, stdio, id)
        record = exits.track(self.id, id)

        async def add() -> None:
            await self._session.services.tasks.exec(
                self.id,
                id,
                json_any(PROCESS, process),
                stdin=opened.stdin_path,
                stdout=opened.stdout_path,
                stderr=opened.stderr_path,
                terminal=opened.terminal,
            )
            exits.created(record, 0)

        try:
            async with state_named(f"exec '{id}' cannot be added", self.name, self.status, allowed=_RUNNING):
                await completed(add)
        except BaseException as error:
            undo = partial(self._undo_exec, record, opened)
            await cleaned_up(undo, error, f"exec '{id}' of container '{self.id}' could not be removed")
            raise
        return Process(self._session, record, opened, owned=True)

    async def pids(self) -> list[ProcessInfo]:
        """Ask for the processes in the container, with the exec id of each that an exec started."""
        return await self._session.services.tasks.list_pids(self.id)

    async def pause(self) -> None:
        """Freeze all processes of the container.

        :raises FailedPreconditionError: if the task does not run
        """
        async with state_named("it cannot be paused", self.name, self.status, allowed=_RUNNING):
            await self._session.services.tasks.pause(self.id)

    async def resume(self) -> None:
        """Let the frozen processes of the container go on.

        :raises FailedPreconditionError: if the task is not paused
        """
        async with state_named("it cannot be resumed", self.name, self.status, allowed=_PAUSED):
            await self._session.services.tasks.resume(self.id)

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Freeze the container for the length of the block, and restore the state it was found in.

        The state is restored also when the block fails or is cancelled; a task found paused stays paused. That
        the task has ended meanwhile is no error.

        :raises FailedPreconditionError: if the task does not run
        """
        found = (await self.status()).state
        if found is ProcessState.PAUSED:
            yield
            return
        error: BaseException | None = None
        try:
            await completed(self.pause)  # one that is given up in the middle may freeze the task later
            yield
        except BaseException as problem:
            error = problem
            raise
        finally:
            await cleaned_up(self._thaw, error, f"{self._record.key} could not be resumed")

    async def _thaw(self) -> None:
        try:
            if (await self.status()).state in (ProcessState.PAUSED, ProcessState.PAUSING):
                await self.resume()
        except NotFoundError:
            pass

    async def _let_die(self) -> None:
        if not self._record.settled:
            with suppress(FailedPreconditionError):  # it ended, or thawed, meanwhile
                await self._thaw()

    async def _delete_rpc(self) -> DeletedProcess:
        await self._session.exits.ask_execs(self.id)
        return await self._session.services.tasks.delete(self.id)

    async def _process_spec(
        self,
        args: Sequence[str] | ProcessSpec,
        *,
        env: Mapping[str, str] | None,
        cwd: str | None,
        user: str | None,
        terminal: bool,
    ) -> ProcessSpec:
        if isinstance(args, Mapping):
            return args
        spec = spec_of(self._container)
        try:
            return process_for_exec(spec, args=args, env=env, cwd=cwd, user=user, terminal=terminal)
        except RootfsNeeded:
            pass  # the user must be looked up in the container's files
        snapshotter, key = self._container.snapshotter, self._container.snapshot_key
        if not snapshotter or not key:
            raise InvalidArgumentError(
                f"user '{user}' cannot be looked up: container '{self.id}' has no snapshot; give uid:gid"
            )
        if self._session.fifo_dir is None:
            raise InvalidArgumentError(
                f"user '{user}' cannot be looked up: containerd is on another host; give uid:gid"
            )
        mounts = await self._session.services.snapshotter(snapshotter).mounts(key)
        with open_rootfs(mounts) as rootfs:
            return process_for_exec(
                spec, args=args, env=env, cwd=cwd, user=user, terminal=terminal, rootfs=rootfs
            )

    async def _undo_exec(self, record: ExitRecord, opened: OpenStdio) -> None:
        try:
            if record.phase is Phase.CREATED:
                record.deleting = True
                await self._session.services.tasks.delete_process(*record.key)
        finally:
            self._session.exits.discard(record)
            await opened.aclose()


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
