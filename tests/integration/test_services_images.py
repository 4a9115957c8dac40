"""The image store of a real containerd."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from containerd_aio.services import Services
from containerd_aio.services.images import Images
from containerd_aio.types import Descriptor, ImageInfo

pytestmark = pytest.mark.integration

NAME = "example.com/web:1"
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
async def images(services: Services) -> AsyncIterator[Images]:
    """The image store; what a test left in it is removed."""
    yield services.images
    for image in await services.images.list():
        await services.images.delete(image.name)
    last = await services.leases.create()
    await services.leases.delete(last.id, sync=True)


@pytest.fixture
async def target(services: Services) -> Descriptor:
    """A blob to name; nothing holds it, so a collection may take it."""
    data = b'{"schemaVersion": 2}'
    return Descriptor(MEDIA_TYPE, await services.content.write_blob("target", data), len(data), {"a": "1"})


async def test_an_image_is_stored_found_and_removed(images: Images, target: Descriptor) -> None:
    stored = await images.create(ImageInfo(NAME, target, {"owner": "me"}))
    assert (stored.name, stored.target, stored.labels) == (NAME, target, {"owner": "me"})
    assert stored.created_at_ns is not None
    assert stored.created_at_ns == stored.updated_at_ns
    assert await images.get(NAME) == stored
    assert await images.list() == [stored]
    assert await images.list(f'name=="{NAME}"') == [stored]
    assert await images.list("labels.owner==other", f"target.digest=={target.digest}") == [stored]
    assert await images.list("labels.owner==other") == []
    with pytest.raises(AlreadyExistsError):
        await images.create(ImageInfo(NAME, target))
    with pytest.raises(InvalidArgumentError):
        await images.list("==")
    await images.delete(NAME)
    for call in (images.get(NAME), images.delete(NAME)):
        with pytest.raises(NotFoundError) as caught:
            await call
        assert caught.value.subject == f"image '{NAME}'"


async def test_a_name_keeps_its_blob_and_a_synchronous_delete_removes_it(
    services: Services, images: Images
) -> None:
    async with services.leases.hold():
        target = Descriptor(MEDIA_TYPE, await services.content.write_blob("target", b"{}"), 2)
        await images.create(ImageInfo(NAME, target))
    lease = await services.leases.create()
    await services.leases.delete(lease.id, sync=True)
    await services.content.info(target.digest)
    await images.delete(NAME, sync=True)
    with pytest.raises(NotFoundError):
        await services.content.info(target.digest)


async def test_fields_are_changed_one_by_one_or_all(images: Images, target: Descriptor) -> None:
    first = await images.create(ImageInfo(NAME, target, {"a": "1", "b": "2"}))
    nothing = Descriptor("", "", 0)
    changed = await images.update(ImageInfo(NAME, nothing, {"a": "", "c": "3"}), "labels.a", "labels.c")
    assert changed.labels == {"b": "2", "c": "3"}
    assert changed.target == target
    assert changed.created_at_ns == first.created_at_ns
    assert (changed.updated_at_ns or 0) > (first.updated_at_ns or 0)
    other = Descriptor(MEDIA_TYPE, target.digest, target.size, {"b": "2"})
    assert (await images.update(ImageInfo(NAME, other), "target")).target == other
    replaced = await images.update(ImageInfo(NAME, target, {"d": "4"}))
    assert (replaced.target, replaced.labels) == (target, {"d": "4"})
    with pytest.raises(InvalidArgumentError):
        await images.update(replaced, "name")
    with pytest.raises(NotFoundError):
        await images.update(ImageInfo("nowhere", target), "labels")


async def test_a_target_that_is_not_complete_is_refused(images: Images, target: Descriptor) -> None:
    for wrong in (Descriptor("", target.digest, target.size), Descriptor(MEDIA_TYPE, target.digest, 0)):
        with pytest.raises(InvalidArgumentError):
            await images.create(ImageInfo(NAME, wrong))


async def test_delete_looks_at_the_target_on_every_version(images: Images, target: Descriptor) -> None:
    await images.create(ImageInfo(NAME, target))
    other = Descriptor(MEDIA_TYPE, "sha256:" + "0" * 64, 1)
    with pytest.raises(NotFoundError):
        await images.delete(NAME, target=other)
    assert (await images.get(NAME)).target == target
    await images.delete(NAME, target=target)
    with pytest.raises(NotFoundError):
        await images.get(NAME)


async def test_the_source_date_epoch_is_the_time_of_creation_where_it_is_known(
    services: Services, images: Images, target: Descriptor
) -> None:
    stored = await images.create(ImageInfo(NAME, target), source_date_epoch_ns=1_000_000_000)
    known = (await services.version.get()).release >= (1, 7)
    assert (stored.created_at_ns == 1_000_000_000) is known
