"""The FastAPI example, over real HTTP and WebSocket: what it answers, and that whoever leaves takes all along."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from containerd_aio import Client, Container, Image, NotFoundError, where
from containerd_aio.events import Event, TaskExecStarted, TaskExit
from containerd_aio.private_daemon import PrivateDaemon
from tests.examples.fastapi_jobs import create_app
from tests.integration.terminals import ASLEEP, CTRL_C, FALL_ASLEEP
from tests.serving import served_by_uvicorn

pytestmark = pytest.mark.integration

SLEEP = {"args": ["sleep", "3600"], "deadline": 300}


@pytest.fixture
def new_client(daemon: PrivateDaemon, namespace: str, fifo_dir: Path) -> Callable[[], Client]:
    """What the app makes its own client with."""
    return partial(Client, daemon.address, namespace=namespace, fifo_dir=fifo_dir)


@pytest.fixture
async def address(new_client: Callable[[], Client], image: Image) -> AsyncIterator[str]:
    async with served_by_uvicorn(create_app(new_client)) as address:
        yield address


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as http:
        yield http


@pytest.fixture
async def box(client: Client, image: Image) -> AsyncIterator[Container]:
    """A container that runs, and is nobody's job."""
    async with await client.new_container("box", image=image, args=["sleep", "3600"]) as container:
        async with await container.new_task() as task:
            await task.start()
            yield container


@asynccontextmanager
async def until(client: Client, topic: str, times: int = 1) -> AsyncGenerator[list[Event]]:
    """Leave the block not before so many events of a topic have come; those are in the list then."""
    seen: list[Event] = []
    async with client.events.subscribe(where(topic=topic)) as events:
        yield seen
        with anyio.fail_after(20):
            while len(seen) < times:
                seen.append(await anext(events))


async def test_a_job_gets_its_input_and_gives_its_output_and_exit_code(
    http: httpx.AsyncClient, image: Image
) -> None:
    script = "tr a-z A-Z; echo oh >&2; exit 3"
    job = {"image": image.name, "args": ["sh", "-c", script], "stdin": "what it reads"}
    answer = await http.post("/jobs", json=job)
    assert answer.status_code == 200
    assert answer.json() == {"exit_code": 3, "stdout": "WHAT IT READS", "stderr": "oh\n"}


async def test_jobs_run_side_by_side_and_mix_nothing(http: httpx.AsyncClient, image: Image) -> None:
    answers: dict[int, object] = {}

    async def run(number: int) -> None:
        job = {"image": image.name, "args": ["cat"], "stdin": f"{number}" * 1000}
        answers[number] = (await http.post("/jobs", json=job)).json()["stdout"]

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(run, number)
    assert answers == {number: f"{number}" * 1000 for number in range(8)}


async def test_a_job_that_takes_too_long_is_a_504_and_gone(
    http: httpx.AsyncClient, client: Client, image: Image
) -> None:
    answer = await http.post("/jobs", json={"image": image.name, "args": ["sleep", "3600"], "deadline": 0.5})
    assert answer.status_code == 504
    assert "within 0.5 s" in answer.json()["detail"]
    assert await client.containers.list() == []


async def test_what_cannot_run_is_told_by_the_status_also_where_a_stream_or_a_terminal_was_asked_for(
    http: httpx.AsyncClient, address: str, image: Image
) -> None:
    for path in ("/jobs", "/jobs/output"):
        unknown = await http.post(path, json={"image": "never-heard-of-it"})
        assert unknown.status_code == 404
        assert "never-heard-of-it" in unknown.json()["detail"]
        no_program = await http.post(path, json={"image": image.name, "args": ["no-such-program"]})
        assert no_program.status_code == 422
        assert "no-such-program" in no_program.json()["detail"]
    with pytest.raises(InvalidStatus) as caught:
        async with terminal(address, "nowhere"):
            pass
    assert caught.value.response.status_code == 404
    assert "nowhere" in json.loads(caught.value.response.body)["detail"]


async def test_a_client_that_goes_takes_its_job_along(
    http: httpx.AsyncClient, client: Client, image: Image
) -> None:
    async def ask(path: str) -> None:
        async with http.stream("POST", path, json={"image": image.name, **SLEEP}) as answer:
            await answer.aread()

    async with until(client, "/containers/delete", times=2):
        async with anyio.create_task_group() as group:
            async with until(client, "/tasks/start", times=2):
                group.start_soon(ask, "/jobs")
                group.start_soon(ask, "/jobs/output")
            group.cancel_scope.cancel()  # httpx closes the connections
    assert await client.containers.list() == []


async def test_the_output_of_a_job_comes_while_it_runs_and_then_its_exit_code(
    http: httpx.AsyncClient, client: Client, image: Image
) -> None:
    script = "trap 'echo bye >&2; exit 3' TERM; echo hello; printf 'no end'; while :; do sleep 0.1; done"
    job = {"image": image.name, "args": ["sh", "-c", script]}
    async with aconnect_sse(http, "POST", "/jobs/output", json=job) as source:
        events = source.aiter_sse()
        assert told(await anext(events)) == ("stdout", "hello\n")
        [container] = await client.list_containers()
        await (await container.task()).kill("TERM")
        rest = {told(event) for event in [event async for event in events]}
    assert rest == {("stderr", "bye\n"), ("stdout", "no end"), ("exit", 3)}


