"""A containerd's tasks and events in memory, for what reality cannot be asked to do at the right moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from containerd_aio._exits.witness import Witness
from containerd_aio.errors import ConnectionLostError, ContainerdError, NotFoundError
from containerd_aio.events import TaskExit, encode
from containerd_aio.services.events import RawEvent
from containerd_aio.types import AnyValue, ExitStatus, ProcessRecord, ProcessState, Status

NAMESPACE = "test"


@dataclass
class FakeDaemon:
    """Both services: processes by (container id, exec id), and the streams of the subscribers."""

    up: bool = True
    publish_error: ContainerdError | None = None
    deaf: bool = False  # takes events, and gives none of them to anybody
    late_by: int = 1  # so many publications pass before a subscriber is registered
    processes: dict[tuple[str, str], ProcessRecord] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    subscriptions: int = 0

    def __post_init__(self) -> None:
        self._subscribers: list[MemoryObjectSendStream[RawEvent]] = []
        self._pending: list[tuple[int, MemoryObjectSendStream[RawEvent]]] = []
        self.asked = anyio.Event()

    # the services

    async def get(self, container_id: str, exec_id: str = "") -> ProcessRecord:
        self._call("get")
        await anyio.lowlevel.checkpoint()
        self._check()
        try:
            return self.processes[container_id, exec_id]
        except KeyError:
            raise NotFoundError(f"no process {container_id} {exec_id}") from None

    async def list(self) -> list[ProcessRecord]:
        self._call("list")
        await anyio.lowlevel.checkpoint()
        self._check()
        return [process for (_, exec_id), process in self.processes.items() if not exec_id]

    @asynccontextmanager
    async def stream(self, *filters: str) -> AsyncIterator[AsyncIterator[RawEvent]]:
        self._check()
        sending: MemoryObjectSendStream[RawEvent]
        receiving: MemoryObjectReceiveStream[RawEvent]
        sending, receiving = anyio.create_memory_object_stream(100_000)
        self._pending.append((self.late_by, sending))
        self.subscriptions += 1
        try:
            yield self._received(receiving)
        finally:
            self.subscriptions -= 1
            sending.close()
            receiving.close()
            if sending in self._subscribers:
                self._subscribers.remove(sending)

    async def publish_any(self, topic: str, payload: AnyValue) -> None:
        self._call("publish")
        await anyio.lowlevel.checkpoint()
        self._check()
        if self.publish_error is not None:
            raise self.publish_error
        self._deliver(RawEvent(1, NAMESPACE, topic, payload))

    # what the test does

    def run(self, container_id: str, exec_id: str = "", *, pid: int = 7) -> None:
        self.processes[container_id, exec_id] = ProcessRecord(
            container_id, exec_id, pid, Status(ProcessState.RUNNING)
        )

    def exit(self, container_id: str, exec_id: str = "", *, code: int = 0, told: bool = True) -> ExitStatus:
        """End a process; ``told`` whether an event goes out."""
        status = ExitStatus(code, 1_000)
        record = self.processes[container_id, exec_id]
        self.processes[container_id, exec_id] = ProcessRecord(
            container_id, exec_id, record.pid, Status(ProcessState.STOPPED, status)
        )
        if told:
            self.tell(container_id, exec_id, pid=record.pid, status=status)
        return status

    def tell(self, container_id: str, exec_id: str = "", *, pid: int, status: ExitStatus) -> None:
        payload = TaskExit(
            container_id=container_id,
            id=exec_id or container_id,
            pid=pid,
            exit_status=status.code,
            exited_at_ns=status.exited_at_ns,
        )
        self._deliver(RawEvent(1, NAMESPACE, "/tasks/exit", encode(payload)))

    def lose(self) -> None:
        """Break all streams; the daemon stays up."""
        for subscriber in [*self._subscribers, *(subscriber for _, subscriber in self._pending)]:
            subscriber.close()
        self._subscribers.clear()
        self._pending.clear()

    def stop(self) -> None:
        """Go away."""
        self.up = False
        self.lose()

    # within

    async def _received(self, events: MemoryObjectReceiveStream[RawEvent]) -> AsyncIterator[RawEvent]:
        async for event in events:
            yield event
        raise ConnectionLostError("the connection was lost")

    def _deliver(self, event: RawEvent) -> None:
        if self.deaf:
            return
        for subscriber in self._subscribers:
            subscriber.send_nowait(event)
        waiting, self._pending = self._pending, []
        for left, subscriber in waiting:
            if left > 1:
                self._pending.append((left - 1, subscriber))
            else:
                self._subscribers.append(subscriber)

    def _check(self) -> None:
        if not self.up:
            raise ConnectionLostError("connection refused")

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.asked.set()
        self.asked = anyio.Event()


class FakeWitness(Witness):
    """Sees a process that ends when the test says so; no kernel is asked."""

    def __init__(self) -> None:
        super().__init__(-1)
        self._end = anyio.Event()
        self._code: int | None = None

    def end(self, code: int | None) -> None:
        """The process is reaped; ``None`` for a kernel that keeps no code."""
        self._code = code
        self._end.set()

    def sees_it(self) -> bool:
        return not self._end.is_set()

    async def reaped(self) -> None:
        await self._end.wait()

    def exit_code(self) -> int | None:
        return self._code

    def close(self) -> None:
        pass
