"""Run an app as its own server does, on a loopback port of this process."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from aiohttp import web
from fastapi import FastAPI


class _Server(uvicorn.Server):
    """A uvicorn that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def served_by_uvicorn(app: FastAPI, *, patience: int = 5) -> AsyncGenerator[str]:
    """Serve for the length of the block, and give ``127.0.0.1:port``.

    The end of the block is the server's shutdown; ``patience`` is what requests under way then get, in seconds.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=patience)
        server = _Server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await server.listens.wait()
            try:
                yield "127.0.0.1:{1}".format(*listener.getsockname())
            finally:
                server.should_exit = True


@asynccontextmanager
async def served_by_aiohttp(app: web.Application, *, patience: float = 5) -> AsyncGenerator[str]:
    """The same for an app of aiohttp, with ``handler_cancellation``."""
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=patience)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "{}:{}".format(*runner.addresses[0])
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
