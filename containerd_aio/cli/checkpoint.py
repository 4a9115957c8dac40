"""``containerd-aio checkpoint``: the state of a container, as an image, an archive or a directory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from containerd_aio.cli.archives import check_piped_out
from containerd_aio.cli.lookup import container_named, task_of
from containerd_aio.cli.program import FAILED, tell
from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import CheckpointOptions

_STDOUT: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointOrder:
    """What was asked for on the command line."""

    container: str
    name: str | None = None
    output: str | None = None
    directory: Path | None = None
    exit: bool = False
    tcp: bool = False

    def check(self) -> None:
        """Refuse what does not go together, before anything is done to the container.

        :raises InvalidArgumentError: if it does not
        """
        if self.directory is not None and (self.name is not None or self.output is not None):
            raise InvalidArgumentError("--to writes into a directory: it makes no image, and no archive")
        if self.output == _STDOUT:
            check_piped_out()
        elif self.output is not None and not (directory := Path(self.output).absolute().parent).is_dir():
            raise InvalidArgumentError(f"-o {self.output}: there is no directory {directory}")

    def options(self) -> CheckpointOptions:
        """Return how the task is checkpointed."""
        return CheckpointOptions(exit=self.exit, open_tcp=self.tcp)


async def take_checkpoint(order: CheckpointOrder, *, address: str | None, namespace: str | None) -> None:
    """Take a checkpoint, and print the name of its image; or the directory, where that was asked for."""
    order.check()
    async with Client(address, namespace=namespace) as client:
        task = await task_of(await container_named(client, order.container))
        if order.directory is not None:
            await task.checkpoint_to(order.directory.absolute(), options=order.options())
            print(order.directory)
            return
        image = await task.checkpoint(order.name, options=order.options())
        # The name first: where the archive fails, the image is there all the same.
        if order.output == _STDOUT:
            tell(image.name)
            await client.export_images(sys.stdout.buffer, image)
            sys.stdout.flush()
            return
        print(image.name)
        if order.output is not None:
            await client.export_images(order.output, image)


async def tell_support(*, address: str | None, namespace: str | None) -> int:
    """Print whether a checkpoint can be taken here; the code is 1 where it cannot, or where that is not known."""
    async with Client(address, namespace=namespace) as client:
        support = await client.checkpoint_support()
    print(support)
    return 0 if support else FAILED