def told(event: ServerSentEvent) -> tuple[str, object]:
    return event.event, json.loads(event.data)


def bytes_written(pid: int) -> int:
    """How many bytes a process has written so far."""
    [count] = re.findall(r"^wchar: (\d+)$", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    return int(count)


async def test_a_job_waits_while_its_output_is_not_read(
    http: httpx.AsyncClient, client: Client, image: Image
) -> None:
    endless = {"image": image.name, "args": ["sh", "-c", r"exec tr '\0' x < /dev/zero"]}
    async with aconnect_sse(http, "POST", "/jobs/output", json=endless) as source:
        events = source.aiter_sse()
        assert told(await anext(events)) == ("stdout", "x" * 65536)
        [container] = await client.list_containers()
        pid = (await container.task()).pid
        with anyio.fail_after(20):
            written, before = bytes_written(pid), 0
            while written != before:  # until it is stuck for as long as another job takes
                await http.post("/jobs", json={"image": image.name, "args": ["true"]})
                written, before = bytes_written(pid), written
        async with until(client, "/containers/delete"):
            await events.aclose()
    assert await client.containers.list() == []


def terminal(address: str, container_id: str) -> connect:
    return connect(f"ws://{address}/containers/{container_id}/terminal")


class Screen:
    """What is shown on a terminal's WebSocket."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._unseen = b""

    async def shows(self, text: bytes) -> None:
        """Wait until it is shown, after what was waited for before."""
        with anyio.fail_after(20):
            while text not in self._unseen:
                message = await self._websocket.recv()
                assert isinstance(message, bytes)
                self._unseen += message
        self._unseen = self._unseen.partition(text)[2]


async def test_a_terminal_shows_what_a_person_would_see(address: str, box: Container) -> None:
    prompt = b"/ # "
    async with terminal(address, box.id) as websocket:
        screen = Screen(websocket)
        await screen.shows(prompt)
        await websocket.send(b"stty size\r")
        await screen.shows(b"24 80\r\n")
        await screen.shows(prompt)
        await websocket.send(json.dumps({"resize": [123, 45]}))
        await websocket.send(b"stty size\r")
        await screen.shows(b"45 123\r\n")
        await screen.shows(prompt)
        await websocket.send(FALL_ASLEEP)
        await screen.shows(ASLEEP)
        await websocket.send(CTRL_C)
        await screen.shows(prompt)
        await websocket.send(b"echo $((6 * 7)) $?; exit 3\r")
        await screen.shows(b"\r\n42 130\r\n")
        assert json.loads(await websocket.recv()) == {"exit_code": 3}
        with pytest.raises(ConnectionClosedOK, match="ended with code 3"):
            await websocket.recv()


async def test_a_shell_goes_with_the_peer_of_its_terminal(
    new_client: Callable[[], Client], client: Client, box: Container
) -> None:
    async with served_by_uvicorn(create_app(new_client)) as address:
        async with until(client, "/tasks/exit") as exits:
            async with until(client, "/tasks/exec-started") as starts, terminal(address, box.id) as websocket:
                await websocket.send(b"trap '' HUP; sleep 3600\r")
    [started], [exited] = starts, exits
    assert isinstance(started.payload, TaskExecStarted)
    assert isinstance(exited.payload, TaskExit)
    assert exited.payload.id == started.payload.exec_id
    with pytest.raises(NotFoundError):
        await client.tasks.get(box.id, started.payload.exec_id)


async def test_the_shutdown_of_the_server_leaves_nothing_of_what_runs(
    new_client: Callable[[], Client], client: Client, image: Image, box: Container
) -> None:
    """uvicorn cancels what takes too long and does not wait for it; the app does."""
    endless = {"image": image.name, **SLEEP}
    async with anyio.create_task_group() as group, httpx.AsyncClient(timeout=30) as http:
        async with served_by_uvicorn(create_app(new_client), patience=0) as address:

            async def ask(path: str) -> None:
                try:
                    await http.post(f"http://{address}{path}", json=endless)
                except httpx.RemoteProtocolError:
                    pass  # a response that is broken off in the middle

            async with until(client, "/tasks/start", times=3):
                for path in ("/jobs", "/jobs", "/jobs/output"):
                    group.start_soon(ask, path)
            async with until(client, "/tasks/exec-started") as starts:
                websocket = await terminal(address, box.id)
        left = [info.id for info in await client.containers.list()]
        await websocket.close()
    assert left == [box.id]
    [started] = starts
    assert isinstance(started.payload, TaskExecStarted)
    with pytest.raises(NotFoundError):
        await client.tasks.get(box.id, started.payload.exec_id)
