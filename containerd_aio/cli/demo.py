"""``containerd-aio demo``: what this library does, shown on real containers, in a minute."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.text import TextReceiveStream

from containerd_aio.cli.busybox import busybox_archive
from containerd_aio.cli.events import line
from containerd_aio.client import Client
from containerd_aio.events import Event
from containerd_aio.image import Image
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.stdio import pipes

_SCRIPT = "echo 'this goes to stdout'; sleep 0.5; echo 'and this to stderr' >&2; sleep 0.5; exit 3"


async def show() -> None:
    """Run the demonstration; it starts its own containerd, and removes all that it made."""
    began = time.monotonic()
    _say("Starting a private containerd: its own root, state, socket and namespace.")
    async with PrivateDaemon() as daemon, daemon.client() as client:
        version = await client.version.get()
        _say(f"containerd {version.version} (pid {daemon.pid}) answers at {daemon.address}.")
        async with _recorded(client) as seen:
            image = await _import(client, daemon.snapshotter)
            await _speak(client, image)
            await _exec_and_kill(client, image)
            _say(f"What containerd told meanwhile, {len(seen)} events. Those of tasks:")
            for event in seen:
                if event.topic.startswith("/tasks/"):
                    _show(_short(line(event)))
        _say("Removing everything: containers, snapshots, shims, mounts, the private containerd.")
    _say(f"Done in {time.monotonic() - began:.1f} s.")


async def _import(client: Client, snapshotter: str) -> Image:
    _say("Importing an image, made just now from this machine's static busybox, and unpacking it.")
    [image] = await client.import_images(busybox_archive())
    await image.unpack(snapshotter)
    _show(f"{image.name}  {image.target.digest}")
    return image


async def _speak(client: Client, image: Image) -> None:
    _say(f"Running a container: sh -c {_SCRIPT!r}")
    async with (
        await client.new_container("speaker", image=image, args=["sh", "-c", _SCRIPT]) as container,
        await container.new_task(stdio=pipes()) as task,
    ):
        exited = task.wait()  # a Future; asked for before start(), so that nothing can be missed
        await task.start()
        assert task.stdout is not None
        assert task.stderr is not None
        async with anyio.create_task_group() as group:
            group.start_soon(_follow, "stdout", task.stdout)
            group.start_soon(_follow, "stderr", task.stderr)
        status = await exited
        _show(f"{status}, at {status.exited_at:%H:%M:%S.%f}")


async def _exec_and_kill(client: Client, image: Image) -> None:
    _say("Running a container that sleeps for an hour.")
    async with (
        await client.new_container("sleeper", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        await task.start()
        _show(f"it runs, with pid {task.pid}")
        _say("Running ps beside it, with exec.")
        async with await task.exec("ps-1", ["ps"], stdio=pipes(stderr=False)) as process:
            ended = process.wait()
            await process.start()
            assert process.stdout is not None
            await _follow("ps", process.stdout)
            _show(f"{await ended}")
        _say("Killing the sleeper; its wait() Future has been pending all the time.")
        assert not exited.done()
        await task.kill(signal.SIGKILL)
        _show(f"{await exited}")


async def _follow(name: str, stream: ByteReceiveStream) -> None:
    """Show the output of a process as it comes."""
    async for text in TextReceiveStream(stream):
        for each in text.splitlines():
            _show(f"{name} | {each}")


@asynccontextmanager
async def _recorded(client: Client) -> AsyncGenerator[Sequence[Event]]:
    """Collect all events for the length of the block."""
    seen: list[Event] = []

    async def record() -> None:
        async for event in events:
            seen.append(event)

    async with client.events.subscribe() as events:
        recorder = asyncio.create_task(record())
        try:
            yield seen
        finally:
            recorder.cancel()
            await asyncio.wait([recorder])


def _short(text: str, width: int = 150) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _say(text: str) -> None:
    print(f"==> {text}", flush=True)


def _show(text: str) -> None:
    print(f"    {text}", flush=True)
