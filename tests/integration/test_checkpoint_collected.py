"""Garbage is collected before each single call that a checkpoint and a restore make: nothing of theirs goes with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from containerd_aio import CheckpointOptions, Client, Container, Image
from containerd_aio._checkpoint.reading import read_checkpoint
from containerd_aio._checkpoint.restoring import restorable
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._new_container import NewContainer, new_container
from containerd_aio._session import Session
from containerd_aio._transport.call import Caller
from containerd_aio._transport.connection import Connection
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from tests.integration.counting import COUNT, counted_at_least

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


class Collecting(Caller):
    """Has all garbage collected before each call."""

    __slots__ = ("_collect", "collections")

    def __init__(
        self, connection: Connection, namespace: str, collect: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(connection, namespace)
        self._collect = collect
        self.collections = 0

    async def unary(self, *args: Any, **options: Any) -> Any:
        await self._collected()
        return await super().unary(*args, **options)

    def server_stream(self, *args: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._afterwards(super().server_stream(*args, **options))

    def duplex(self, *args: Any, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._afterwards(super().duplex(*args, **options))

    @asynccontextmanager
    async def _afterwards(self, call: AbstractAsyncContextManager[Any]) -> AsyncGenerator[Any]:
        await self._collected()
        async with call as messages:
            yield messages

    async def _collected(self) -> None:
        self.collections += 1
        await self._collect()


@pytest.fixture
async def caller(client: Client, connection: Connection, daemon: PrivateDaemon) -> AsyncIterator[Collecting]:
    async with Client(daemon.address, namespace=client.namespace) as other:

        async def collect() -> None:
            lease = await other.leases.create()
            await other.leases.delete(lease.id, sync=True)

        yield Collecting(connection, client.namespace, collect)


async def test_nothing_is_lost_between_two_calls(
    client: Client, caller: Collecting, image: Image, fifo_dir: Path
) -> None:
    services = Services.of(caller)
    quiet = Services.of(Caller(caller.connection, client.namespace))
    exits = ExitWatcher(quiet.events, quiet.tasks, client.namespace)
    session = Session(services, exits, client.namespace, str(fifo_dir), lambda: None)
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            await counted_at_least(task, 3)
            first = await container.checkpoint("first")  # so that 1.x needs another spec
            same = await Container(session, await container.info(), owned=False).task()
            await same.checkpoint("second", options=CheckpointOptions(exit=True))
            assert caller.collections > 20
    await first.delete(sync=True)
    checkpoint = Image(session, await client.images.get("second"))
    found = await restorable(session, "again", checkpoint, spec=None, rw=True, runtime=True, trusted=False)
    wanted = NewContainer(id="again", image=found.image, spec=found.spec, layer=found.layer)
    async with await new_container(session, wanted) as restored:
        async with await restored.new_task(checkpoint=checkpoint) as task:
            await task.start()
            in_file = await counted_at_least(task, 10)
            assert in_file == list(range(1, len(in_file) + 1))
    parts = (await read_checkpoint(client.content, checkpoint.target, about="it")).parts()
    assert len(parts) == 4
    for part in parts:
        assert len(await client.content.read_all(part.digest)) == part.size  # which verifies the digest
    await exits.aclose()
