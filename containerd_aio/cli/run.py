"""``containerd-aio run``: one container, connected to this terminal."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio

from containerd_aio import spec
from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.image import Image
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import SpecOption
from containerd_aio.stdio import inherit

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the user asked to run."""

    image: str
    args: Sequence[str] | None = None
    env: tuple[str, ...] = ()
    cwd: str | None = None
    user: str | None = None
    memory: str | None = None

    def options(self) -> list[SpecOption]:
        """Return the options of the OCI spec."""
        options: list[SpecOption] = []
        if self.env:
            options.append(spec.env(self.env))
        if self.cwd is not None:
            options.append(spec.cwd(self.cwd))
        if self.user is not None:
            options.append(spec.user(self.user))
        if self.memory is not None:
            options.append(spec.memory_limit(size(self.memory)))
        return options


def size(text: str) -> int:
    """Return the bytes of a size as ``64M`` or ``1g``.

    :raises InvalidArgumentError: if it is none
    """
    found = re.fullmatch(r"(\d+)([KMG]?)B?", text.upper())
    if found is None:
        raise InvalidArgumentError(f"{text!r} is no size; give 64M or 1G")
    return int(found[1]) * _SIZES[found[2]]


async def run_container(order: Order, *, address: str | None, namespace: str | None, private: bool) -> int:
    """Run the container to its end and return its code."""
    async with (
        _connected(address, namespace, private) as client,
        await client.new_container(
            f"run-{secrets.token_hex(6)}",
            image=await _image(client, order.image),
            args=order.args,
            options=order.options(),
        ) as container,
        await container.new_task(stdio=inherit()) as task,
    ):
        exited = task.wait()
        await task.start()
        code = (await exited).code
        await task.delete()
        return code


@asynccontextmanager
async def _connected(address: str | None, namespace: str | None, private: bool) -> AsyncGenerator[Client]:
    async with AsyncExitStack() as stack:
        if private:
            if address is not None and "CONTAINERD_ADDRESS" not in os.environ:
                raise InvalidArgumentError("--private starts a containerd of its own: it takes no --address")
            daemon = await stack.enter_async_context(PrivateDaemon())
            yield await stack.enter_async_context(daemon.client())
        else:
            yield await stack.enter_async_context(Client(address, namespace=namespace))


async def _image(client: Client, name: str) -> Image:
    """Return the image of that name, or the one in that file."""
    if not await anyio.Path(name).is_file():
        return await client.image(name)
    images = await client.import_images(name, name=f"import-{secrets.token_hex(4)}:latest")
    if len(images) != 1:
        names = ", ".join(image.name for image in images)
        raise InvalidArgumentError(
            f"{name} holds {len(images)} images ({names}); import it, then run one by name"
        )
    return images[0]
