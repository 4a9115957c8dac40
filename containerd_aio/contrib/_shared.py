"""The one client of an app, which its requests share.

Servers are the hard part: on shutdown they cancel the requests that take too long, and close the app without
waiting for them (uvicorn's ``timeout_graceful_shutdown``, aiohttp's ``shutdown_timeout``). A client closed at that
moment could not remove the containers of those requests any more. So it stays open until the last has gone.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

from containerd_aio._transport.completion import shielded
from containerd_aio.client import Client
from containerd_aio.errors import ClientClosedError

_log: Final = logging.getLogger("containerd_aio.contrib")


class SharedClient:
    """An open client, and how many requests use it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._users = 0
        self._refuses = False
        self._unused = anyio.Event()

    @contextmanager
    def in_use(self) -> Generator[Client]:
        """Keep the client open for the length of the block.

        :raises ClientClosedError: if the app is being closed
        """
        if self._refuses:
            raise ClientClosedError("the service is shutting down")
        self._users += 1
        try:
            yield self.client
        finally:
            self._users -= 1
            if self._refuses and not self._users:
                self._unused.set()

    async def unused(self) -> None:
        """Refuse new users, and wait until the last one has gone."""
        self._refuses = True
        if self._users:
            await self._unused.wait()


@asynccontextmanager
async def shared_client(new_client: Callable[[], Client]) -> AsyncGenerator[SharedClient]:
    """Make and connect a client for the length of the block; at its end, wait for its users, 15 s at most.

    :raises ConnectionLostError: if containerd cannot be reached; the message tells the way out
    """
    async with new_client() as client:
        shared = SharedClient(client)
        try:
            yield shared
        finally:
            if not await shielded(shared.unused):
                _log.warning("%r is closed under requests that have not ended", client)
