"""Containers that run in the background, over HTTP: an aiohttp app.

    GET    /containers              what there is, and what it does
    POST   /containers              start one: {"id": "web", "image": "busybox", "args": ["httpd", "-f"]}
    DELETE /containers/{id}         stop it, kill it where that does not help, and remove it
    GET    /events?filter=...       what happens, a JSON object a line, until the reader goes

They run on when this program ends, and are there when it starts again: containerd knows them, not we.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from aiohttp import web
from pydantic import BaseModel, ValidationError

from containerd_aio import Client, NotFoundError
from containerd_aio.contrib.aiohttp import CLIENT, setup, until_shutdown
from containerd_aio.events import to_json


class Wanted(BaseModel):
    id: str
    image: str
    args: list[str] | None = None  # the image's own command


async def show(request: web.Request) -> web.Response:
    tasks = {task.container_id: task.status.state for task in await request.app[CLIENT].tasks.list()}
    containers = await request.app[CLIENT].containers.list()
    return web.json_response([{"id": each.id, "state": tasks.get(each.id)} for each in containers])


async def start(request: web.Request) -> web.Response:
    try:
        wanted = Wanted.model_validate_json(await request.read())
    except ValidationError as error:
        raise web.HTTPUnprocessableEntity(text=error.json(), content_type="application/json") from error
    async with AsyncExitStack() as undo:  # nothing is left of a container that does not start
        container = await request.app[CLIENT].new_container(wanted.id, image=wanted.image, args=wanted.args)
        await undo.enter_async_context(container)
        task = await undo.enter_async_context(await container.new_task())
        await task.start()
        undo.pop_all()
    return web.json_response({"id": task.id, "pid": task.pid}, status=201)


async def remove(request: web.Request) -> web.Response:
    container = await request.app[CLIENT].load_container(request.match_info["id"])
    with suppress(NotFoundError):  # it has no task
        await (await container.task()).stop(grace=10)
    await container.delete(kill=True)
    return web.Response(status=204)


async def follow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    filters = request.query.getall("filter", [])
    async with request.app[CLIENT].events.subscribe(*filters, on_gap="resume") as events:
        await response.prepare(request)  # not before: a filter that is none gets its 422
        with until_shutdown(request):
            async for event in events:
                await response.write(json.dumps(to_json(event)).encode() + b"\n")
    return response


def create_app(new_client: Callable[[], Client] = Client) -> web.Application:
    app = web.Application()
    setup(app, new_client)
    app.add_routes([web.get("/containers", show), web.post("/containers", start), web.get("/events", follow)])
    app.add_routes([web.delete("/containers/{id}", remove)])
    return app


if __name__ == "__main__":  # CONTAINERD_NAMESPACE=tasks python -m tests.examples.aiohttp_tasks
    web.run_app(create_app(), handler_cancellation=True, shutdown_timeout=5)
