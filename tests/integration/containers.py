"""Containers in each state that they can be in, and what is in them."""

from __future__ import annotations

import os
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme

from containerd_aio import Client, Container, Image, Task
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import SpecOption
from tests.integration.leaks import ctr, left_in_namespace, remove_namespace
from tests.transport.tls_proxy import tls_proxy

BUSYBOX = Path("/bin/busybox")
SLEEP = ["sleep", "3600"]


@asynccontextmanager
async def shared_client(daemon: PrivateDaemon) -> AsyncIterator[Client]:
    """A client for the tests of a module, in a namespace of theirs, in which nothing may be left at the end.

    Its FIFOs are in a new directory, ``client.fifo_dir``, which must be empty then too.
    """
    namespace = f"aio-{uuid.uuid4().hex[:12]}"
    label = f"containerd.io/defaults/snapshotter={daemon.snapshotter}"
    ctr(daemon.address, namespace, "namespaces", "create", namespace, label)
    with tempfile.TemporaryDirectory(prefix="aio-fifo-") as fifo_dir:
        async with Client(daemon.address, namespace=namespace, fifo_dir=fifo_dir) as client:
            yield client
        fifos = [f"FIFO {name}" for name in os.listdir(fifo_dir)]
    left = fifos + left_in_namespace(daemon.address, namespace, daemon.snapshotter)
    if left := left or remove_namespace(daemon.address, namespace):
        pytest.fail(f"left in namespace {namespace}:\n" + "\n".join(left), pytrace=False)


async def unpacked(client: Client, daemon: PrivateDaemon, archive: bytes) -> Image:
    """The image of an archive, imported and unpacked; it has run once, so that the client follows what exits."""
    [image] = await client.import_images(archive)
    await image.unpack(daemon.snapshotter)
    await client.run(image, ["true"])
    return image


@asynccontextmanager
async def container_of(
    client: Client,
    image: Image,
    state: str,
    *,
    snapshotter: str | None = None,
    name: str = "web",
    options: Sequence[SpecOption] = (),
) -> AsyncIterator[Container]:
    """A container in that state."""
    args = ["chroot", "/jail", "/busybox", *SLEEP] if state == "not to be seen" else SLEEP
    async with await client.new_container(
        name, image=image, args=args, snapshotter=snapshotter, options=options
    ) as container:
        if state == "not to be seen":
            await container.copy_in(BUSYBOX, "/jail/busybox", parents=True)
        if state in ("no task", "on another host"):
            yield container
            return
        async with await container.new_task() as task:
            if state != "created":
                await task.start()
            if state == "not to be seen":
                await left_its_root(task)
            if state == "ended":
                await task.kill()
                await task.wait()
            if state == "paused":
                await task.pause()
            yield container


async def left_its_root(task: Task) -> None:
    with anyio.fail_after(60):
        while os.path.exists(f"/proc/{task.pid}/root/etc"):  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(0.01)


@asynccontextmanager
async def seen_by(
    client: Client, daemon: PrivateDaemon, state: str, container: Container
) -> AsyncIterator[Container]:
    """The container, loaded by a client on another host where the state says so."""
    if state != "on another host":
        yield container
        return
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    server.set_alpn_protocols(["h2"])
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with (
        tls_proxy(server, daemon.address) as port,
        Client(f"tcp://localhost:{port}", ssl=trusting, namespace=client.namespace) as remote,
    ):
        yield await remote.load_container(container.id)


async def packed(container: Container, path: str) -> bytes:
    async with container.copy_out(path) as archive:
        return b"".join([chunk async for chunk in archive])


async def output_of(container: Container, *args: str) -> str:
    """What a program of the container prints."""
    async with await container.task() as task:
        return (await task.run(list(args), check=True)).stdout.decode(errors="surrogateescape")
