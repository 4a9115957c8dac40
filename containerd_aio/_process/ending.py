"""How a process is brought to its end, and out of containerd."""

from __future__ import annotations

import asyncio
import math
import signal as signals
from contextlib import suppress

import anyio

from containerd_aio._exits.record import Phase
from containerd_aio._process.calls import ProcessCalls
from containerd_aio._process.freezer import FROZEN, Freezer
from containerd_aio._refusal import DELETABLE, UNENDED, state_named, state_refused
from containerd_aio.errors import ContainerdError, FailedPreconditionError, NotFoundError
from containerd_aio.stdio import OpenStdio
from containerd_aio.types import ExitStatus, ProcessState
from containerd_aio.types.signal import STOP_SIGNAL_LABEL, known_signal

# Delete itself has no deadline of ours; once it has answered, the shim's ends are closed and EOF is near.
LAST_OUTPUT_SECONDS = 2.0
# A process that does not die of SIGKILL within that is looked at: it may be frozen.
_DEATH_SECONDS = 1.0

_UNENDED_WAY = "wait for its end, kill() it, or delete(kill=True)"


class Ending:
    """Ends one process: asked to, killed, deleted."""

    def __init__(self, calls: ProcessCalls, stdio: OpenStdio) -> None:
        self._calls = calls
        self._session = calls.session
        self._record = calls.record
        self._stdio = stdio

    # -- stop and kill -------------------------------------------------------------------------------------

    async def stop(self, grace: float) -> ExitStatus:
        """Ask it to end, and kill it when ``grace`` seconds have passed."""
        exited = self._session.exits.wait(self._record)
        try:
            if not exited.done():
                await self._ask_to_end()
                with anyio.move_on_after(grace):
                    await asyncio.wait([exited])
            if not exited.done():
                await self.kill()
            return await exited
        finally:
            exited.cancel()

    async def kill(self) -> None:
        """Kill it if it runs, and wait for its end.

        :raises FailedPreconditionError: if it is an exec of a frozen task: it dies when that is thawed
        """
        if not self._record.settled and self._record.phase is Phase.CREATED:
            try:
                await self._calls.state()  # somebody else may have started it
            except NotFoundError:
                return
        if self._record.settled or self._record.phase not in (Phase.STARTING, Phase.STARTED):
            return
        exited = self._session.exits.wait(self._record)
        try:
            try:
                await self._calls.kill(signals.SIGKILL)
            except FailedPreconditionError:
                await self._session.exits.ask(self._record)
                if not self._record.settled:
                    return  # it never ran
            except NotFoundError:
                # It has ended, or is about to be reaped, or gone: in the first two cases its exit is to come.
                await self._session.exits.ask(self._record)
            await self._died(exited)
        finally:
            exited.cancel()

    async def _ask_to_end(self) -> None:
        """Send the stop signal, unless it has ended. A frozen task is thawed, or it could not do as it is asked."""
        try:
            number = await self._stop_signal()
            state = await self._calls.state()
            if state is ProcessState.CREATED or (self._calls.is_exec and state in FROZEN):
                ways = {ProcessState.CREATED: "it was not started; delete() it"}
                raise state_refused("it cannot be stopped", self._calls.name, state, ways=ways)
            await self._calls.signal(number)
        except NotFoundError:
            await self._session.exits.ask(self._record)
            return
        if state in FROZEN:
            await Freezer(self._calls).thaw_if_frozen()

    async def _stop_signal(self) -> int:
        if self._calls.is_exec:
            return signals.SIGTERM
        container = await self._session.services.containers.get(self._record.key.container_id)
        return known_signal(container.labels.get(STOP_SIGNAL_LABEL, "")) or signals.SIGTERM

    async def _died(self, exited: asyncio.Future[ExitStatus]) -> None:
        """Wait for the end of what was killed, and thaw a task that is too frozen to die."""
        while not (await asyncio.wait([exited], timeout=_DEATH_SECONDS))[0]:
            if not await self._is_frozen():
                continue
            if self._calls.is_exec:
                raise FailedPreconditionError(
                    f"{self._calls.name} cannot end while its task is paused: it was sent SIGKILL, and dies when"
                    " that is resumed; resume() the task",
                    subject=self._calls.name,
                )
            with suppress(
                ContainerdError
            ):  # tried again; the exit is waited for whatever happens to containerd
                await Freezer(self._calls).thaw_if_frozen()

    async def _is_frozen(self) -> bool:
        try:
            return (await self._calls.status()).state in FROZEN
        except ContainerdError:
            return False

    # -- delete --------------------------------------------------------------------------------------------

    async def delete(self, *, kill: bool) -> None:
        """Delete it, and settle its waits by the answer; of one that is gone already, read what is left."""
        if kill and self._record.phase is not Phase.DELETED:
            await self.kill()
        async with self._record.delete_lock:
            # Once it is deleted its ids may be another's, and a second Delete would hit that one.
            if self._record.phase is not Phase.DELETED and await self._is_there():
                await self._delete_drained()
                return
        await self._stdio.drain(LAST_OUTPUT_SECONDS)

    async def _is_there(self) -> bool:
        """Tell whether there is something to delete.

        :raises FailedPreconditionError: if it has not ended
        """
        try:
            state = await self._calls.state()
        except NotFoundError:
            await self._is_gone()
            return False
        if state in UNENDED:
            ways = dict.fromkeys(UNENDED, _UNENDED_WAY)
            raise state_refused("it cannot be deleted", self._calls.name, state, ways=ways)
        return True

    async def _is_gone(self) -> None:
        """Note that containerd has it no more; how it ended may become known within moments.

        :raises NotFoundError: if that cannot be asked for now
        """
        record = self._record
        await self._session.exits.ask(record)
        if not record.settled:
            raise NotFoundError(f"containerd has {self._calls.name} no more", subject=self._calls.name)
        record.phase = Phase.DELETED

    async def _delete_drained(self) -> None:
        """Delete while reading what is left: the shim waits for its output to be taken."""
        failure: ContainerdError | None = None
        self._record.deleting = True
        self._stdio.deleting()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._stdio.drain, math.inf)
                try:
                    reply = await self._calls.delete()
                except ContainerdError as error:
                    failure = error
                else:
                    # Not after the output: who gives that up has deleted the process all the same.
                    self._session.exits.deleted(self._record, reply)
                group.cancel_scope.deadline = anyio.current_time() + LAST_OUTPUT_SECONDS
        finally:
            self._record.deleting = False
        if failure is not None:
            await self._forgive_gone(failure)
        await self._stdio.drain(0)

    async def _forgive_gone(self, failure: ContainerdError) -> None:
        """Raise what Delete has failed with, unless the process is gone."""
        ways = dict.fromkeys(UNENDED, _UNENDED_WAY)
        try:
            async with state_named(
                "it cannot be deleted", self._calls.name, self._calls.status, allowed=DELETABLE, ways=ways
            ):
                raise failure
        except NotFoundError:
            await self._is_gone()
