"""Names for images in containerd's store: all of an archive's, or none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from containerd_aio._transport.completion import completed, shielded
from containerd_aio.errors import AlreadyExistsError, ContainerdError, NotFoundError
from containerd_aio.types import Descriptor, ImageInfo

if TYPE_CHECKING:
    from containerd_aio.services.images import Images

_ATTEMPTS: Final = 5


async def record_images(
    images: Images, targets: Mapping[str, Descriptor], *, labels: Mapping[str, str] | None = None
) -> list[ImageInfo]:
    """Point each name to its target and return the records. A name that exists gets the new target.

    If this fails or is cancelled, the names are put back to what they were, as far as nobody else changed them.
    """
    before: dict[str, ImageInfo | None] = {}
    stored: dict[str, ImageInfo] = {}
    try:
        for name, target in targets.items():
            before[name] = await _get(images, name)
            # Not cut off in the middle: the name could appear just after the cleanup found none.
            stored[name] = await completed(
                partial(_put, images, ImageInfo(name, target, labels=labels or {}))
            )
    except BaseException:

        async def put_all_back() -> None:
            for name, record in before.items():
                await _put_back(images, record, stored.get(name) or ImageInfo(name, targets[name]))

        await shielded(put_all_back)
        raise
    return [*stored.values()]


async def _get(images: Images, name: str) -> ImageInfo | None:
    try:
        return await images.get(name)
    except NotFoundError:
        return None


async def _put(images: Images, record: ImageInfo) -> ImageInfo:
    """Update the record or, where there is none, create it; others may create or delete it meanwhile."""
    fields = ["target", *(f"labels.{key}" for key in record.labels)]
    for _ in range(_ATTEMPTS - 1):
        try:
            return await images.update(record, *fields)
        except NotFoundError:
            with suppress(AlreadyExistsError):
                return await images.create(record)
    return await images.update(record, *fields)


async def _put_back(images: Images, before: ImageInfo | None, ours: ImageInfo) -> None:
    """Undo what was done to a name, or may have been. What fails here leaves a good image under the name."""
    with suppress(ContainerdError):
        now = await _get(images, ours.name)
        if now is None or now.target.digest != ours.target.digest:
            return
        if ours.updated_at_ns is not None and now.updated_at_ns != ours.updated_at_ns:
            return  # somebody else stored the same image after us
        if before is None:
            await images.delete(ours.name, target=ours.target)
        else:
            await images.update(
                before, *(("target", "labels") if before.labels != now.labels else ("target",))
            )
