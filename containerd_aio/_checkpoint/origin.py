"""Where a new task comes from if it does not begin at its beginning: a checkpoint's memory."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from containerd_aio._checkpoint.reading import had_terminal, read_checkpoint, read_spec
from containerd_aio._images.platforms import host_platform, normalize
from containerd_aio._session import Session
from containerd_aio._transport.runc import runc_options
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.image import Image
from containerd_aio.types import AnyValue, Descriptor, Platform, RuncOptions


@dataclass(frozen=True, slots=True)
class Origin:
    """Memory in the content store, or in a directory of containerd's host; neither, for a task from its beginning.

    ``terminal`` says whether the processes had one; ``None``: not known.
    """

    memory: Descriptor | None = None
    directory: str | None = None
    terminal: bool | None = None

    def check_terminal(self, terminal: bool, *, container_id: str) -> None:
        """Refuse to give processes a terminal that had none, or none to those that had one.

        CRIU would restore them, and the shim lose them: it waits for a terminal that nobody opens, and knows of no
        running process afterwards (seen on containerd 1.6 to 2.1).

        :raises InvalidArgumentError: if it does not fit
        """
        if self.terminal is None or self.terminal is terminal:
            return
        had, wanted = ("a terminal", "terminal=True") if self.terminal else ("no terminal", "terminal=False")
        raise InvalidArgumentError(
            f"the processes that container '{container_id}' is to go on with had {had}: give them a stdio with {wanted}"
        )

    def laid_over(self, options: RuncOptions | AnyValue | None) -> RuncOptions | AnyValue | None:
        """Return the options of the runtime, with the directory in them: that is where the shim looks for it."""
        if self.directory is None:
            return options
        if isinstance(options, AnyValue):
            return runc_options(RuncOptions(criu_image_path=self.directory), options)
        return replace(options or RuncOptions(), criu_image_path=self.directory)


async def origin_of(
    session: Session, checkpoint: Image | os.PathLike[str] | None, *, terminal: bool
) -> Origin:
    """Return what a task is restored from: an image, or a directory that ``checkpoint_to()`` wrote.

    ``terminal`` says whether the container's spec has one: so had the task that wrote the directory.

    :raises InvalidArgumentError: if the image is no checkpoint, or has no memory, or that of another processor
    :raises NotFoundError: if a part of it is not in the content store
    """
    if checkpoint is None:
        return Origin()
    if isinstance(checkpoint, Image):
        return await _of_image(session, checkpoint)
    if isinstance(checkpoint, str | bytes):
        raise InvalidArgumentError(
            "checkpoint is an Image, client.image(name), or a Path to a directory, not a str"
        )
    directory = os.fspath(checkpoint)
    if not os.path.isabs(directory):
        raise InvalidArgumentError(
            f"the path is one of containerd's host, so it must be absolute: {directory!r}"
        )
    return Origin(directory=directory, terminal=terminal)


async def _of_image(session: Session, image: Image) -> Origin:
    about = f"image '{image.name}'"
    content = session.services.content
    checkpoint = await read_checkpoint(content, image.target, about=about)
    if checkpoint.memory is None:
        raise InvalidArgumentError(
            f"{about} is a checkpoint without memory: start its container from the beginning"
        )
    _check_platform(checkpoint.memory, host_platform(), about)
    await content.info(checkpoint.memory.digest)  # containerd would say that it is gone, but without a class
    terminal = None
    if checkpoint.config is not None:
        terminal = had_terminal(await read_spec(content, checkpoint.config, about=about))
    return Origin(checkpoint.memory, None, terminal)


def _check_platform(memory: Descriptor, host: Platform, about: str) -> None:
    """Refuse the memory of another kind of processor: CRIU would, in worse words."""
    made = memory.platform and normalize(memory.platform)
    if made and (made.os, made.architecture) != (host.os, host.architecture):
        raise InvalidArgumentError(
            f"the memory in {about} is one of {made.os}/{made.architecture}; here it would have to be one of"
            f" {host.os}/{host.architecture}"
        )
