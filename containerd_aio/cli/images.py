"""``containerd-aio images`` and ``import``: the images of a namespace."""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from typing import Final

from containerd_aio.cli.archives import piped_in
from containerd_aio.cli.columns import age, amount, columns
from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.events import rfc3339
from containerd_aio.image import Image

_HEAD: Final = ("IMAGE", "DIGEST", "SIZE", "AGE")
_SHOWN_DIGITS: Final = 19  # sha256: and 12 digits


async def show_images(*, address: str | None, namespace: str | None, quiet: bool, as_json: bool) -> None:
    """Print the images: in columns, as JSON objects, or ``quiet``, their names only."""
    async with Client(address, namespace=namespace) as client:
        created = {info.name: info.created_at_ns for info in await client.images.list()}
        images = [(image, created.get(image.name)) for image in await client.list_images()]
        if quiet:
            sys.stdout.writelines(f"{image.name}\n" for image, _ in images)
        elif as_json:
            sys.stdout.writelines([await _json_line(image, since) for image, since in images])
        else:
            now = time.time_ns()
            sys.stdout.write(columns(_HEAD, [await _row(image, since, now) for image, since in images]))


async def import_archive(
    archive: str, *, address: str | None, namespace: str | None, name: str | None
) -> None:
    """Import the images of an archive, ``-`` for one on stdin, and print their names."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(address, namespace=namespace))
        source = await stack.enter_async_context(piped_in()) if archive == "-" else archive
        for image in await client.import_images(source, name=name):
            print(image.name)


async def _row(image: Image, created_at_ns: int | None, now_ns: int) -> list[str]:
    size = await _size(image)
    shown_size = "-" if size is None else amount(size)
    return [image.name, image.target.digest[:_SHOWN_DIGITS], shown_size, age(created_at_ns, now_ns)]


async def _json_line(image: Image, created_at_ns: int | None) -> str:
    fields = {
        "name": image.name,
        "digest": image.target.digest,
        "size": await _size(image),
        "created_at": None if created_at_ns is None else rfc3339(created_at_ns),
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


async def _size(image: Image) -> int | None:
    """The size as it is transferred; ``None`` for an image that is not for this machine, or not whole."""
    try:
        return await image.size()
    except (NotFoundError, InvalidArgumentError):
        return None
