"""What the transport's tests share: connections to sockets of the test's own, closed again."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path for a unix socket; pytest's own directories have names too long for one."""
    with tempfile.TemporaryDirectory(prefix="aio-") as directory:
        yield Path(directory) / "s"


@pytest.fixture
async def connect(socket_path: Path) -> AsyncIterator[Callable[..., Connection]]:
    """Make connections to ``socket_path``; they are closed at the end, which must leave no task behind."""
    made: list[Connection] = []

    def make(*, rpc_timeout: float | None = 30) -> Connection:
        made.append(Connection(Address.parse(str(socket_path)), rpc_timeout=rpc_timeout))
        return made[-1]

    yield make
    for connection in made:
        await connection.aclose()
