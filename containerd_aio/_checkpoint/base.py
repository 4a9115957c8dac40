"""What a container's files go back to: its image, and the snapshot that its own one was made on."""

from __future__ import annotations

from dataclasses import dataclass

from containerd_aio._checkpoint.reading import base_image
from containerd_aio._session import Session
from containerd_aio.errors import FailedPreconditionError, NotFoundError
from containerd_aio.image import Image
from containerd_aio.types import ContainerInfo, Descriptor, ImageInfo


@dataclass(frozen=True, slots=True)
class Base:
    """``image`` is the target of the container's image, ``parent`` the name of its snapshot's parent; ``None`` where
    it is not wanted, and for an image without layers."""

    image: Descriptor | None = None
    parent: str | None = None


async def find_base(session: Session, info: ContainerInfo, *, image: bool, files: bool) -> Base:
    """Return what a container was made from, as far as it is wanted.

    The name of an image may stand for another one by now. A layer of changed files fits only the image that it was
    made against, so that is compared.

    :raises FailedPreconditionError: if the container has no image or no snapshot, or the two do not fit
    :raises NotFoundError: if the image is gone
    """
    subject = f"container '{info.id}'"
    parent = target = None
    if files:
        if not info.snapshotter or not info.snapshot_key:
            raise FailedPreconditionError(
                f"{subject} has no snapshot, so no files to take: container.checkpoint(rw=False) leaves them out",
                subject=subject,
            )
        parent = (await session.services.snapshotter(info.snapshotter).stat(info.snapshot_key)).parent
    if image:
        if info.image is None:
            raise FailedPreconditionError(
                f"{subject} was not made from an image: container.checkpoint(image=False) leaves it out",
                subject=subject,
            )
        target = await _target(session, info.image, subject)
        if files and await Image(session, ImageInfo(info.image, target)).chain_id() != parent:
            raise FailedPreconditionError(
                f"{subject} was not made from what '{info.image}' is now: give that name back to the old image, or"
                " use container.checkpoint(image=False)",
                subject=subject,
            )
    return Base(target, parent)


async def _target(session: Session, name: str, subject: str) -> Descriptor:
    try:
        record = await session.services.images.get(name)
    except NotFoundError as error:
        raise error.reworded(
            f"image '{name}' of {subject} is gone: bring it back, or use container.checkpoint(image=False)"
        ) from error
    return await base_image(session.services.content, record.target)
