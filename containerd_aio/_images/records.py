"""Names for images in containerd's store: all of an archive's, or none."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from containerd_aio._transport.completion import completed, shielded
from containerd_aio.errors import AlreadyExistsError, ContainerdError, NotFoundError
from containerd_aio.types import Descriptor, ImageInfo

if TYPE_CHECKING:
    from containerd_aio.services.images import Images

_ATTEMPTS: Final = 5


@asynccontextmanager
async def all_or_none(images: Images) -> AsyncGenerator[Records]:
    """Give records to store; if the block fails or is cancelled, their names are put back to what they were.

    Names that somebody else changed meanwhile are left as they are.
    """
    records = Records(images)
    try:
        yield records
    except BaseException:
        await shielded(records.put_back)
        raise


class Records:
    """The names that were given, and what each of them stood for before."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._before: dict[str, ImageInfo | None] = {}
        self._ours: dict[str, ImageInfo] = {}

    async def store(
        self, targets: Mapping[str, Descriptor], *, labels: Mapping[str, str] | None = None
    ) -> list[ImageInfo]:
        """Point each name to its target and return the records. A name that exists gets the new target."""
        for name, target in targets.items():
            self._before[name] = await self._get(name)
            self._ours[name] = ImageInfo(name, target, labels=labels or {})
            # Not cut off in the middle: the name could appear just after it was put back.
            await completed(partial(self._put, self._ours[name]))
        return [self._ours[name] for name in targets]

    async def put_back(self) -> None:
        """Undo what was done to the names. What fails in it leaves a good image under its name."""
        for name, ours in self._ours.items():
            with suppress(ContainerdError):
                await self._put_one_back(self._before[name], ours)

    async def _get(self, name: str) -> ImageInfo | None:
        try:
            return await self._images.get(name)
        except NotFoundError:
            return None

    async def _put(self, record: ImageInfo) -> None:
        """Update the record or, where there is none, create it; others may create or delete it meanwhile."""
        fields = ["target", *(f"labels.{key}" for key in record.labels)]
        for _ in range(_ATTEMPTS - 1):
            with suppress(NotFoundError):
                self._ours[record.name] = await self._images.update(record, *fields)
                return
            with suppress(AlreadyExistsError):
                self._ours[record.name] = await self._images.create(record)
                return
        self._ours[record.name] = await self._images.update(record, *fields)

    async def _put_one_back(self, before: ImageInfo | None, ours: ImageInfo) -> None:
        now = await self._get(ours.name)
        if now is None or now.target.digest != ours.target.digest:
            return
        if ours.updated_at_ns is not None and now.updated_at_ns != ours.updated_at_ns:
            return  # somebody else stored the same image after us
        if before is None:
            await self._images.delete(ours.name, target=ours.target)
        else:
            fields = ("target", "labels") if before.labels != now.labels else ("target",)
            await self._images.update(before, *fields)
