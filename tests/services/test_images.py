"""The Images service: what is asked of containerd, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import betterproto
import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.images import v1 as api
from containerd_aio._api.containerd.types import Descriptor as DescriptorMessage
from containerd_aio._api.google.protobuf import Empty, FieldMask, Timestamp
from containerd_aio._transport.codec import decode, encode
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from containerd_aio.services.images import Images
from containerd_aio.types import Descriptor, ImageInfo
from tests.services.serving import Served, serving

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
TARGET = Descriptor("application/vnd.oci.image.index.v1+json", DIGEST, 42, {"key": "value"})
IMAGE = ImageInfo("docker.io/library/web:1", TARGET, {"owner": "me"}, 1_000_000_001, 2_000_000_002)
STORED = api.Image(
    name=IMAGE.name,
    labels={"owner": "me"},
    target=DescriptorMessage(
        media_type=TARGET.media_type, digest=DIGEST, size=42, annotations={"key": "value"}
    ),
    created_at=Timestamp(seconds=1, nanos=1),
    updated_at=Timestamp(seconds=2, nanos=2),
)


class ImageStore(api.ImagesBase):
    """Answers with one image, and notes what it was asked."""

    def __init__(self) -> None:
        self.requests: list[betterproto.Message] = []

    async def get(self, request: api.GetImageRequest, /) -> api.GetImageResponse:
        self.requests.append(request)
        if request.name != IMAGE.name:
            raise GRPCError(Status.NOT_FOUND, f'image "{request.name}": not found')
        return api.GetImageResponse(image=STORED)

    async def list(self, request: api.ListImagesRequest, /) -> api.ListImagesResponse:
        self.requests.append(request)
        return api.ListImagesResponse(images=[STORED, api.Image(name="bare")])

    async def create(self, request: api.CreateImageRequest, /) -> api.CreateImageResponse:
        self.requests.append(request)
        if request.image.name == "taken":
            raise GRPCError(Status.ALREADY_EXISTS, 'image "taken": already exists')
        return api.CreateImageResponse(image=STORED)

    async def update(self, request: api.UpdateImageRequest, /) -> api.UpdateImageResponse:
        self.requests.append(request)
        return api.UpdateImageResponse(image=STORED)

    async def delete(self, request: api.DeleteImageRequest, /) -> Empty:
        self.requests.append(request)
        return Empty()


@pytest.fixture
def store() -> ImageStore:
    return ImageStore()


@pytest.fixture
async def served(store: ImageStore) -> AsyncIterator[Served]:
    async with serving(store, rpc_timeout=30) as served:
        yield served


@pytest.fixture
def images(served: Served) -> Images:
    return Images(served.caller)


async def test_get_returns_the_image_of_a_name(images: Images, store: ImageStore) -> None:
    assert await images.get(IMAGE.name) == IMAGE
    assert store.requests == [api.GetImageRequest(name=IMAGE.name)]


async def test_an_image_that_is_not_there_is_named_in_the_error(images: Images) -> None:
    with pytest.raises(NotFoundError, match="nowhere") as caught:
        await images.get("nowhere")
    assert caught.value.subject == "image 'nowhere'"


async def test_list_passes_the_filters_and_takes_what_is_absent_for_nothing(
    images: Images, store: ImageStore
) -> None:
    found = await images.list("name==web", "labels.owner==me")
    assert found == [IMAGE, ImageInfo("bare", Descriptor("", "", 0))]
    assert store.requests == [api.ListImagesRequest(filters=["name==web", "labels.owner==me"])]


async def test_create_sends_the_record_without_times(images: Images, store: ImageStore) -> None:
    """The daemon's clock counts, and an absent time reads as year 1 or 1970 in some versions."""
    assert await images.create(IMAGE) == IMAGE
    (request,) = store.requests
    assert isinstance(request, api.CreateImageRequest)
    assert request.image == api.Image(name=IMAGE.name, labels={"owner": "me"}, target=STORED.target)
    assert not betterproto.serialized_on_wire(request.image.created_at)
    assert not betterproto.serialized_on_wire(request.source_date_epoch)


