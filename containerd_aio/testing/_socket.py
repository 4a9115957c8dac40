"""The fake's server on its unix socket: opened, closed, and cut off as by a kill -9."""

from __future__ import annotations

import contextlib
import os
import socket
from asyncio import BaseTransport, Transport
from typing import TYPE_CHECKING, cast

from grpclib.protocol import H2Protocol
from grpclib.server import Server

from containerd_aio._transport.codec import Codec

if TYPE_CHECKING:
    from grpclib._typing import IServable
    from grpclib.config import Configuration
    from grpclib.protocol import AbstractHandler
    from h2.config import H2Configuration


class Listener:
    """Serves on a path, again and again. The path stays when it is cut off, as a killed daemon leaves it."""

    def __init__(self, path: str, service: IServable) -> None:
        self._path = path
        self._service = service
        self._server: _Server | None = None

    @property
    def open(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    async def start(self) -> None:
        """Listen; connections are accepted when this returns."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        listening = socket.socket(socket.AF_UNIX)
        try:
            listening.bind(self._path)
            self._server = _Server(self._service)
            await self._server.start(sock=listening)
        except BaseException:
            listening.close()
            self._server = None
            raise

    async def stop(self, *, unlink: bool) -> None:
        """Refuse connections and break those that are there; returns when no call is under way any more."""
        server, self._server = self._server, None
        if server is None:
            return
        if unlink:
            os.unlink(self._path)
        server.close()
        server.cut()
        await server.wait_closed()


class _Server(Server):
    """grpclib's server, which knows its connections and can cut them off."""

    def __init__(self, service: IServable) -> None:
        super().__init__([service], codec=Codec())
        self._connections: set[_Connection] = set()

    def cut(self) -> None:
        """Close every connection at once, whatever is still to be sent."""
        for connection in list(self._connections):
            connection.abort()

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return _Connection(made.handler, made.config, made.h2_config, self._connections)


class _Connection(H2Protocol):
    def __init__(
        self,
        handler: AbstractHandler,
        config: Configuration,
        h2_config: H2Configuration,
        connections: set[_Connection],
    ) -> None:
        super().__init__(handler, config, h2_config)
        self._connections = connections
        self._transport: Transport | None = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast("Transport", transport)  # uvloop's is none of asyncio's classes
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.discard(self)
        super().connection_lost(exc)
