"""A server on a unix socket for the tests of one service, and a caller that is connected to it.

The services that it serves are the generated ``*Base`` classes, overridden by each test: real messages over a
real socket, with nothing of containerd but what the test scripts.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grpclib.events import RecvRequest, listen
from grpclib.server import Server

from containerd_aio._transport.address import Address
from containerd_aio._transport.codec import Codec
from containerd_aio._transport.connection import Connection

if TYPE_CHECKING:
    from grpclib._typing import IServable

    from containerd_aio._transport.call import Caller

NAMESPACE = "example"


@dataclass
class Served:
    """A running server: ``caller`` reaches it, ``headers`` has the metadata of each call that came."""

    caller: Caller
    headers: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])

    def leases(self, method: str) -> list[str | None]:
        """The lease that each call of a method came with."""
        return [
            headers.get("containerd-lease") for called, headers in self.headers if called.endswith(method)
        ]

    def deadlines(self, method: str) -> list[bool]:
        """Whether each call of a method came with a deadline."""
        return ["grpc-timeout" in headers for called, headers in self.headers if called.endswith(method)]


@asynccontextmanager
async def serving(*services: IServable, rpc_timeout: float | None = None) -> AsyncIterator[Served]:
    """Serve while the block runs."""
    server = Server([*services], codec=Codec())
    with tempfile.TemporaryDirectory(prefix="aio-") as directory:
        path = str(Path(directory) / "socket")
        await server.start(path=path)
        connection = Connection(Address.parse(path), rpc_timeout=rpc_timeout)
        served = Served(connection.caller(NAMESPACE))

        async def note(event: RecvRequest) -> None:
            headers = {key: str(value) for key, value in event.metadata.items()}
            if event.deadline is not None:
                headers["grpc-timeout"] = "set"
            served.headers.append((event.method_name, headers))

        listen(server, RecvRequest, note)
        try:
            yield served
        finally:
            try:
                await connection.aclose()
            finally:
                server.close()
                await server.wait_closed()
