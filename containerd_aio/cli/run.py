"""``containerd-aio run``: one container, to its end, or left to itself."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from containerd_aio.cli.foreground import own_streams, run_to_the_end
from containerd_aio.cli.log_files import (
    LOG_FILE_LABEL,
    add_to_log_file,
    default_log_file,
    make_log_file,
)
from containerd_aio.cli.lookup import image_named
from containerd_aio.cli.order import Order
from containerd_aio.cli.output import until_closed
from containerd_aio.cli.program import SIGPIPE_CODE, tell
from containerd_aio.cli.signals import SignalsCaught
from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError
from containerd_aio.image import Image
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.stdio import Stdio, log_file, pipes


async def run_container(
    order: Order, *, address: str | None, namespace: str | None, grace: float, signals: SignalsCaught
) -> int:
    """Run the container, or start it and leave it to itself; return the code to end with."""
    order.check()
    if order.private:
        _check_not_typed("--address", address, "CONTAINERD_ADDRESS")
        _check_not_typed("--namespace", namespace, "CONTAINERD_NAMESPACE")
    if order.detach:
        async with Client(address, namespace=namespace) as client:
            print(await _started(client, order))
        return 0
    with until_closed(sys.stdout.fileno()):
        async with _connected(address, namespace, order.private) as client:
            return await _run_to_the_end(client, order, grace, signals)
    return SIGPIPE_CODE


async def _run_to_the_end(client: Client, order: Order, grace: float, signals: SignalsCaught) -> int:
    """Run a container, connected with our own streams, remove it, and return its code.

    It is removed whatever ends this: a signal, an error, a pipe that nobody reads any more. Only the keys to detach
    leave it as it is.
    """
    async with AsyncExitStack() as undo:
        stdio = _stdio(order)
        container = await undo.enter_async_context(await _new_container(client, order, order.container_id()))
        task = await undo.enter_async_context(await container.new_task(stdio=stdio))
        code = await run_to_the_end(task, signals, grace=grace, raw=order.is_session)
        if code is not None:
            return code
        await task.stdio.aclose(unlink=False)
        undo.pop_all()
    print(file=sys.stderr)
    tell(f"container '{container.id}' goes on: `attach {container.id}` takes it up again")
    return 0


def _stdio(order: Order) -> Stdio:
    """Return what a container in the foreground is connected with."""
    if order.log is not None:
        add_to_log_file(order.log)
        return log_file(order.log)
    # What is private ends with this command.
    keys = order.detach_keys if order.is_session and not order.private else ""
    return own_streams(interactive=order.interactive, terminal=order.terminal, detach_keys=keys)


async def _started(client: Client, order: Order) -> str:
    """Start a container, leave it to itself, and return its id.

    Its output goes to a log file; that of a session waits in the FIFOs until somebody attaches.
    """
    id = order.container_id()
    path = None if order.is_session else order.log or default_log_file(client.namespace, id)
    async with AsyncExitStack() as undo:
        container = await _new_container(client, order, id, log=path)
        await undo.enter_async_context(container)
        if path is None:
            stdio = pipes(stdin=True, terminal=True)
        elif order.log is not None:
            add_to_log_file(path)
            stdio = log_file(path)
        else:
            make_log_file(path)  # not before: another container of this id may be writing to it
            undo.callback(path.unlink, missing_ok=True)
            stdio = log_file(path)
        task = await undo.enter_async_context(await container.new_task(stdio=stdio))
        await task.start()
        await task.stdio.aclose(unlink=False)
        undo.pop_all()
    return id


async def _new_container(client: Client, order: Order, id: str, *, log: Path | None = None) -> Container:
    try:
        return await client.new_container(
            id,
            image=await _image(client, order.image),
            args=order.args,
            options=order.options(),
            labels={} if log is None else {LOG_FILE_LABEL: str(log)},
        )
    except AlreadyExistsError as error:
        raise error.reworded(
            f"there is a container '{id}' in namespace '{client.namespace}': `rm {id}` removes it, --id takes "
            "another id"
        ) from error


@asynccontextmanager
async def _connected(address: str | None, namespace: str | None, private: bool) -> AsyncGenerator[Client]:
    async with AsyncExitStack() as stack:
        if private:
            daemon = await stack.enter_async_context(PrivateDaemon())
            yield await stack.enter_async_context(daemon.client())
        else:
            yield await stack.enter_async_context(Client(address, namespace=namespace))


def _check_not_typed(option: str, value: str | None, variable: str) -> None:
    if value is not None and value != os.environ.get(variable):
        raise InvalidArgumentError(f"--private starts a containerd of its own: it takes no {option}")


async def _image(client: Client, name: str) -> Image:
    """Return the image of that name, or the one in that file."""
    if not await anyio.Path(name).is_file():
        return await image_named(client, name)
    images = await client.import_images(name, name=f"import-{secrets.token_hex(4)}:latest")
    if len(images) != 1:
        names = ", ".join(image.name for image in images)
        raise InvalidArgumentError(
            f"{name} holds {len(images)} images ({names}); import it, then run one by name"
        )
    return images[0]