@pytest.mark.parametrize("epoch", [0, 1_700_000_000_000_000_005])
async def test_the_source_date_epoch_is_sent_when_given_even_for_1970(
    images: Images, store: ImageStore, epoch: int
) -> None:
    await images.create(IMAGE, source_date_epoch_ns=epoch)
    await images.update(IMAGE, source_date_epoch_ns=epoch)
    created, updated = store.requests
    assert isinstance(created, api.CreateImageRequest)
    assert isinstance(updated, api.UpdateImageRequest)
    for sent in created.source_date_epoch, updated.source_date_epoch:
        assert betterproto.serialized_on_wire(sent)
        assert sent.seconds * 10**9 + sent.nanos == epoch


async def test_a_taken_name_is_an_error(images: Images) -> None:
    with pytest.raises(AlreadyExistsError):
        await images.create(ImageInfo("taken", TARGET))


@pytest.mark.parametrize("fields", [(), ("target",), ("labels.owner", "annotations.key")])
async def test_update_sends_the_fields_as_mask_and_none_without_fields(
    images: Images, store: ImageStore, fields: tuple[str, ...]
) -> None:
    assert await images.update(IMAGE, *fields) == IMAGE
    (request,) = store.requests
    assert isinstance(request, api.UpdateImageRequest)
    assert tuple(request.update_mask.paths) == fields
    assert betterproto.serialized_on_wire(request.update_mask) is bool(fields)


async def test_delete_sends_no_target_unless_given(images: Images, store: ImageStore) -> None:
    await images.delete(IMAGE.name, sync=True)
    (request,) = store.requests
    assert isinstance(request, api.DeleteImageRequest)
    assert encode(request) == encode(api.DeleteImageRequest(name=IMAGE.name, sync=True))
    assert decode(api.DeleteImageRequest, encode(request)).target is None


async def test_delete_with_a_target_looks_first_since_old_daemons_ignore_it(
    images: Images, store: ImageStore
) -> None:
    await images.delete(IMAGE.name, target=TARGET)
    asked, deleted = store.requests
    assert asked == api.GetImageRequest(name=IMAGE.name)
    assert isinstance(deleted, api.DeleteImageRequest)
    assert deleted.target == STORED.target


async def test_an_image_with_another_target_is_not_deleted(images: Images, store: ImageStore) -> None:
    with pytest.raises(NotFoundError, match=f"stands for {DIGEST}, not for {OTHER}"):
        await images.delete(IMAGE.name, target=Descriptor("", OTHER, 1))
    assert not any(isinstance(request, api.DeleteImageRequest) for request in store.requests)


async def test_labels_can_be_changed_without_knowing_the_target(images: Images, store: ImageStore) -> None:
    await images.update(ImageInfo(IMAGE.name, Descriptor("", "", 0), {"owner": ""}), "labels.owner")
    assert store.requests == [
        api.UpdateImageRequest(
            image=api.Image(name=IMAGE.name, labels={"owner": ""}, target=DescriptorMessage(size=0)),
            update_mask=FieldMask(paths=["labels.owner"]),
        )
    ]


@pytest.mark.parametrize("digest", ["", "sha256:short"])
async def test_a_target_without_a_digest_is_refused_before_any_call(
    images: Images, store: ImageStore, digest: str
) -> None:
    wrong = Descriptor("", digest, 1)
    with pytest.raises(InvalidArgumentError):
        await images.delete(IMAGE.name, target=wrong)
    with pytest.raises(InvalidArgumentError):
        await images.create(ImageInfo("web", wrong))
    with pytest.raises(InvalidArgumentError):
        await images.update(ImageInfo("web", wrong), "target")
    assert store.requests == []


async def test_an_empty_name_is_refused_before_any_call(images: Images, store: ImageStore) -> None:
    nameless = ImageInfo("", TARGET)
    for call in (images.get(""), images.delete(""), images.create(nameless), images.update(nameless)):
        with pytest.raises(InvalidArgumentError, match="name"):
            await call
    assert store.requests == []


async def test_only_quick_calls_have_the_deadline(images: Images, served: Served) -> None:
    await images.get(IMAGE.name)
    await images.list()
    await images.update(IMAGE, "labels")
    await images.create(IMAGE)
    await images.delete(IMAGE.name)
    assert [served.deadlines(method) for method in ("/Get", "/List", "/Update", "/Create", "/Delete")] == [
        [True], [True], [True], [False], [False]
    ]  # fmt: skip
