"""Jobs in containers, over HTTP: a FastAPI app.

    POST /jobs                          run a command in a container, and return what it wrote
    POST /jobs/output                   the same, its output line by line as server-sent events
    WS   /containers/{id}/terminal      a shell in a running container

A client that goes away takes its job with it: the container is killed and removed. So does the server's shutdown:

    CONTAINERD_NAMESPACE=jobs uvicorn tests.examples.fastapi_jobs:create_app --factory --timeout-graceful-shutdown 5

Whoever may call this may run anything: put authentication in front of it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, FastAPI, HTTPException, WebSocket
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from containerd_aio import Client, Task, pipes, spec
from containerd_aio.contrib import fastapi as contrib
from containerd_aio.contrib.fastapi import ContainerdClient

LIMITS = [spec.memory_limit(256 * 2**20), spec.pids_limit(128), spec.cpus(1)]
router = APIRouter()


class Job(BaseModel):
    image: str
    args: list[str] | None = None  # the image's own command
    stdin: str = ""
    deadline: float = Field(default=30, gt=0, le=300)  # seconds


@router.post("/jobs", dependencies=[contrib.CancelOnDisconnect])
async def run_job(job: Job, client: ContainerdClient) -> dict[str, int | str]:
    with anyio.move_on_after(job.deadline):
        done = await client.run(job.image, job.args, options=LIMITS, input=job.stdin.encode())
        texts = {
            "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr.decode(errors="replace"),
        }
        return {"exit_code": done.exit_status.code, **texts}
    raise HTTPException(504, f"the job did not end within {job.deadline:g} s; it was killed and removed")


async def started(job: Job, client: ContainerdClient) -> AsyncIterator[Task]:
    id = f"job-{secrets.token_hex(6)}"
    async with await client.new_container(id, image=job.image, args=job.args, options=LIMITS) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            yield task


@router.post("/jobs/output", response_class=EventSourceResponse)
async def follow_job(task: Annotated[Task, Depends(started)]) -> AsyncIterator[ServerSentEvent]:
    async for line in task.lines():
        yield ServerSentEvent(event=line.stream, data=line.text)
    yield ServerSentEvent(event="exit", data=(await task.wait()).code)


@router.websocket("/containers/{container_id}/terminal")
async def terminal(websocket: WebSocket, container_id: str, client: ContainerdClient) -> None:
    task = await (await client.load_container(container_id)).task()
    stdio = pipes(stdin=True, terminal=True, size=(80, 24))
    async with await task.exec(f"terminal-{secrets.token_hex(6)}", ["sh"], stdio=stdio) as shell:
        await contrib.serve_terminal(websocket, shell)


def create_app(new_client: Callable[[], Client] = Client) -> FastAPI:
    app = FastAPI(lifespan=contrib.containerd_lifespan(new_client), exception_handlers=contrib.error_handlers)
    app.include_router(router)
    return app
