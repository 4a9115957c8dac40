"""The two sides of the suite that keeps the fake honest: the fake, and a real containerd with runc.

Programs are named once, with what they do on both sides: the real one runs them out of busybox, the fake has a
script for each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from containerd_aio import Client, Container, NotFoundError, events, spec
from containerd_aio._transport.address import Address
from containerd_aio._transport.call import Caller
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.typeurl import PROCESS, SPEC, json_any
from containerd_aio.events import Event
from containerd_aio.services.tasks import Tasks
from containerd_aio.spec import Spec
from containerd_aio.testing import FakeContainerd
from containerd_aio.types import AnyValue, ContainerInfo, Mount, ProcessState, Runtime
from tests.integration.host import is_runc

ID = "web"
SNAPSHOTTER = "native"

SLEEP = ("sleep", "1000")
SPEAK = ("sh", "-c", "printf hello; printf oops >&2; exit 3")
QUICK = ("sh", "-c", "exit 7")
LARGE = ("sh", "-c", "head -c 3000000 /dev/zero; exit 0")
CAT = ("cat",)
MISSING = ("/no/such/binary",)
DEAF = ("sh", "-c", "trap '' TERM; sleep 1000 & wait; wait")

_APPLETS = ("sh", "sleep", "cat", "head", "printf")


def teach(fake: FakeContainerd) -> None:
    """Have the fake do what the programs do."""
    fake.script(SPEAK, stdout=b"hello", stderr=b"oops", code=3)
    fake.script(QUICK, code=7)
    fake.script(LARGE, stdout=bytes(3_000_000))
    fake.script(CAT, echo=True)
    fake.script(MISSING, fails="stat /no/such/binary: no such file or directory")
    fake.script(DEAF, seconds=None, ignores=[15])


def make_rootfs(directory: Path) -> list[Mount]:
    """Make a root filesystem of busybox, as far as this machine has one."""
    for name in ("bin", "dev", "proc", "run", "sys"):
        (directory / name).mkdir()
    if busybox := shutil.which("busybox"):
        shutil.copy(busybox, directory / "bin" / "busybox")
        for applet in _APPLETS:
            (directory / "bin" / applet).symlink_to("busybox")
    return [Mount("bind", os.fspath(directory), options=("rbind", "rw"))]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a client, a caller for what the client would refuse, and a root filesystem."""

    client: Client
    caller: Caller
    rootfs: list[Mount]

    @property
    def tasks(self) -> Tasks:
        return self.client.tasks

    def spec(self, *args: str) -> Spec:
        context = spec.SpecContext(ID, self.client.namespace, None, None)
        return spec.build(context, [spec.args(*args), spec.env(["PATH=/bin"])])

    def info(self, *args: str, id: str = ID) -> ContainerInfo:
        return ContainerInfo(id, Runtime("io.containerd.runc.v2"), json_any(SPEC, self.spec(*args)))

    async def make(self, *args: str) -> Tasks:
        """Make a container; the tasks are still to be made."""
        await self.client.containers.create(self.info(*(args or SLEEP)))
        return self.tasks

    async def create(self, *args: str) -> Tasks:
        """Make a container and its task."""
        tasks = await self.make(*args)
        await tasks.create(ID, rootfs=self.rootfs)
        return tasks

    async def run(self, *args: str) -> Tasks:
        """Make a container and its task, and start that."""
        tasks = await self.create(*args)
        pid = await tasks.start(ID)
        with anyio.fail_after(60):
            while is_runc(pid):  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.001)
        return tasks

    async def stopped(self) -> Tasks:
        """Make a container whose task has ended."""
        tasks = await self.run()
        await tasks.kill(ID, 9)
        await tasks.wait(ID)
        return tasks

    async def container(self, *args: str) -> Container:
        """Make a container by the high-level client."""
        return await self.client.new_container(ID, spec=self.spec(*args))

    async def state(self, exec_id: str = "") -> ProcessState:
        return (await self.tasks.get(ID, exec_id)).status.state

    async def end(self) -> None:
        """Remove all that a test may have made."""
        for task in await self.tasks.list():
            await self._end_task(task.container_id)
        for container in await self.client.containers.list():
            await self.client.containers.delete(container.id)
        for lease in await self.client.leases.list():
            await self.client.leases.delete(lease.id)
        for ingest in await self.client.content.statuses():
            await self.client.content.abort(ingest.ref)
        await self._end_snapshots()

    async def _end_task(self, container_id: str) -> None:
        try:
            await self.tasks.kill(container_id, 9)
            await self.tasks.wait(container_id)
        except NotFoundError:
            pass  # it has ended
        await self.tasks.delete(container_id)

    async def _end_snapshots(self) -> None:
        snapshots = self.client.snapshotter(SNAPSHOTTER)
        while left := await snapshots.list():
            parents = {info.parent for info in left}
            for info in left:
                if info.name not in parents:
                    with suppress(NotFoundError):  # a real collector may be at work, too
                        await snapshots.remove(info.name)


@asynccontextmanager
async def side_of(address: str, namespace: str, fifo_dir: Path, rootfs: list[Mount]) -> AsyncIterator[Side]:
    """A side, whatever stands behind the address; nothing is left there at the end."""
    connection = Connection(Address.parse(address))
    try:
        async with Client(address, namespace=namespace, fifo_dir=fifo_dir) as client:
            side = Side(client, connection.caller(namespace), rootfs)
            yield side
            with anyio.fail_after(60, shield=True):
                await side.end()
    finally:
        await connection.aclose()


def process(*args: str) -> AnyValue:
    """The spec of an exec."""
    return json_any(PROCESS, {"args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})


def told(event: Event) -> tuple[str, str]:
    """What an event is about: its topic, and the id in it that says most."""
    payload = event.payload
    for name in ("exec_id", "id", "container_id", "name", "key", "digest"):
        if value := getattr(payload, name, ""):
            return event.topic, value
    return event.topic, ""


async def told_until(stream: AsyncIterator[Event], topic: str) -> list[tuple[str, str]]:
    """What is told up to an event of a topic."""
    seen: list[tuple[str, str]] = []
    async for event in stream:
        seen.append(told(event))
        if event.topic == topic:
            return seen
    raise AssertionError(f"the stream ended without {topic}")


def exits(seen: Sequence[Event]) -> list[tuple[str, int, bool]]:
    """The exits among events: id, code, and whether a time was told."""
    return [
        (event.payload.id, event.payload.exit_status, event.payload.exited_at_ns is not None)
        for event in seen
        if isinstance(event.payload, events.TaskExit)
    ]
