"""Follows the exits of one namespace: one event stream, kept alive, for every ``wait()``.

Attach, knock, reconcile, live; on loss again. Subscribe has no acknowledgement, so the stream is proved to be
live by an event of our own that comes back (the knock). Only after that is containerd asked for what may have
been missed: asking earlier leaves a gap, and asking is what closes it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Protocol, cast

import anyio
from anyio.abc import TaskGroup

from containerd_aio._exits.inquiry import RESTARTED, VANISHED, Answer, Findings, Inquiry, Tasks
from containerd_aio._exits.record import ExitRecord, ProcessKey, Verdict
from containerd_aio._exits.table import ExitTable
from containerd_aio._exits.witness import Witness
from containerd_aio._transport.supervise import Background, cancelled_from_outside
from containerd_aio.errors import ClientClosedError, ConnectionLostError, ContainerdError, ProcessLostError
from containerd_aio.events import TaskExit, decode
from containerd_aio.filters import where
from containerd_aio.services.events import RawEvent
from containerd_aio.services.events.knock import PAYLOAD, knock, new_topic
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.types import AnyValue, ExitStatus, ProcessRecord, ProcessState

_log = logging.getLogger("containerd_aio.exits")

_SWEEP = 60.0  # seconds: what no event told of is found after that at the latest
_SWEEP_DEAF = 1.0  # the same where the stream could not be proved to be live
_KNOCK_PATIENCE = 5.0
_LATE_EVENT = 1.0  # an exit event may come after the answer of Delete, and know more
_EXEC_GRACE = 2.0  # older shims send the exits of execs after that of their init


class Events(Protocol):
    """What is asked of the events service."""

    def stream(self, *filters: str) -> AbstractAsyncContextManager[AsyncIterator[RawEvent]]: ...

    async def publish_any(self, topic: str, payload: AnyValue) -> None: ...


class ExitWatcher:
    """The exits of one namespace. ``witnessed`` says whether processes may be watched through the kernel."""

    def __init__(self, events: Events, tasks: Tasks, namespace: str, *, witnessed: bool = False) -> None:
        self.table = ExitTable()
        self._events = events
        self._inquiry = Inquiry(tasks, self.table)
        self._namespace = namespace
        self._witnessed = witnessed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: Background | None = None
        self._asking: TaskGroup | None = None
        self._loss: Exception | None = None  # why there is no stream
        self._live = False
        self._caught_up = True  # since the last loss, containerd was asked for what had been missed
        self._changed = anyio.Event()
        self._hurry = anyio.Event()
        self._end: Exception | None = None  # closed, or a bug: nothing comes any more

    # -- what live objects call ----------------------------------------------------------------------------

    async def attached(self) -> None:
        """Wait until the event stream is live, so that no exit from now on can be missed.

        The first call starts the stream. One that was lost is tried again at once, without waiting for longer
        than that one try.

        :raises ConnectionLostError: if containerd cannot be reached
        :raises ClientClosedError: after ``aclose()``, also one that comes meanwhile
        :raises RuntimeError: from another event loop than that of the first call
        """
        self.check_loop()
        self._loop = asyncio.get_running_loop()
        if self._end is not None:
            raise copy.copy(self._end) from self._end.__cause__
        if self._background is None:
            self._background = Background.start(
                self._run, name=f"containerd_aio exits of {self._namespace}", crashed=self._crashed
            )
        if self._live:
            return
        self._loss = None
        self._hurry.set()
        while not self._live:
            if self._loss is not None:
                raise copy.copy(self._loss) from self._loss
            await self._changed.wait()

    def check_loop(self) -> None:
        """Refuse to be used from another event loop: what it resolves belongs to its own.

        :raises RuntimeError: from another event loop, or from none
        """
        if self._loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError(
                "this client belongs to another event loop: make one for each loop, inside of it"
            )

    def wait(self, record: ExitRecord) -> asyncio.Future[ExitStatus]:
        """Return a Future of how the process ends, the caller's own.

        :raises RuntimeError: from another event loop, or from none
        """
        self.check_loop()
        return record.wait()

    def track(self, container_id: str, exec_id: str = "") -> ExitRecord:
        """Begin to follow a process that is about to be created or loaded."""
        return self.table.track(ProcessKey(container_id, exec_id))

    def discard(self, record: ExitRecord) -> None:
        """Stop to follow a process that was not created."""
        self.table.discard(record)

    def created(self, record: ExitRecord, pid: int) -> None:
        """Note the answer of Create, Exec or Get; ``pid`` is 0 where only Start will tell it."""
        verdict = self.table.created(record, pid)
        self._attend(record, verdict)

    def started(self, record: ExitRecord, pid: int) -> None:
        """Note the answer of Start."""
        self._attend(record, record.started(pid))

    def loaded(self, record: ExitRecord, answer: ProcessRecord) -> ExitRecord:
        """Note what Get answered about a process that somebody else made; return the record that is kept for it.

        Two objects for one process share their record.
        """
        known = self.table.known(record, answer)
        if known is not None:
            self.table.discard(record)
            self.answered(known, answer, record.begun)
            return known
        if answer.status.state is ProcessState.UNKNOWN:
            record.created(0)  # whether it is one that is known already, nobody can tell yet
            record.start_unanswered()
            self.doubt(record)
            return record
        self.created(record, answer.pid)
        if answer.status.state is not ProcessState.CREATED:
            self.started(record, answer.pid)
        self.answered(record, answer, record.begun)
        return record

    def answered(self, record: ExitRecord, answer: ProcessRecord, asked: int) -> None:
        """Note what Get answered about the process's ids; ``asked`` is the `moment` before the asking."""
        self._attend(record, record.answered(answer, asked))

    def deleted(self, record: ExitRecord, reply: DeletedProcess) -> None:
        """Note the answer of our own Delete, which tells the status, mostly.

        containerd takes no pid: what somebody else made of these ids in the last moment is deleted in its place.
        """
        if record.pid and reply.pid not in (0, record.pid):
            _log.warning(
                "%s was deleted by somebody else, and so was, by us, what has its ids now", record.key
            )
        record.deleted(reply.pid, reply.code, reply.exited_at_ns)
        loop = asyncio.get_running_loop()
        if not record.settled:
            error = ProcessLostError(f"{record.key} was deleted, and containerd did not tell how it ended")
            loop.call_later(_LATE_EVENT, record.lost, error)
        if not record.key.exec_id:
            for exec_record in self.table.execs_of(record.key.container_id):
                loop.call_later(_LATE_EVENT, exec_record.missing, "its task was deleted")

    async def ask(self, record: ExitRecord) -> None:
        """Ask containerd for the process's status, and settle its waits by the answer.

        Asks again while the shim does not answer; the caller sets the bound.
        """
        await self._inquiry.ask(record, self._why_missing())

    async def ask_execs(self, container_id: str) -> None:
        """Ask for the open execs of a container whose task is about to be deleted: afterwards nobody knows them."""
        with anyio.move_on_after(_EXEC_GRACE):
            await self._inquiry.ask_execs(container_id)

    def missing(self, record: ExitRecord) -> None:
        """Note that containerd answered NOT_FOUND for the process."""
        if self._inquiry.missing(record, self._why_missing()) is Answer.OUTLIVED:
            self.doubt(record)

    def doubt(self, record: ExitRecord) -> None:
        """Have containerd asked soon; where there is no stream now, it is asked when there is one again."""
        if self._asking is not None and not record.settled:
            self._asking.start_soon(self._inquiry.ask, record)

    def _why_missing(self) -> str:
        return VANISHED if self._caught_up else RESTARTED

    async def aclose(self) -> None:
        """End the stream and fail the waits that are open; none of them was cancelled, none hangs.

        :raises RuntimeError: from another event loop
        """
        self.check_loop()
        self._close()
        if self._background is not None:
            await self._background.aclose()

    def _close(self) -> None:
        self._end = ClientClosedError("the client is closed")
        self.table.fail(ClientClosedError("the client was closed before the process ended"))
        self._set_state(live=False, loss=self._end)  # who waits for the stream is told, too

    # -- the stream ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause = 0.0
        while True:
            try:
                await self._follow()
            except* ContainerdError as group:
                error = cast(ContainerdError, _first(group))
                if isinstance(error, ClientClosedError):
                    self._close()
                elif self._live:
                    pause = 0.0
                    _log.warning("lost the event stream of namespace %r: %s", self._namespace, error)
                self._caught_up = False
                self._set_state(live=False, loss=error)
            if self._end is not None:
                return
            # A group that ends by an error ends so also when it was cancelled at the same moment.
            if cancelled_from_outside():
                raise asyncio.CancelledError
            pause = min(max(2 * pause, 0.02), 1.0)
            with anyio.move_on_after(pause * random.uniform(0.5, 1)):
                await self._hurry.wait()

    async def _follow(self) -> None:
        topic = new_topic()
        exits = where(namespace=self._namespace, topic="/tasks/exit")
        self._hurry = anyio.Event()
        async with (
            self._events.stream(exits, where(topic=topic)) as stream,
            anyio.create_task_group() as group,
        ):
            heard = anyio.Event()
            group.start_soon(self._attach, topic, heard)
            async for event in stream:
                if event.topic == topic:
                    heard.set()
                else:
                    self._dispatch(event)
            raise ConnectionLostError("containerd ended the event stream")

    async def _attach(self, topic: str, heard: anyio.Event) -> None:
        if not await self._knocked(topic, heard, _KNOCK_PATIENCE):
            _log.warning(
                "the event stream of namespace %r gives nothing back, asking instead", self._namespace
            )
        async with anyio.create_task_group() as asking:
            self._asking = asking
            try:
                await self._live_on(topic, heard)
            finally:
                self._asking = None  # before the group closes: it takes nothing after that

    async def _live_on(self, topic: str, heard: anyio.Event) -> None:
        # What there is to ask for was tracked before; whoever comes from now on is heard.
        self._set_state(live=True, loss=None)
        found = await self._reconciled()
        self._caught_up = True
        _log.info("attached to namespace %r, reconciled %d", self._namespace, found.exits)
        for record in (*found.unclear, *found.outlived):
            self.doubt(record)
        while True:
            if heard.is_set():
                await anyio.sleep(_SWEEP)
            else:
                await self._knocked(topic, heard, _SWEEP_DEAF)
            await self._sweep(deaf=not heard.is_set())

    async def _knocked(self, topic: str, heard: anyio.Event, patience: float) -> bool:
        """Publish until the stream gives it back; tell whether it did within ``patience`` seconds."""
        with anyio.move_on_after(patience):
            try:
                await knock(partial(self._events.publish_any, topic, PAYLOAD), heard)
            except ConnectionLostError:
                raise
            except ContainerdError as error:
                _log.debug("the knock was refused: %s", error)
                await heard.wait()
        return heard.is_set()

    async def _reconciled(self) -> Findings:
        while True:
            try:
                return await self._inquiry.reconcile()
            except ConnectionLostError:
                raise
            except ContainerdError as error:
                _log.warning("cannot ask for the exits of namespace %r yet: %s", self._namespace, error)
                await anyio.sleep(1.0)

    async def _sweep(self, *, deaf: bool) -> None:
        try:
            found = await self._inquiry.sweep()
        except ContainerdError as error:
            # A loss shows on the stream itself; a stalled daemon is none, and breaks no stream.
            _log.debug("cannot sweep namespace %r: %s", self._namespace, error)
            return
        for (
            record
        ) in found.outlived:  # not the unclear: a shim that hangs may do so for as long as many sweeps
            self.doubt(record)
        if found.exits and not deaf:
            _log.warning(
                "%d exits of namespace %r came by no event, found by asking", found.exits, self._namespace
            )

    # -- reports -------------------------------------------------------------------------------------------

    def _dispatch(self, event: RawEvent) -> None:
        payload = None if event.payload is None else decode(event.payload)
        if not isinstance(payload, TaskExit) or event.namespace != self._namespace:
            return
        exec_id = "" if payload.id == payload.container_id else payload.id
        key = ProcessKey(payload.container_id, exec_id)
        status = ExitStatus(payload.exit_status, payload.exited_at_ns)
        for record in self.table.exited(key, payload.pid, status):
            self.doubt(record)
        if not exec_id and self._asking is not None and self.table.execs_of(key.container_id):
            self._asking.start_soon(self._ask_execs_later, key.container_id)

    async def _ask_execs_later(self, container_id: str) -> None:
        await anyio.sleep(_EXEC_GRACE)
        await self._inquiry.ask_execs(container_id)

    def _attend(self, record: ExitRecord, verdict: Verdict) -> None:
        if record.settled:
            return
        if self._witnessed and record.witness is None and record.pid:
            record.witness = Witness.open(record.pid, self._namespace, record.key.container_id)
        if verdict is Verdict.DOUBTED or record.passed_over:
            record.passed_over = False
            self.doubt(record)

    def _set_state(self, *, live: bool, loss: Exception | None) -> None:
        self._live, self._loss = live, loss
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _crashed(self, error: BaseException) -> None:
        """Fail every wait with the bug that ended the stream: none may hang for it."""
        failure = ContainerdError(f"the exit watcher of namespace '{self._namespace}' failed: {error!r}")
        failure.__cause__ = _first(error)
        self.table.fail(failure)
        self._end = failure
        self._set_state(live=False, loss=failure)


def _first(error: BaseException) -> BaseException:
    """Return the error, or the first one of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
