"""Containers, images, content, leases, snapshots and namespaces of the fake and of a real containerd."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    UnknownError,
)
from containerd_aio._api.containerd.services.containers import v1 as containers
from containerd_aio._api.containerd.services.content import v1 as content
from containerd_aio._api.containerd.services.images import v1 as images
from containerd_aio._api.containerd.services.leases import v1 as leases
from containerd_aio._api.containerd.services.namespaces import v1 as namespaces
from containerd_aio._api.containerd.services.snapshots import v1 as snapshots
from containerd_aio._api.containerd.types import Descriptor as DescriptorMessage
from containerd_aio._api.google.protobuf import Any, Empty
from containerd_aio._transport.lease import lease_scope
from containerd_aio.errors import OutOfRangeError, UnavailableError
from containerd_aio.types import AnyValue, Descriptor, ImageInfo, LeaseResource, SnapshotInfo, SnapshotKind
from tests.integration.test_fake_and_real import fake_side, real_side, rootfs, side, which
from tests.testing.sides import ID, SNAPSHOTTER, Side, told_until

__all__ = ["fake_side", "real_side", "rootfs", "side", "which"]

SERVICES = "containerd.services."
NONE = f"sha256:{'0' * 64}"
HELLO = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
RUNC = containers.ContainerRuntime(name="io.containerd.runc.v2")
DOCUMENT = Any(type_url="x", value=b"{}")


# -- containers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (containers.Container(runtime=RUNC, spec=DOCUMENT), "container.ID: identifier must not be empty"),
        (containers.Container(id="a b", runtime=RUNC, spec=DOCUMENT), 'identifier "a b" must match'),
        (containers.Container(id="a" * 77, runtime=RUNC, spec=DOCUMENT), "greater than maximum length"),
        (containers.Container(id="a", spec=DOCUMENT), "container.Runtime.Name must be set"),
        (
            containers.Container(id="a", runtime=RUNC, spec=DOCUMENT, snapshot_key="k"),
            "container.Snapshotter must be set",
        ),
        (
            containers.Container(id="a", runtime=RUNC, spec=DOCUMENT, extensions={"": DOCUMENT}),
            "container.Extension keys must not be zero-length",
        ),
        (
            containers.Container(id="a", runtime=RUNC, spec=DOCUMENT, labels={"k": "v" * 4096}),
            "greater than maximum size",
        ),
    ],
)
async def test_records_are_validated(side: Side, container: containers.Container, reason: str) -> None:
    request = containers.CreateContainerRequest(container=container)
    with pytest.raises(InvalidArgumentError, match=reason):
        await side.caller.unary(
            SERVICES + "containers.v1.Containers/Create", request, containers.CreateContainerResponse
        )


async def test_a_record_is_stored_read_and_deleted(side: Side) -> None:
    service = side.client.containers
    info = dataclasses.replace(side.info("sh"), labels={"a": "1"}, image="docker.io/library/none:1")
    stored = await service.create(info)
    assert dataclasses.replace(stored, created_at_ns=None, updated_at_ns=None) == info
    assert stored.created_at_ns == stored.updated_at_ns
    assert stored.created_at_ns is not None
    assert await service.get(ID) == stored
    with pytest.raises(AlreadyExistsError):
        await service.create(info)
    await service.delete(ID)
    with pytest.raises(NotFoundError):
        await service.get(ID)
    with pytest.raises(NotFoundError):
        await service.delete(ID)


async def test_a_mask_changes_only_what_it_names(side: Side) -> None:
    service = side.client.containers
    info = await service.create(dataclasses.replace(side.info("sh"), labels={"a": "1", "b": "2"}))
    changed = dataclasses.replace(info, labels={"b": "", "c": "3", "d": "4"}, image="new")
    updated = await service.update(changed, "labels.b", "labels.c")
    assert (updated.labels, updated.image) == ({"a": "1", "c": "3"}, None)
    assert updated.created_at_ns == info.created_at_ns
    assert updated.updated_at_ns != info.updated_at_ns
    assert (await service.update(changed, "labels")).labels == {"c": "3", "d": "4"}
    assert (await service.update(changed, "image")).image == "new"
    extended = dataclasses.replace(info, extensions={"e.x": AnyValue("t", b"1")})
    assert (await service.update(extended, "extensions.e.x")).extensions == extended.extensions


async def test_without_a_mask_all_is_replaced_but_what_cannot_change(side: Side) -> None:
    service = side.client.containers
    info = await service.create(dataclasses.replace(side.info("sh"), labels={"a": "1"}))
    assert (await service.update(dataclasses.replace(info, labels={"b": "2"}))).labels == {"b": "2"}
    other = dataclasses.replace(info, runtime=dataclasses.replace(info.runtime, name="other"))
    with pytest.raises(InvalidArgumentError, match=r"Runtime\.Name field is immutable"):
        await service.update(other)
    with pytest.raises(InvalidArgumentError, match="Snapshotter field is immutable"):
        await service.update(dataclasses.replace(info, snapshotter="other"))
    for mask in ("runtime", "nonsense"):
        with pytest.raises(InvalidArgumentError, match=f'cannot update "{mask}" field'):
            await service.update(info, mask)
    with pytest.raises(InvalidArgumentError, match="update failed validation"):
        await service.update(dataclasses.replace(info, snapshot_key="k"), "snapshotkey")
    with pytest.raises(NotFoundError):
        await service.update(dataclasses.replace(info, id="none"), "labels")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([], ["a", "b", "c"]),
        ([""], ["a", "b", "c"]),
        (["id==a"], ["a"]),
        (["id==a", "id==c"], ["a", "c"]),
        (["id!=a"], ["b", "c"]),
        (["id~=[bc]"], ["b", "c"]),
        (["labels.role"], ["a", "b"]),
        (["labels.role==web"], ["a"]),
        (["labels.role!=web"], ["b", "c"]),
        (["labels.role!=web,id!=c"], ["b"]),
        (['labels."x.y/z"==1'], ["c"]),
        (["runtime.name==io.containerd.runc.v2,image==img"], ["b"]),
        (["image"], ["b"]),
        (["nonsense==a"], []),
        (["nonsense!=a"], ["a", "b", "c"]),
    ],
)
async def test_records_are_filtered(side: Side, filters: list[str], found: list[str]) -> None:
    service = side.client.containers
    labels = {"a": {"role": "web"}, "b": {"role": "db"}, "c": {"x.y/z": "1"}}
    for id, labelled in labels.items():
        image = "img" if id == "b" else None
        await service.create(dataclasses.replace(side.info("sh", id=id), labels=labelled, image=image))
    assert sorted(info.id for info in await service.list(*filters)) == found


async def test_filters_that_are_none_are_refused_by_every_list(side: Side) -> None:
    for method, request, response in (
        (
            "containers.v1.Containers/List",
            containers.ListContainersRequest,
            containers.ListContainersResponse,
        ),
        ("images.v1.Images/List", images.ListImagesRequest, images.ListImagesResponse),
        ("content.v1.Content/ListStatuses", content.ListStatusesRequest, content.ListStatusesResponse),
    ):
        with pytest.raises(InvalidArgumentError, match="parse error"):
            await side.caller.unary(SERVICES + method, request(filters=["a=b"]), response)
    with pytest.raises(UnknownError, match="parse error"):
        await side.client.snapshotter(SNAPSHOTTER).list("a=b")


# -- namespaces ------------------------------------------------------------------------------------------------


async def test_namespaces_do_not_see_each_other(side: Side) -> None:
    there = side.client.with_namespace(side.client.namespace + ".other")
    await side.client.containers.create(side.info("sh"))
    with pytest.raises(NotFoundError):
        await there.containers.get(ID)
    await there.containers.create(side.info("sh"))
    with pytest.raises(FailedPreconditionError, match="must be empty, but it still has containers"):
        await side.client.namespaces.delete(there.namespace)
    await there.containers.delete(ID)
    assert (await side.client.containers.get(ID)).id == ID
    await side.client.namespaces.delete(there.namespace)


async def test_a_namespace_is_made_labelled_and_deleted(side: Side) -> None:
    service, name = side.client.namespaces, side.client.namespace + ".made"
    assert (await service.get(name)).labels == {}
    assert (await service.create(name, {"a": "1", "b": "2"})).labels == {"a": "1", "b": "2"}
    with pytest.raises(AlreadyExistsError):
        await service.create(name)
    await service.update(name, {"a": "", "c": "3"})
    assert (await service.get(name)).labels == {"b": "2", "c": "3"}
    assert name in [info.name for info in await service.list()]
    await service.delete(name)
    with pytest.raises(NotFoundError):
        await service.delete(name)
    assert name not in [info.name for info in await service.list()]


async def test_names_of_namespaces_are_identifiers(side: Side) -> None:
    request = namespaces.CreateNamespaceRequest(namespace=namespaces.Namespace(name="a b"))
    with pytest.raises(InvalidArgumentError, match='identifier "a b" must match'):
        await side.caller.unary(
            SERVICES + "namespaces.v1.Namespaces/Create", request, namespaces.CreateNamespaceResponse
        )


async def test_changes_of_namespaces_are_told(side: Side) -> None:
    name = side.client.namespace + ".told"
    service = side.client.namespaces
    async with side.client.events.subscribe(f"namespace=={name}", all_namespaces=True) as stream:
        await service.create(name)
        await service.update(name, {"a": "1"})
        await service.delete(name)
        with anyio.fail_after(60):
            seen = await told_until(stream, "/namespaces/delete")
    assert seen == [(f"/namespaces/{what}", name) for what in ("create", "update", "delete")]


# -- images ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        # Never without a target: containerd 2.1 crashes.
        (images.Image(target=DescriptorMessage()), "Image.Name required"),
        (images.Image(name="a", target=DescriptorMessage()), "Target.Digest .* invalid"),
        (
            images.Image(name="a", target=DescriptorMessage(digest="x", media_type="x", size=1)),
            "Target.Digest .* invalid",
        ),
        (
            images.Image(name="a", target=DescriptorMessage(digest=NONE, media_type="x")),
            "Target.Size must be greater than zero",
        ),
        (
            images.Image(name="a", target=DescriptorMessage(digest=NONE, size=1)),
            "Target.MediaType must be set",
        ),
    ],
)
async def test_images_are_validated(side: Side, image: images.Image, reason: str) -> None:
    request = images.CreateImageRequest(image=image)
    with pytest.raises(InvalidArgumentError, match=reason):
        await side.caller.unary(SERVICES + "images.v1.Images/Create", request, images.CreateImageResponse)


async def test_an_image_is_stored_changed_and_deleted(side: Side) -> None:
    service = side.client.images
    target = Descriptor("text/plain", NONE, 3, {"x": "1", "y": "2"})
    info = await service.create(ImageInfo("a", target, labels={"k": "v"}))
    with pytest.raises(AlreadyExistsError):
        await service.create(info)
    changed = ImageInfo("a", Descriptor("text/plain", HELLO, 5, {"x": "", "z": "3"}), labels={"l": "w"})
    assert (await service.update(changed, "labels.l")).labels == {"k": "v", "l": "w"}
    assert (await service.update(changed, "annotations.z")).target.annotations == {
        "x": "1",
        "y": "2",
        "z": "3",
    }
    assert (await service.update(changed, "target")).target.digest == HELLO
    with pytest.raises(InvalidArgumentError, match='cannot update "nonsense" field'):
        await service.update(changed, "nonsense")
    with pytest.raises(NotFoundError):
        await service.update(dataclasses.replace(changed, name="b"))
    assert [each.name for each in await service.list("target.mediatype==" + '"text/plain"')] == ["a"]
    assert await service.list("name==b") == []
    await service.delete("a")
    for call in (service.get("a"), service.delete("a")):
        with pytest.raises(NotFoundError):
            await call


async def test_an_archive_is_imported_unpacked_and_collected(side: Side, archive: bytes) -> None:
    [image] = await side.client.import_images(archive)
    async with side.client.leases.hold():
        top = await image.unpack(SNAPSHOTTER)
        assert top is not None
        assert await image.is_unpacked(SNAPSHOTTER)
        assert (await image.config()).cmd == ("sh",)
    service = side.client.snapshotter(SNAPSHOTTER)
    assert [(info.name, info.kind) for info in await service.list()] == [(top, SnapshotKind.COMMITTED)]
    await image.delete(sync=True)
    assert await service.list() == []
    assert await side.client.content.list() == []


# -- content ---------------------------------------------------------------------------------------------------


async def test_a_blob_is_written_read_labelled_and_deleted(side: Side) -> None:
    service = side.client.content
    async with side.client.leases.hold():
        assert await service.write_blob("r", b"hello", labels={"a": "1"}) == HELLO
        info = await service.info(HELLO)
        assert (info.size, info.labels) == (5, {"a": "1"})
        assert await service.read_all(HELLO) == b"hello"
        async with service.read(HELLO, offset=1, size=3) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"ell"
        assert (await service.set_labels(HELLO, {"a": "", "b": "2"})).labels == {"b": "2"}
        assert [each.digest for each in await service.list("labels.b==2")] == [HELLO]
        with pytest.raises(InvalidArgumentError, match='cannot update "size" field'):
            await service.update(info, "size")
        await service.delete(HELLO)
        for call in (service.info(HELLO), service.delete(HELLO), service.set_labels(HELLO, {"a": "1"})):
            with pytest.raises(NotFoundError):
                await call


async def test_reads_have_bounds(side: Side) -> None:
    service = side.client.content
    async with side.client.leases.hold():
        await service.write_blob("r", b"hello")
        async with service.read(HELLO, offset=3, size=100) as pieces:
            assert b"".join([piece async for piece in pieces]) == b"lo"
        with pytest.raises(OutOfRangeError, match="read past object length 5 bytes"):
            async with service.read(HELLO, offset=6) as pieces:
                await anext(pieces)
        await service.delete(HELLO)


async def test_an_ingest_is_resumed_and_locked(side: Side) -> None:
    service = side.client.content
    async with service.writer("r", total=5) as writer:
        await writer.write(b"he")
    status = await service.status("r")
    assert (status.offset, status.total) == (2, 5)
    assert [each.ref for each in await service.statuses()] == ["r"]
    async with service.writer("r") as writer:
        assert writer.offset == 2
        with pytest.raises(UnavailableError, match="locked"):
            await _first_answer(side, content.WriteContentRequest(ref="r"))
    await service.abort("r")
    for call in (service.status("r"), service.abort("r")):
        with pytest.raises(NotFoundError):
            await call


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (
            content.WriteContentRequest(action=content.WriteAction.try_value(1), offset=4, data=b"x"),
            OutOfRangeError,
        ),
        (
            content.WriteContentRequest(action=content.WriteAction.try_value(2), offset=2, total=7),
            FailedPreconditionError,
        ),
        (
            content.WriteContentRequest(action=content.WriteAction.try_value(2), offset=2, expected=NONE),
            FailedPreconditionError,
        ),
    ],
)
async def test_what_does_not_fit_is_refused_and_the_ingest_stays(
    side: Side, last: content.WriteContentRequest, error: type[Exception]
) -> None:
    async with side.client.content.writer("r") as writer:
        await writer.write(b"he")
    with pytest.raises(error):
        await _first_answer(side, content.WriteContentRequest(ref="r"), last)
    assert (await side.client.content.status("r")).offset == 2


async def test_a_write_needs_a_ref_and_a_blob_that_is_not_there(side: Side) -> None:
    with pytest.raises(InvalidArgumentError, match="first message must have a reference"):
        await _first_answer(
            side, content.WriteContentRequest(action=content.WriteAction.try_value(1), data=b"x")
        )
    async with side.client.leases.hold():
        await side.client.content.write_blob("r", b"hello")
        with pytest.raises(AlreadyExistsError):
            await _first_answer(side, content.WriteContentRequest(ref="r2", expected=HELLO))
        await side.client.content.delete(HELLO)


async def _first_answer(side: Side, *requests: content.WriteContentRequest) -> None:
    async with side.caller.duplex(
        SERVICES + "content.v1.Content/Write", content.WriteContentRequest, content.WriteContentResponse
    ) as stream:
        for request in requests:
            await stream.send(request)
            await stream.receive()


async def test_digests_are_checked(side: Side) -> None:
    with pytest.raises(InvalidArgumentError):
        await side.caller.unary(
            SERVICES + "content.v1.Content/Info", content.InfoRequest(digest="x"), content.InfoResponse
        )
    with pytest.raises(InvalidArgumentError):
        await side.caller.unary(
            SERVICES + "content.v1.Content/Delete", content.DeleteContentRequest(digest="x"), Empty
        )


# -- leases ----------------------------------------------------------------------------------------------------


async def test_a_lease_holds_resources(side: Side) -> None:
    service = side.client.leases
    lease = await service.create(id="l1", labels={"a": "1"}, expires_in=None)
    assert (lease.id, lease.labels) == ("l1", {"a": "1"})
    with pytest.raises(AlreadyExistsError):
        await service.create(id="l1")
    held = [
        LeaseResource("content", NONE),
        LeaseResource("ingests", "r"),
        LeaseResource("snapshots/native", "k"),
    ]
    for resource in held:
        await service.add_resource("l1", resource)
    assert sorted(await service.list_resources("l1"), key=str) == sorted(held, key=str)
    await service.delete_resource("l1", held[1])
    await service.delete_resource("l1", held[1])
    assert len(await service.list_resources("l1")) == 2
    assert [each.id for each in await service.list("labels.a==1")] == ["l1"]
    assert await service.list("id==other") == []
    await service.delete("l1")
    for call in (service.delete("l1"), service.list_resources("l1"), service.add_resource("l1", held[0])):
        with pytest.raises(NotFoundError):
            await call


async def test_a_lease_is_given_an_id(side: Side) -> None:
    answer = await side.caller.unary(
        SERVICES + "leases.v1.Leases/Create", leases.CreateRequest(), leases.CreateResponse
    )
    assert answer.lease.id


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        (LeaseResource("content", "x"), InvalidArgumentError),
        (LeaseResource("snapshots", "k"), InvalidArgumentError),
        (LeaseResource("nonsense", "k"), NotImplementedByServerError),
    ],
)
async def test_a_lease_holds_nothing_else(
    side: Side, resource: LeaseResource, error: type[Exception]
) -> None:
    await side.client.leases.create(id="l1")
    with pytest.raises(error):
        await side.client.leases.add_resource("l1", resource)


async def test_a_lease_spares_blobs_and_snapshots_from_the_collector(side: Side) -> None:
    service, store = side.client.snapshotter(SNAPSHOTTER), side.client.content
    async with side.client.leases.hold(expires_in=None) as lease:
        await store.write_blob("r", b"hello")
        await service.prepare("k")
        await service.commit("n", "k")
        await service.prepare("child", parent="n")
        other = await side.client.leases.create(id="other")
        await side.client.leases.delete(other.id, sync=True)
        assert await store.read_all(HELLO) == b"hello"
        assert {info.name for info in await service.list()} == {"n", "child"}
        types = {resource.type for resource in await side.client.leases.list_resources(lease.id)}
        assert types == {"content", "snapshots/native"}
    await side.client.leases.create(id="last")
    await side.client.leases.delete("last", sync=True)
    assert await service.list() == []
    with pytest.raises(NotFoundError):
        await store.info(HELLO)


async def test_an_unknown_lease_is_told_where_it_counts(side: Side) -> None:
    service = side.caller
    with lease_scope(service.connection, service.namespace, "none"):
        request = snapshots.PrepareSnapshotRequest(snapshotter=SNAPSHOTTER, key="k")
        with pytest.raises(NotFoundError, match="lease does not exist"):
            await service.unary(
                SERVICES + "snapshots.v1.Snapshots/Prepare", request, snapshots.PrepareSnapshotResponse
            )
        with pytest.raises(NotFoundError, match="lease does not exist"):
            await _first_answer(side, content.WriteContentRequest(ref="r"))
        await service.unary(
            SERVICES + "containers.v1.Containers/List",
            containers.ListContainersRequest(),
            containers.ListContainersResponse,
        )


# -- snapshots -------------------------------------------------------------------------------------------------


async def test_snapshots_are_prepared_committed_and_built_upon(side: Side) -> None:
    service = side.client.snapshotter(SNAPSHOTTER)
    async with side.client.leases.hold():
        [mount] = await service.prepare("k", labels={"a": "1"})
        assert mount.type == "bind"
        assert "rw" in mount.options
        assert await service.mounts("k") == [mount]
        assert ((info := await service.stat("k")).kind, info.labels) == (SnapshotKind.ACTIVE, {"a": "1"})
        await service.commit("n", "k", labels={"b": "2"})
        assert ((info := await service.stat("n")).kind, info.labels) == (SnapshotKind.COMMITTED, {"b": "2"})
        with pytest.raises(NotFoundError):
            await service.stat("k")
        await service.prepare("child", parent="n")
        [view] = await service.view("view", parent="n")
        assert "ro" in view.options
        found = {info.name: (info.kind, info.parent) for info in await service.list()}
        assert found == {
            "n": (SnapshotKind.COMMITTED, None),
            "child": (SnapshotKind.ACTIVE, "n"),
            "view": (SnapshotKind.VIEW, "n"),
        }
        for filter, names in {
            "parent==n": ["child", "view"],
            "kind==committed": ["n"],
            "name==n": ["n"],
        }.items():
            assert sorted(info.name for info in await service.list(filter)) == names
        labelled = SnapshotInfo("child", SnapshotKind.ACTIVE, labels={"x": "y"})
        assert (await service.update(labelled, "labels.x")).labels == {"x": "y"}
        assert (await service.usage("child")).inodes >= 1


async def test_what_snapshots_refuse(side: Side) -> None:
    service = side.client.snapshotter(SNAPSHOTTER)
    async with side.client.leases.hold():
        await service.prepare("k")
        with pytest.raises(AlreadyExistsError):
            await service.prepare("k")
        with pytest.raises(NotFoundError, match="parent snapshot p does not exist"):
            await service.prepare("k2", parent="p")
        with pytest.raises(InvalidArgumentError, match="is not committed snapshot"):
            await service.prepare("k2", parent="k")
        await service.commit("n", "k")
        await service.prepare("child", parent="n")
        with pytest.raises(FailedPreconditionError, match="cannot remove snapshot with child"):
            await service.remove("n")
        with pytest.raises(FailedPreconditionError, match="not active or view"):
            await service.mounts("n")
        with pytest.raises(FailedPreconditionError, match="is not active"):
            await service.commit("n2", "n")
        with pytest.raises(AlreadyExistsError):
            await service.commit("n", "child")
        with pytest.raises(InvalidArgumentError, match='cannot update "kind" field'):
            await service.update(SnapshotInfo("child", SnapshotKind.VIEW), "kind")
        for call in (service.stat("z"), service.mounts("z"), service.remove("z"), service.commit("y", "z")):
            with pytest.raises(NotFoundError):
                await call
        with pytest.raises(NotImplementedByServerError):
            await service.cleanup()
    with pytest.raises(InvalidArgumentError, match="snapshotter not loaded: nonsense"):
        await side.client.snapshotter("nonsense").prepare("k")


async def test_snapshots_are_told(side: Side) -> None:
    service = side.client.snapshotter(SNAPSHOTTER)
    async with side.client.leases.hold(), side.client.events.subscribe("topic~=snapshot") as stream:
        await service.prepare("k")
        await service.view("v")
        await service.commit("n", "k")
        await service.remove("n")
        with anyio.fail_after(60):
            seen = await told_until(stream, "/snapshot/remove")
    assert seen == [("/snapshot/prepare", "k"), ("/snapshot/commit", "n"), ("/snapshot/remove", "n")]


# -- the daemon ------------------------------------------------------------------------------------------------


async def test_the_daemon_tells_about_itself(side: Side) -> None:
    client = side.client
    assert (await client.version.get()).version
    assert (await client.introspection.server()).uuid == (await client.introspection.server()).uuid
    [plugin] = await client.introspection.plugins("type==io.containerd.snapshotter.v1,id==native")
    assert plugin.init_error is None
    assert await client.health.check()
    with pytest.raises(NotFoundError):
        await client.health.check("nonsense")


async def test_the_high_level_leaves_nothing(side: Side, archive: bytes, fifo_dir: Path) -> None:
    [image] = await side.client.import_images(archive)
    container = await side.client.new_container("web", image=image, args=["sleep"], snapshotter=SNAPSHOTTER)
    async with container:
        assert (await container.info()).image == image.name
        assert [each.id for each in await side.client.list_containers()] == ["web"]
    assert await side.client.containers.list() == []
    await image.delete(sync=True)
    assert await side.client.snapshotter(SNAPSHOTTER).list() == []
    assert list(fifo_dir.iterdir()) == []
