"""A TLS proxy in front of a unix socket, as a service would put before containerd's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


@asynccontextmanager
async def tls_proxy(
    context: ssl.SSLContext, path: Path | str, *, protocols: list[str | None] | None = None
) -> AsyncIterator[int]:
    """Take connections on a port of 127.0.0.1, which is returned, and carry their bytes to a unix socket.

    ``protocols`` collects what ALPN agreed on.
    """
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        with suppress(OSError, asyncio.CancelledError):
            # Not start_server(ssl=…): that reports a client that turns away as an error of the event loop.
            await writer.start_tls(context)
            if protocols is not None:
                protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
            await relay(reader, writer, path)
        running.discard(task)
        writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        if running:
            await asyncio.wait(running)
        await server.wait_closed()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: Path | str) -> None:
    inner_reader, inner_writer = await asyncio.open_unix_connection(path)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(reader, inner_writer))
            group.create_task(carry(inner_reader, writer))
    except* OSError:
        pass
    finally:
        inner_writer.close()
        with suppress(OSError):
            await inner_writer.wait_closed()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("this side has ended")
