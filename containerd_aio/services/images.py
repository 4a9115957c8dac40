"""containerd's Images service: names for descriptors. Blobs are the Content service's, unpacking is elsewhere."""

from __future__ import annotations

from typing import Final

from containerd_aio._api.containerd.services.images import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import descriptor_from, timestamp_ns, to_descriptor, to_timestamp
from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.types import Descriptor, ImageInfo
from containerd_aio.types.digest import check_digest

_SERVICE: Final = "containerd.services.images.v1.Images/"


class Images:
    """The image store of one namespace."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def get(self, name: str) -> ImageInfo:
        """Return the image of a name.

        :raises InvalidArgumentError: if the name is empty
        :raises NotFoundError: if there is none
        """
        answer = await self._caller.unary(
            _SERVICE + "Get",
            api.GetImageRequest(name=_check_name(name)),
            api.GetImageResponse,
            quick=True,
            about=_about(name),
        )
        return _image_from(answer.image)

    async def list(self, *filters: str) -> list[ImageInfo]:
        """Return the images that match any of the filters; all without one.

        Their fields: ``name``, ``target.digest``, ``target.mediatype``, ``labels.<key>``, ``annotations.<key>``.

        :raises InvalidArgumentError: if a filter cannot be parsed
        """
        answer = await self._caller.unary(
            _SERVICE + "List", api.ListImagesRequest(filters=[*filters]), api.ListImagesResponse, quick=True
        )
        return [_image_from(image) for image in answer.images]

    async def create(self, info: ImageInfo, *, source_date_epoch_ns: int | None = None) -> ImageInfo:
        """Store an image and return it as stored, with the daemon's times; times in ``info`` do not count.

        ``source_date_epoch_ns`` becomes the time of creation (from containerd 1.7 on; 1.6 takes its clock).

        :raises InvalidArgumentError: if the name is empty, or the target lacks a digest, size or media type
        :raises AlreadyExistsError: if the name is taken
        """
        check_digest(info.target.digest)
        request = api.CreateImageRequest(image=_to_image(info))
        if source_date_epoch_ns is not None:
            request.source_date_epoch = to_timestamp(source_date_epoch_ns)
        answer = await self._caller.unary(
            _SERVICE + "Create", request, api.CreateImageResponse, about=_about(info.name)
        )
        return _image_from(answer.image)

    async def update(
        self, info: ImageInfo, *fields: str, source_date_epoch_ns: int | None = None
    ) -> ImageInfo:
        """Change the named fields of an image to those of ``info`` and return it as stored.

        Fields: ``target``, ``labels``, ``labels.<key>``, ``annotations``, ``annotations.<key>`` (an empty value
        removes a key). Without a field the whole record is replaced. ``source_date_epoch_ns`` becomes the time
        of the update (from containerd 1.7 on).

        :raises InvalidArgumentError: if the name is empty, a field is unknown, or the target is not complete
        :raises NotFoundError: if there is no such image
        """
        if not fields or "target" in fields:
            check_digest(info.target.digest)
        request = api.UpdateImageRequest(image=_to_image(info))
        if fields:
            request.update_mask = FieldMask(paths=[*fields])
        if source_date_epoch_ns is not None:
            request.source_date_epoch = to_timestamp(source_date_epoch_ns)
        answer = await self._caller.unary(
            _SERVICE + "Update", request, api.UpdateImageResponse, quick=True, about=_about(info.name)
        )
        return _image_from(answer.image)

    async def delete(self, name: str, *, sync: bool = False, target: Descriptor | None = None) -> None:
        """Remove a name; what only it referred to is removed by the next collection.

        With ``sync`` a collection runs now, and the call returns when it is done. With ``target`` the name is
        removed only if that is what it stands for. containerd checks this from 2.0 on, in one step; older ones
        ignore the wish and would delete whatever is there, so it is checked here first, for all of them.

        :raises NotFoundError: if there is no such image, or it has another target
        """
        request = api.DeleteImageRequest(name=_check_name(name), sync=sync)
        if target is not None:
            check_digest(target.digest)
            await self._check_target(name, target.digest)
            request.target = to_descriptor(target)
        await self._caller.unary(_SERVICE + "Delete", request, Empty, about=_about(name))

    async def _check_target(self, name: str, digest: str) -> None:
        found = (await self.get(name)).target.digest
        if found != digest:
            raise NotFoundError(
                f"image {name!r} stands for {found}, not for {digest}",
                method=_SERVICE + "Delete",
                subject=_about(name),
            )


def _about(name: str) -> str:
    return f"image '{name}'"


def _check_name(name: str) -> str:
    if not name:
        raise InvalidArgumentError("the name of an image must not be empty")
    return name


def _image_from(message: api.Image) -> ImageInfo:
    return ImageInfo(
        name=message.name,
        target=descriptor_from(message.target),
        labels=dict(message.labels),
        created_at_ns=timestamp_ns(message.created_at),
        updated_at_ns=timestamp_ns(message.updated_at),
    )


def _to_image(info: ImageInfo) -> api.Image:
    return api.Image(name=_check_name(info.name), labels=dict(info.labels), target=to_descriptor(info.target))
