"""The daemon's Images service: names for descriptors."""

from __future__ import annotations

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd.services.images import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._collector import collect
from containerd_aio.testing._filters import Field, filters_of, matches, record_field
from containerd_aio.testing._messages import now, split_path, with_label, without_empty
from containerd_aio.testing._statuses import already_exists, checked_labels, invalid, is_digest, not_found
from containerd_aio.testing._world import World


class ImagesService(api.ImagesBase):
    """The Images service, as containerd 1.6 has it: ``target`` of a Delete and ``source_date_epoch`` are ignored."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, request: api.GetImageRequest, /) -> api.GetImageResponse:
        realm = self._world.here()
        if request.name not in realm.images:
            raise not_found(f'image "{request.name}"')
        return api.GetImageResponse(image=realm.images[request.name])

    async def list(self, request: api.ListImagesRequest, /) -> api.ListImagesResponse:
        realm, filters = self._world.here(), filters_of(request.filters)
        images = [image for _, image in sorted(realm.images.items()) if matches(filters, _field(image))]
        return api.ListImagesResponse(images=images)

    async def create(self, request: api.CreateImageRequest, /) -> api.CreateImageResponse:
        realm, image = self._world.here(), request.image
        _validate(image)
        if image.name in realm.images:
            raise already_exists(f'image "{image.name}"')
        image.labels = without_empty(image.labels)
        image.created_at = image.updated_at = now()
        realm.exists = True
        realm.images[image.name] = image
        created = api.ImageCreate(name=image.name, labels=image.labels)
        self._world.publish(realm, "/images/create", created)
        return api.CreateImageResponse(image=image)

    async def update(self, request: api.UpdateImageRequest, /) -> api.UpdateImageResponse:
        realm, given = self._world.here(), request.image
        if not given.name:
            raise GRPCError(Status.INVALID_ARGUMENT, "Image.Name required")
        stored = realm.images.get(given.name)
        if stored is None:
            raise not_found(f'image "{given.name}"')
        updated = stored.__copy__()
        for path in request.update_mask.paths or ["labels", "target"]:
            _take(path, given, updated)
        _validate(updated)
        updated.updated_at = now()
        realm.images[given.name] = updated
        event = api.ImageUpdate(name=updated.name, labels=updated.labels)
        self._world.publish(realm, "/images/update", event)
        return api.UpdateImageResponse(image=updated)

    async def delete(self, request: api.DeleteImageRequest, /) -> Empty:
        realm = self._world.here()
        if realm.images.pop(request.name, None) is None:
            raise not_found(f'image "{request.name}"')
        self._world.publish(realm, "/images/delete", api.ImageDelete(name=request.name))
        if request.sync:
            collect(self._world, realm)
        return Empty()


def _validate(image: api.Image) -> None:
    if not image.name:
        raise GRPCError(Status.INVALID_ARGUMENT, "Image.Name required")
    checked_labels(image.labels, "image.Labels")
    target = image.target
    if not is_digest(target.digest):
        raise invalid(f'Target.Digest "{target.digest}" invalid: invalid checksum digest format')
    if target.size <= 0:
        raise invalid("Target.Size must be greater than zero")
    if not target.media_type:
        raise invalid("Target.MediaType must be set")


def _take(path: str, given: api.Image, stored: api.Image) -> None:
    match split_path(path, ("labels", "annotations")):
        case "labels", "":
            stored.labels = without_empty(given.labels)
        case "labels", key:
            stored.labels = with_label(stored.labels, key, given.labels)
        case "target", _:
            stored.target = given.target
        case "annotations", key:
            target = stored.target.__copy__()
            given_ones = given.target.annotations
            target.annotations = with_label(target.annotations, key, given_ones) if key else given_ones
            stored.target = target
        case _:
            raise invalid(f'cannot update "{path}" field on image "{given.name}"')


def _field(image: api.Image) -> Field:
    fields = {
        "name": image.name,
        "target.digest": image.target.digest,
        "target.mediatype": image.target.media_type,
    }
    return record_field(fields, labels=image.labels, annotations=image.target.annotations)
