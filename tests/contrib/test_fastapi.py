"""containerd in a FastAPI app: its client, its errors, and requests whose client goes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.types import Message
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from containerd_aio import Client, pipes
from containerd_aio.contrib.fastapi import (
    CancelOnDisconnect,
    ContainerdClient,
    containerd_lifespan,
    error_handlers,
    get_client,
    serve_terminal,
)
from containerd_aio.testing import FakeContainerd
from tests.serving import served_by_uvicorn


def app_of(fake: FakeContainerd) -> FastAPI:
    app = FastAPI(lifespan=containerd_lifespan(fake.client), exception_handlers=error_handlers)

    @app.get("/containers/{id}")
    async def container(id: str, client: ContainerdClient) -> dict[str, str]:
        return dict(await (await client.load_container(id)).labels())

    @app.get("/run", dependencies=[CancelOnDisconnect])
    async def run(client: ContainerdClient, args: str = "serve") -> int:
        return (await client.run("fake", [args])).exit_status.code

    @app.websocket("/terminal")
    async def terminal(websocket: WebSocket, client: ContainerdClient, program: str = "sh") -> None:
        async with await client.new_container("shell", image="fake", args=[program]) as shell:
            async with await shell.new_task(stdio=pipes(stdin=True, terminal=True)) as task:
                await serve_terminal(websocket, task)

    return app


@pytest.fixture
async def address(fake: FakeContainerd) -> AsyncIterator[str]:
    fake.script(["sh"], echo=True, seconds=None)
    async with served_by_uvicorn(app_of(fake)) as address:
        yield address


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as http:
        yield http


async def test_errors_are_statuses(fake: FakeContainerd, http: httpx.AsyncClient) -> None:
    unknown = await http.get("/containers/nowhere")
    assert (unknown.status_code, "nowhere" in unknown.json()["detail"]) == (404, True)
    async with fake.down():
        lost = await http.get("/containers/web")
    assert (lost.status_code, lost.json()) == (503, {"detail": "Service Unavailable"})
    assert (await http.get("/containers/nowhere")).status_code == 404


async def test_an_app_can_be_started_again(fake: FakeContainerd) -> None:
    app = app_of(fake)
    for _ in range(2):
        async with served_by_uvicorn(app) as address, httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(f"http://{address}/containers/nowhere")).status_code == 404


async def test_a_lifespan_of_ones_own_goes_with_it(fake: FakeContainerd) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with containerd_lifespan(fake.client)(app) as state:
            yield {**state, "greeting": "hello"}

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def both(request: Request, client: ContainerdClient) -> str:
        return f"{request.state.greeting} {client.namespace}"

    async with served_by_uvicorn(app) as address, httpx.AsyncClient(timeout=60) as http:
        assert (await http.get(f"http://{address}/")).json() == "hello default"


async def test_an_app_without_the_lifespan_is_told_what_it_lacks(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()

    @app.get("/")
    async def any_call(client: ContainerdClient) -> None: ...

    with caplog.at_level(logging.ERROR):
        async with served_by_uvicorn(app) as address, httpx.AsyncClient(timeout=60) as http:
            assert (await http.get(f"http://{address}/")).status_code == 500
    assert "lifespan=containerd_lifespan()" in caplog.text


async def test_the_client_can_be_another_one_in_tests(client: Client) -> None:
    app = FastAPI()
    app.dependency_overrides[get_client] = lambda: client

    @app.get("/")
    async def namespace(client: ContainerdClient) -> str:
        return client.namespace

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as http:
        assert (await http.get("/")).json() == "default"


async def test_a_request_whose_client_goes_is_cancelled_at_any_time(
    fake: FakeContainerd, http: httpx.AsyncClient, client: Client
) -> None:
    for method in ("Containers/Create", "Snapshots/Prepare", "Tasks/Create", "Tasks/Start"):
        fake.calls.clear()
        with fake.delay(method, 0.02):
            async with anyio.create_task_group() as group:
                group.start_soon(http.get, "/run")
                with anyio.fail_after(60):
                    await fake.called(method)
                group.cancel_scope.cancel()
            with anyio.fail_after(60):
                await fake.called("Containers/Delete")
        assert await client.containers.list() == []


async def test_a_request_that_ends_by_itself_is_not_disturbed(
    fake: FakeContainerd, http: httpx.AsyncClient
) -> None:
    fake.script(["work"], code=7)
    answers = [await http.get("/run", params={"args": "work"}) for _ in range(3)]
    assert [answer.json() for answer in answers] == [7, 7, 7]


async def test_what_a_request_raises_is_what_its_handler_gets(fake: FakeContainerd) -> None:
    app = FastAPI(exception_handlers=error_handlers)

    @app.get("/", dependencies=[CancelOnDisconnect])
    async def fail() -> None:
        raise LookupError("not ours")

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as http:
        with pytest.raises(LookupError, match="not ours"):
            await http.get("/")


async def test_a_terminal_is_refused_before_it_is_accepted_when_it_cannot_run(
    fake: FakeContainerd, address: str
) -> None:
    fake.script(["nothing"], fails="no such file or directory")
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"ws://{address}/terminal?program=nothing"):
            pass
    assert caught.value.response.status_code == 422
    assert "no such file" in json.loads(caught.value.response.body)["detail"]


async def test_a_terminal_tells_its_end(fake: FakeContainerd, address: str) -> None:
    async with connect(f"ws://{address}/terminal") as websocket:
        await websocket.send(b"typed")
        assert await websocket.recv() == b"typed"
        fake.exit("shell", code=3)
        assert json.loads(await websocket.recv()) == {"exit_code": 3}
        with pytest.raises(ConnectionClosed) as caught:
            await websocket.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "ended with code 3")


async def test_nonsense_ends_a_terminal_and_what_runs_in_it(
    fake: FakeContainerd, address: str, client: Client
) -> None:
    async with connect(f"ws://{address}/terminal") as websocket:
        await websocket.send("what is this?")
        with pytest.raises(ConnectionClosedError, match="resize"):
            await websocket.recv()
        with anyio.fail_after(60):
            await fake.called("Containers/Delete")
    assert await client.containers.list() == []


async def test_an_end_that_is_lost_closes_the_terminal(
    fake: FakeContainerd, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(f"ws://{address}/terminal") as websocket:
        fake.kill_shim("shell", seconds=0)
        with pytest.raises(ConnectionClosedError, match="containerd failed"):
            await websocket.recv()


async def test_a_peer_that_goes_when_the_process_ends_is_no_error(
    fake: FakeContainerd, client: Client
) -> None:
    """Nobody listens to it any more then: that it has gone is learned by sending."""
    app = app_of(fake)
    app.dependency_overrides[get_client] = lambda: client
    fake.script(["sh"], seconds=None)
    connects: list[Message] = [{"type": "websocket.connect"}]
    sent: list[str] = []

    async def receive() -> Message:
        if not connects:
            await anyio.sleep_forever()
        return connects.pop()

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message["type"])
        if message["type"] == "websocket.send":
            raise OSError("the connection is broken")
        fake.exit("shell", code=0)

    scope = {"type": "websocket", "path": "/terminal", "query_string": b"", "headers": [], "subprotocols": []}
    with anyio.fail_after(60):
        await app(scope, receive, send)
    assert sent == ["websocket.accept", "websocket.send"]
    assert await client.containers.list() == []
