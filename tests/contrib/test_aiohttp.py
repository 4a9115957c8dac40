"""containerd in an aiohttp app: its client, its errors, and what the server's shutdown ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import anyio
import pytest
from aiohttp import web

from containerd_aio import Client, pipes
from containerd_aio.contrib.aiohttp import CLIENT, serve_terminal, setup, until_shutdown
from containerd_aio.testing import FakeContainerd
from tests.serving import served_by_aiohttp


async def labels(request: web.Request) -> web.Response:
    container = await request.config_dict[CLIENT].load_container(request.match_info["id"])
    return web.json_response(dict(await container.labels()))


async def run(request: web.Request) -> web.Response:
    completed = await request.app[CLIENT].run("fake", ["serve"])
    return web.json_response(completed.exit_status.code)


async def broken(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"first")
    await request.app[CLIENT].load_container("nowhere")
    return response


async def ticks(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    async with request.app[CLIENT].events.subscribe():
        await response.prepare(request)
        await response.write(b"live\n")
        with until_shutdown(request):
            await anyio.sleep_forever()
    await response.write_eof(b"bye\n")
    return response


async def terminal(request: web.Request) -> web.WebSocketResponse:
    program = request.query.get("program", "sh")
    async with await request.app[CLIENT].new_container("shell", image="fake", args=[program]) as shell:
        async with await shell.new_task(stdio=pipes(stdin=True, terminal=True)) as task:
            return await serve_terminal(request, task)


def app_of(fake: FakeContainerd) -> web.Application:
    app = web.Application()
    setup(app, fake.client)
    app.router.add_get("/containers/{id}", labels)
    app.router.add_get("/run", run)
    app.router.add_get("/broken", broken)
    app.router.add_get("/ticks", ticks)
    app.router.add_get("/terminal", terminal)
    inner = web.Application()
    inner.router.add_get("/containers/{id}", labels)
    app.add_subapp("/inner", inner)
    return app


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as http:
        yield http


@pytest.fixture
async def address(fake: FakeContainerd, http: aiohttp.ClientSession) -> AsyncIterator[str]:
    fake.script(["sh"], echo=True, seconds=None)
    async with served_by_aiohttp(app_of(fake)) as address:
        yield f"http://{address}"


async def test_errors_are_statuses_in_a_sub_application_too(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    for path in ("/containers/nowhere", "/inner/containers/nowhere"):
        async with http.get(address + path) as answer:
            assert answer.status == 404
            assert "nowhere" in (await answer.json())["detail"]
    async with fake.down(), http.get(f"{address}/containers/web") as answer:
        assert (answer.status, await answer.json()) == (503, {"detail": "Service Unavailable"})


async def test_an_error_in_the_middle_of_a_response_breaks_it_off(
    http: aiohttp.ClientSession, address: str
) -> None:
    async with http.get(f"{address}/broken") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_handler_whose_client_goes_is_cancelled_at_any_time(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str, client: Client
) -> None:
    for method in ("Containers/Create", "Snapshots/Prepare", "Tasks/Create", "Tasks/Start"):
        fake.calls.clear()
        with fake.delay(method, 0.02):
            async with anyio.create_task_group() as group:

                async def ask() -> None:
                    async with http.get(f"{address}/run"):
                        pass

                group.start_soon(ask)
                with anyio.fail_after(60):
                    await fake.called(method)
                group.cancel_scope.cancel()
            with anyio.fail_after(60):
                await fake.called("Containers/Delete")
        assert await client.containers.list() == []


async def test_a_stream_whose_reader_goes_ends_although_nothing_happens(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    async with http.get(f"{address}/ticks") as answer:
        assert await answer.content.readline() == b"live\n"
        assert fake.subscriptions == 1
    with anyio.fail_after(60):
        while fake.subscriptions:
            await anyio.lowlevel.checkpoint()


async def test_a_stream_without_end_ends_when_the_server_shuts_down(
    fake: FakeContainerd, http: aiohttp.ClientSession
) -> None:
    with anyio.fail_after(60):
        async with served_by_aiohttp(app_of(fake), patience=600) as address:
            answer = await http.get(f"http://{address}/ticks")
            assert await answer.content.readline() == b"live\n"
        assert await answer.read() == b"bye\n"


async def test_what_takes_too_long_at_shutdown_is_cancelled_and_still_removes_what_it_made(
    fake: FakeContainerd, http: aiohttp.ClientSession, client: Client
) -> None:
    """aiohttp cancels it and does not wait for it; the app does."""
    async with anyio.create_task_group() as group:

        async def ask(url: str) -> None:
            with pytest.raises(aiohttp.ClientConnectionError):
                async with http.get(url):
                    pass

        with fake.delay("Tasks/Delete", 0.05):
            async with served_by_aiohttp(app_of(fake), patience=0.01) as address:
                group.start_soon(ask, f"http://{address}/run")
                await fake.called("Tasks/Start")
            assert await client.containers.list() == []


async def test_a_terminal_tells_its_end(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    async with http.ws_connect(f"{address}/terminal") as websocket:
        await websocket.send_str(json.dumps({"resize": [100, 30]}))
        await websocket.send_bytes(b"typed")
        assert await websocket.receive_bytes() == b"typed"
        assert fake.calls["Tasks/ResizePty"] == 1
        fake.exit("shell", code=3)
        assert await websocket.receive_json() == {"exit_code": 3}
        end = await websocket.receive()
    assert (end.type, end.data, end.extra) == (aiohttp.WSMsgType.CLOSE, 1000, "ended with code 3")


async def test_a_terminal_is_refused_before_it_is_accepted_when_it_cannot_run(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    fake.script(["nothing"], fails="no such file or directory")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with http.ws_connect(f"{address}/terminal?program=nothing"):
            pass
    assert caught.value.status == 422


async def test_a_request_for_no_websocket_starts_nothing(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    async with http.get(f"{address}/terminal") as answer:
        assert answer.status == 400
    assert (fake.calls["Tasks/Create"], fake.calls["Tasks/Start"]) == (1, 0)


async def test_nonsense_ends_a_terminal_and_what_runs_in_it(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str, client: Client
) -> None:
    async with http.ws_connect(f"{address}/terminal") as websocket:
        await websocket.send_str("what is this?")
        end = await websocket.receive()
        assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    with anyio.fail_after(60):
        await fake.called("Containers/Delete")
    assert await client.containers.list() == []


async def test_what_runs_in_a_terminal_goes_with_its_peer(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str, client: Client
) -> None:
    async with http.ws_connect(f"{address}/terminal") as websocket:
        await websocket.send_bytes(b"typed")
        assert await websocket.receive_bytes() == b"typed"
    with anyio.fail_after(60):
        await fake.called("Containers/Delete")
    assert await client.containers.list() == []


async def test_an_end_that_is_lost_closes_the_terminal(
    fake: FakeContainerd, http: aiohttp.ClientSession, address: str
) -> None:
    async with http.ws_connect(f"{address}/terminal") as websocket:
        fake.kill_shim("shell", seconds=0)
        end = await websocket.receive()
    assert (end.type, end.data, end.extra) == (aiohttp.WSMsgType.CLOSE, 1011, "containerd failed")


async def test_a_terminal_ends_when_the_server_shuts_down(
    fake: FakeContainerd, http: aiohttp.ClientSession, client: Client
) -> None:
    fake.script(["sh"], echo=True, seconds=None)
    ends: list[aiohttp.WSMessage] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            async with served_by_aiohttp(app_of(fake), patience=600) as address:
                websocket = await http.ws_connect(f"http://{address}/terminal")

                async def watch() -> None:
                    ends.append(await websocket.receive())

                group.start_soon(watch)
    [end] = ends
    assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    assert await client.containers.list() == []
