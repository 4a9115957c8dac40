"""The image record of a checkpoint: there is one exactly if the checkpoint is whole."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from containerd_aio._checkpoint.index import CHECKPOINT_LABEL
from containerd_aio.errors import AlreadyExistsError, ContainerdError, InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor, ImageInfo

if TYPE_CHECKING:
    from containerd_aio.services.images import Images

_LABELS: Final = {CHECKPOINT_LABEL: "true"}

_log: Final = logging.getLogger("containerd_aio")


class CheckpointRecord:
    """The record that a checkpoint is to get, and whether it may still be given up."""

    def __init__(self, images: Images, container_id: str, name: str | None) -> None:
        if name is not None and not name.strip():
            raise InvalidArgumentError("the name of a checkpoint must not be empty")
        self.name = _new_name(container_id) if name is None else name
        self._images = images
        self._container_id = container_id
        self._stored: ImageInfo | None = None
        self._needed = False

    async def check_free(self) -> None:
        """Refuse a name that is taken, before the task is touched.

        :raises AlreadyExistsError: if there is an image of that name
        """
        with suppress(NotFoundError):
            await self._images.get(self.name)
            raise AlreadyExistsError(
                f"there is an image '{self.name}' already: delete it, or choose another name",
                subject=f"image '{self.name}'",
            )

    def is_all_that_is_left(self, needed: bool = True) -> None:
        """Note that the task has ended, or may have: from now on the checkpoint must be kept; or that it lives on."""
        self._needed = needed

    async def store(self, target: Descriptor) -> None:
        """Make the record.

        :raises AlreadyExistsError: if somebody has taken the name meanwhile
        """
        try:
            self._stored = await self._images.create(ImageInfo(self.name, target, _LABELS))
        except AlreadyExistsError:
            if self._needed:
                other = ImageInfo(_new_name(self._container_id), target, _LABELS)
                self._stored = await self._images.create(other)
            raise

    def stored(self) -> ImageInfo:
        """Return the record as it was stored."""
        if self._stored is None:
            raise ContainerdError(f"the checkpoint '{self.name}' was not stored")
        return self._stored

    def own_up(self, error: BaseException) -> None:
        """Tell with the error what has become of the task by ``exit``, where it is not as it was."""
        if not self._needed:
            return
        if self._stored is None:
            told = f"task '{self._container_id}' may have ended, and there is no checkpoint of it"
        else:
            told = f"task '{self._container_id}' may have ended, so its checkpoint stays: image '{self._stored.name}'"
        error.add_note(told)
        if not isinstance(error, Exception):  # nobody looks at the notes of a cancellation
            _log.warning("%s", told)

    async def undo(self) -> None:
        """Remove the record, unless nothing else is left of the task."""
        if self._stored is not None and not self._needed:
            with suppress(NotFoundError):
                await self._images.delete(self._stored.name, target=self._stored.target)


def _new_name(container_id: str) -> str:
    """Return the Go client's kind of name, with a tag that registries take, and microseconds: two in a second differ."""
    return f"containerd.io/checkpoint/{container_id}:{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
