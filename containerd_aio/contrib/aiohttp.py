"""containerd in an aiohttp app::

    async def run_job(request: web.Request) -> web.Response:
        completed = await request.app[CLIENT].run("busybox", ["date"], check=True)
        return web.Response(body=completed.stdout)

    app = web.Application()
    setup(app)
    app.router.add_post("/jobs", run_job)
    web.run_app(app, handler_cancellation=True, shutdown_timeout=5)

``handler_cancellation`` matters: without it aiohttp lets a handler run on whose HTTP client has gone, and what it
runs, and a stream that has nothing to send never learns that nobody reads it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from typing import Final

import anyio
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

from containerd_aio.client import Client
from containerd_aio.contrib._http import told
from containerd_aio.contrib._shared import SharedClient, shared_client
from containerd_aio.contrib._terminal import PeerGoneError, bridged, terminal_of
from containerd_aio.errors import ContainerdError
from containerd_aio.process import Process

__all__ = ["CLIENT", "serve_terminal", "setup", "until_shutdown"]

CLIENT: Final = web.AppKey("containerd_aio.client", Client)
"""Where the app has its client: ``request.app[CLIENT]``; in a sub-application ``request.config_dict[CLIENT]``."""

_HEARTBEAT: Final = 20.0  # seconds; a peer that vanished without a word is noticed by it


class _Streams:
    """What has no end of its own, and so has to end when the server shuts down."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._ended = False

    @contextmanager
    def ended(self) -> Generator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._ended:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    def end(self) -> None:
        self._ended = True
        for scope in self._scopes:
            scope.cancel()


_SHARED: Final = web.AppKey("containerd_aio.shared", SharedClient)
_STREAMS: Final = web.AppKey("containerd_aio.streams", _Streams)


def setup(app: web.Application, new_client: Callable[[], Client] = Client) -> None:
    """Give an app a client, and a middleware that answers errors of containerd.

    The client, at ``app[CLIENT]``, is connected when the app starts, and closed when the last request has ended.
    ``new_client`` makes it: ``partial(Client, namespace="jobs")``. Errors become HTTP statuses: 404, 409 and 422
    with the message as ``detail``; 501 to 504, without it, are logged.
    """

    async def client(app: web.Application) -> AsyncGenerator[None]:
        async with shared_client(new_client) as shared:
            app[_SHARED] = shared
            app[CLIENT] = shared.client
            yield

    app[_STREAMS] = _Streams()
    app.cleanup_ctx.append(client)
    app.on_shutdown.append(_end_streams)
    app.middlewares.append(_answer_errors)


@contextmanager
def until_shutdown(request: web.Request) -> Generator[None]:
    """Leave the block when the server begins to shut down, instead of holding it up until ``shutdown_timeout``.

    For streams without an end; what follows the block still runs, and the response is ended as any other.
    """
    with request.config_dict[_STREAMS].ended():
        yield


async def serve_terminal(request: web.Request, process: Process) -> web.WebSocketResponse:
    """Start a process and connect its terminal with a WebSocket, until either ends or the server shuts down.

    Make it with ``stdio=pipes(stdin=True, terminal=True)``, and leave its ``async with`` block afterwards: that ends
    a process whose peer has gone. The WebSocket is accepted when the process runs; before, an error is the status
    of the handshake. Binary messages are the bytes that are typed and shown. Text messages are JSON: the peer sends
    ``{"resize": [columns, rows]}``, and is sent ``{"exit_code": 0}`` before the WebSocket is closed. A peer that
    sends anything else, or 1 MiB more than the process reads, is shown out (code 1008).

    Returns what the handler shall return.

    :raises HTTPBadRequest: if the request is for no WebSocket; nothing is started then
    :raises InvalidArgumentError: if the process has no terminal
    :raises StartFailedError: if the runtime cannot start it
    """
    terminal_of(process)
    websocket = web.WebSocketResponse(heartbeat=_HEARTBEAT)
    if not websocket.can_prepare(request):
        raise web.HTTPBadRequest(text="this is a WebSocket")  # and nothing is started for it
    await process.start()
    await websocket.prepare(request)
    with request.config_dict[_STREAMS].ended() as scope:
        await bridged(process, _Peer(websocket))
    if scope.cancelled_caught:
        await websocket.close(code=1001, message=b"the service is shutting down")
    return websocket


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        with request.config_dict[_SHARED].in_use():
            return await handler(request)
    except ContainerdError as error:
        if request.writer.output_size:
            raise  # a response is under way: aiohttp breaks it off
        status, body = told(error)
        return web.json_response(body, status=status)


async def _end_streams(app: web.Application) -> None:
    app[_STREAMS].end()


class _Peer:
    def __init__(self, websocket: web.WebSocketResponse) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str:
        message = await self._websocket.receive()
        if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
            raise PeerGoneError
        data: bytes | str = message.data
        return data

    async def send(self, message: bytes | str) -> None:
        try:
            if isinstance(message, str):
                await self._websocket.send_str(message)
            else:
                await self._websocket.send_bytes(message)
        except ConnectionError:
            raise PeerGoneError from None

    async def close(self, code: int, reason: str) -> None:
        await self._websocket.close(code=code, message=reason.encode())
