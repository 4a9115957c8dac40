"""``containerd-aio restore``: a container that goes on from a checkpoint, in the foreground or left to itself."""

from __future__ import annotations

import secrets
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

import anyio

from containerd_aio._checkpoint.reading import had_terminal, read_checkpoint, read_spec
from containerd_aio.cli.foreground import own_streams, run_to_the_end
from containerd_aio.cli.log_files import LOG_FILE_LABEL, default_log_file, make_log_file
from containerd_aio.cli.lookup import image_named
from containerd_aio.cli.output import until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.image import Image
from containerd_aio.stdio import log_file, pipes


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOrder:
    """What was asked for on the command line."""

    source: str
    id: str | None = None
    detach: bool = False
    interactive: bool = False
    files: bool = True
    trusted: bool = False

    def container_id(self) -> str:
        """Return the id that was asked for, else a new one."""
        return self.id or f"restored-{secrets.token_hex(6)}"


async def restore_container(
    order: RestoreOrder, *, address: str | None, namespace: str | None, grace: float, signals: SignalsCaught
) -> int:
    """Restore a container, and let its processes go on: to their end, or left to themselves."""
    if order.detach and order.interactive:
        raise InvalidArgumentError("-i connects it with our stdin, -d with nothing: leave one out")
    if order.detach:
        async with Client(address, namespace=namespace) as client:
            print(await _left_running(client, order))
        return 0
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            return await _run_to_the_end(client, order, grace, signals)
    return SIGPIPE_CODE


async def _run_to_the_end(client: Client, order: RestoreOrder, grace: float, signals: SignalsCaught) -> int:
    checkpoint = await _checkpoint(client, order.source)
    terminal = await _had_terminal(client, checkpoint)
    stdio = own_streams(interactive=order.interactive, terminal=terminal)
    async with (
        await client.restore(
            order.container_id(), checkpoint, rw=order.files, trusted=order.trusted
        ) as container,
        await container.new_task(checkpoint=checkpoint, stdio=stdio) as task,
    ):
        raw = terminal and order.interactive
        return await run_to_the_end(task, signals, grace=grace, raw=raw) or 0


async def _left_running(client: Client, order: RestoreOrder) -> str:
    """Restore a container, leave it to itself, and return its id; as ``run -d`` does it."""
    checkpoint = await _checkpoint(client, order.source)
    terminal = await _had_terminal(client, checkpoint)
    id = order.container_id()
    path = None if terminal else default_log_file(client.namespace, id)
    async with AsyncExitStack() as undo:
        container = await client.restore(id, checkpoint, rw=order.files, trusted=order.trusted)
        await undo.enter_async_context(container)
        if path is None:
            stdio = pipes(stdin=True, terminal=True)
        else:
            await container.set_labels({LOG_FILE_LABEL: str(path)})
            make_log_file(path)
            undo.callback(path.unlink, missing_ok=True)
            stdio = log_file(path)
        task = await undo.enter_async_context(await container.new_task(checkpoint=checkpoint, stdio=stdio))
        await task.start()
        await task.stdio.aclose(unlink=False)
        undo.pop_all()
    return id


async def _checkpoint(client: Client, source: str) -> Image:
    """Return the image of that name, or the one in that file."""
    if not await anyio.Path(source).is_file():
        return await image_named(client, source)
    images = await client.import_images(source)
    if len(images) != 1:
        names = ", ".join(image.name for image in images)
        raise InvalidArgumentError(f"{source} holds {len(images)} images ({names}); import it, then name one")
    return images[0]


async def _had_terminal(client: Client, checkpoint: Image) -> bool:
    about = f"image '{checkpoint.name}'"
    found = await read_checkpoint(client.content, checkpoint.target, about=about)
    if found.config is None:
        return False
    return had_terminal(await read_spec(client.content, found.config, about=about))
