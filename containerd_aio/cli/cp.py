"""``containerd-aio cp``: files into a container and out of it, and archives of them."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

from containerd_aio.cli.archives import check_piped_out, piped_in
from containerd_aio.cli.lookup import container_named
from containerd_aio.cli.output import Output, until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Place:
    """One side of a copy; ``container`` is ``None`` for a path of this host, or ``-``."""

    container: str | None
    path: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place that is typed as ``CONTAINER:/path``, ``path`` or ``-``.

        What begins with ``/`` or ``.`` is a path of this host, colons and all.
        """
        container, colon, path = text.partition(":")
        if not colon or text.startswith(("/", ".")):
            return cls(None, text)
        return cls(container, path)


async def copy_files(
    source: str,
    target: str,
    *,
    address: str | None,
    namespace: str | None,
    preserve: bool = False,
    parents: bool = False,
    skip_unsafe: bool = False,
) -> int:
    """Copy from a container to this host or the other way; the code is 141 where nobody reads the archive.

    :raises InvalidArgumentError: if not exactly one of the two is in a container
    """
    one, other = Place.parse(source), Place.parse(target)
    if (one.container is None) is (other.container is None):
        raise InvalidArgumentError(
            f"cp {source} {target}: one of the two is in a container, CONTAINER:/path, and the other is not"
        )
    if one.container is not None and other.path == "-":
        check_piped_out()
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            if one.container is not None:
                container = await container_named(client, one.container)
                await _out(container, one.path, other.path, skip_unsafe=skip_unsafe)
            elif other.container is not None:
                container = await container_named(client, other.container)
                await _in(container, one.path, other.path, preserve=preserve, parents=parents)
        return 0
    return SIGPIPE_CODE


async def _out(container: Container, path: str, target: str, *, skip_unsafe: bool) -> None:
    if target != "-":
        await container.copy_out_to(path, target, skip_unsafe=skip_unsafe)
        return
    output = Output(sys.stdout.fileno())
    async with container.copy_out(path) as archive:
        async for chunk in archive:
            await output.write(chunk)


async def _in(container: Container, source: str, path: str, *, preserve: bool, parents: bool) -> None:
    async with AsyncExitStack() as stack:
        given = await stack.enter_async_context(piped_in()) if source == "-" else source
        await container.copy_in(given, path, preserve=preserve, parents=parents)
