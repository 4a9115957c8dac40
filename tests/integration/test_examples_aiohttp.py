"""The aiohttp example, over real HTTP: containers that run in the background, and what happens to them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import pytest

from containerd_aio import Client, Image
from containerd_aio.private_daemon import PrivateDaemon
from tests.examples.aiohttp_tasks import create_app
from tests.serving import served_by_aiohttp

pytestmark = pytest.mark.integration

ENDS_WHEN_ASKED = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]


@pytest.fixture
def new_client(daemon: PrivateDaemon, namespace: str, fifo_dir: Path) -> Callable[[], Client]:
    """What the app makes its own client with."""
    return partial(Client, daemon.address, namespace=namespace, fifo_dir=fifo_dir)


@pytest.fixture
async def address(new_client: Callable[[], Client], image: Image) -> AsyncIterator[str]:
    async with served_by_aiohttp(create_app(new_client)) as address:
        yield f"http://{address}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as http:
        yield http


async def test_containers_are_started_listed_and_stopped_also_by_the_next_server(
    new_client: Callable[[], Client], http: aiohttp.ClientSession, image: Image
) -> None:
    wanted = {"id": "web", "image": image.name, "args": ENDS_WHEN_ASKED}
    async with served_by_aiohttp(create_app(new_client)) as address:
        async with http.post(f"http://{address}/containers", json=wanted) as answer:
            assert answer.status == 201
            assert (await answer.json())["id"] == "web"
        async with http.post(f"http://{address}/containers", json=wanted) as answer:
            assert answer.status == 409
            assert "web" in (await answer.json())["detail"]
    async with served_by_aiohttp(create_app(new_client)) as address:
        async with http.get(f"http://{address}/containers") as answer:
            assert await answer.json() == [{"id": "web", "state": "running"}]
        async with http.delete(f"http://{address}/containers/web") as answer:
            assert answer.status == 204
        async with http.delete(f"http://{address}/containers/web") as answer:
            assert answer.status == 404
        async with http.get(f"http://{address}/containers") as answer:
            assert await answer.json() == []


async def test_what_cannot_be_started_is_told_by_the_status_and_leaves_nothing(
    http: aiohttp.ClientSession, address: str, client: Client, image: Image
) -> None:
    answers = []
    for wanted in (
        {"id": "web", "image": "never-heard-of-it"},
        {"id": "web", "image": image.name, "args": ["no-such-program"]},
        {"id": "../web", "image": image.name},
        {"id": "web"},
    ):
        async with http.post(f"{address}/containers", json=wanted) as answer:
            answers.append((answer.status, await answer.text()))
    assert [status for status, _ in answers] == [404, 422, 422, 422]
    assert "no-such-program" in answers[1][1]
    assert await client.containers.list() == []


async def test_many_are_started_and_stopped_at_once(
    http: aiohttp.ClientSession, address: str, client: Client, image: Image
) -> None:
    async def start_and_stop(id: str) -> None:
        async with http.post(
            f"{address}/containers", json={"id": id, "image": image.name, "args": ENDS_WHEN_ASKED}
        ) as answer:
            assert answer.status == 201
        async with http.delete(f"{address}/containers/{id}") as answer:
            assert answer.status == 204

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(start_and_stop, f"web-{number}")
    assert await client.containers.list() == []


async def test_events_come_as_lines_of_json_until_the_server_shuts_down(
    new_client: Callable[[], Client], http: aiohttp.ClientSession, client: Client, image: Image
) -> None:
    filters = [("filter", 'topic=="/tasks/start"'), ("filter", 'topic=="/tasks/exit"')]
    async with served_by_aiohttp(create_app(new_client), patience=600) as address:
        async with http.get(f"http://{address}/events", params=[("filter", "topic==!")]) as answer:
            assert answer.status == 422
        answer = await http.get(f"http://{address}/events", params=filters)
        assert answer.status == 200
        await client.run(image, ["sh", "-c", "exit 3"], id="job")
        lines = [json.loads(await answer.content.readline()) for _ in range(2)]
    assert await answer.content.readline() == b""  # the end, and no broken connection
    assert [(line["topic"], line["event"]["container_id"]) for line in lines] == [
        ("/tasks/start", "job"),
        ("/tasks/exit", "job"),
    ]
    assert lines[1]["event"]["exit_status"] == 3
