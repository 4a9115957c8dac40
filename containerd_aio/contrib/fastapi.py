"""containerd in a FastAPI app::

    app = FastAPI(lifespan=containerd_lifespan(), exception_handlers=error_handlers)

    @app.post("/jobs", dependencies=[CancelOnDisconnect])
    async def run_job(client: ContainerdClient) -> str:
        return (await client.run("busybox", ["date"], check=True)).stdout.decode()

What a streamed response (``EventSourceResponse``, ``StreamingResponse``) runs on is best made in a dependency with
``yield``, not in the generator: its errors still become statuses, and it is removed when the request ends, while a
generator that its reader leaves is only dropped. Run uvicorn with ``--timeout-graceful-shutdown``, or it waits for
streams that never end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Annotated, Any, Final

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse
from fastapi.websockets import WebSocketDisconnect, WebSocketState

from containerd_aio._transport.supervise import Background
from containerd_aio.client import Client
from containerd_aio.contrib._http import told
from containerd_aio.contrib._shared import shared_client
from containerd_aio.contrib._terminal import PeerGoneError, bridged, terminal_of
from containerd_aio.errors import ContainerdError
from containerd_aio.process import Process
from containerd_aio.types import ExitStatus

__all__ = [
    "CancelOnDisconnect",
    "ContainerdClient",
    "cancel_on_disconnect",
    "containerd_lifespan",
    "error_handlers",
    "get_client",
    "serve_terminal",
]

_STATE: Final = "containerd_aio"
_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's; nobody reads it but the log


def containerd_lifespan(
    new_client: Callable[[], Client] = Client,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """Return a lifespan that connects a client when the app starts, and closes it when the last request has ended.

    ``new_client`` makes the client: ``partial(Client, namespace="jobs")``. A lifespan of your own enters this one,
    and yields its state together with its own::

        async with containerd_lifespan()(app) as state:
            yield {**state, "database": database}
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        async with shared_client(new_client) as shared:
            yield {_STATE: shared}

    return lifespan


async def get_client(connection: HTTPConnection) -> AsyncGenerator[Client]:
    """The dependency behind ``ContainerdClient``; the app is not closed while a request holds it.

    :raises RuntimeError: if the app has no ``containerd_lifespan()``
    """
    shared = getattr(connection.state, _STATE, None)
    if shared is None:
        raise RuntimeError(
            "no client of containerd: make the app with FastAPI(lifespan=containerd_lifespan())"
        )
    with shared.in_use() as client:
        yield client


ContainerdClient = Annotated[Client, Depends(get_client)]
"""The type of a parameter that takes the app's client."""


async def cancel_on_disconnect(request: Request) -> AsyncGenerator[None]:
    """The dependency behind ``CancelOnDisconnect``."""
    scope = anyio.CancelScope()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    watcher = Background.start(watch, name="disconnect of a request", crashed=lambda _: scope.cancel())
    try:
        with scope:
            yield
    finally:
        await watcher.aclose()
    if scope.cancelled_caught:
        raise HTTPException(_CLIENT_CLOSED_REQUEST, "the client has gone")


CancelOnDisconnect: Final = Depends(cancel_on_disconnect, scope="function")
"""Put into ``dependencies=[...]``, it cancels the path operation when its HTTP client goes, so that what it runs is
killed and removed; else it would run on for nobody. For operations that do not read the body by themselves, and
that do not stream: those are cancelled anyway."""


async def _answer(connection: Request | WebSocket, error: ContainerdError) -> Response:
    if isinstance(connection, WebSocket) and connection.application_state is not WebSocketState.CONNECTING:
        raise error  # too late for a status
    status, body = told(error)
    return JSONResponse(body, status_code=status)


error_handlers: Final[
    dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]]
] = {ContainerdError: _answer}
"""For ``FastAPI(exception_handlers=...)``: errors of containerd become HTTP statuses, also before a WebSocket is
accepted: 404, 409 and 422 with the message as ``detail``; 501 to 504, without it, are logged."""


async def serve_terminal(websocket: WebSocket, process: Process) -> ExitStatus | None:
    """Start a process and connect its terminal with a WebSocket, until either ends.

    Make it with ``stdio=pipes(stdin=True, terminal=True)``, and leave its ``async with`` block afterwards: that ends
    a process whose peer has gone. The WebSocket is accepted when the process runs; before, an error is the status
    of the handshake. Binary messages are the bytes that are typed and shown. Text messages are JSON: the peer sends
    ``{"resize": [columns, rows]}``, and is sent ``{"exit_code": 0}`` before the WebSocket is closed. A peer that
    sends anything else, or 1 MiB more than the process reads, is shown out (code 1008).

    Returns how the process ended, ``None`` if the peer went first.

    :raises InvalidArgumentError: if the process has no terminal
    :raises StartFailedError: if the runtime cannot start it
    """
    terminal_of(process)
    await process.start()
    await websocket.accept()
    return await bridged(process, _Peer(websocket))


class _Peer:
    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise PeerGoneError
        data: bytes | None = message.get("bytes")
        text: str = message.get("text") or ""
        return text if data is None else data

    @property
    def _has_gone(self) -> bool:
        return WebSocketState.DISCONNECTED in (
            self._websocket.client_state,  # by its own message
            self._websocket.application_state,  # as sending to it has shown
        )

    async def send(self, message: bytes | str) -> None:
        if self._has_gone:
            raise PeerGoneError
        try:
            if isinstance(message, str):
                await self._websocket.send_text(message)
            else:
                await self._websocket.send_bytes(message)
        except WebSocketDisconnect:
            raise PeerGoneError from None

    async def close(self, code: int, reason: str) -> None:
        if not self._has_gone:
            with suppress(WebSocketDisconnect):
                await self._websocket.close(code, reason)
