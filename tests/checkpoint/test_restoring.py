"""What a container is made from that goes on: what the checkpoint has, as far as it may."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from containerd_aio import (
    Client,
    Container,
    FailedPreconditionError,
    Image,
    InvalidArgumentError,
    NotFoundError,
    RuncOptions,
    Task,
    spec,
)
from containerd_aio._checkpoint.index import CONFIG, RUNTIME_OPTIONS, Checkpoint
from containerd_aio._checkpoint.reading import read_checkpoint
from containerd_aio._checkpoint.storing import write_index, write_value
from containerd_aio._transport.typeurl import SPEC
from containerd_aio.spec import Spec
from containerd_aio.testing import FAKE_IMAGE
from containerd_aio.types import AnyValue, Descriptor, ImageInfo


async def changed(client: Client, image: Image, **changes: object) -> Image:
    """The same checkpoint with other parts, as anybody could have written it."""
    found = await read_checkpoint(client.content, image.target, about="it")
    target = await write_index(client.content, replace(found, **changes))  # type: ignore[arg-type]
    await client.images.create(ImageInfo("changed", target))
    return await client.image("changed")


@pytest.fixture
async def checkpoint(container: Container, task: Task) -> Image:
    return await container.checkpoint("kept")


async def test_the_container_has_the_spec_the_runtime_and_the_files(
    client: Client, container: Container, checkpoint: Image
) -> None:
    async with await client.restore("again", checkpoint) as restored:
        info = await restored.info()
        old = await container.info()
        assert (info.image, info.runtime) == (old.image, old.runtime)
        assert (info.snapshotter, info.snapshot_key) == (old.snapshotter, "again")
        expected = await container.spec()
        expected["linux"]["cgroupsPath"] = "/default/again"
        assert await restored.spec() == expected


async def test_by_name_as_well(client: Client, checkpoint: Image) -> None:
    async with await client.restore("again", "kept") as restored:
        assert restored.id == "again"
    with pytest.raises(NotFoundError):
        await client.restore("again", "nothing")


async def test_an_id_that_is_none_is_refused(client: Client, checkpoint: Image) -> None:
    with pytest.raises(InvalidArgumentError, match="container id"):
        await client.restore("../up", checkpoint)


async def test_files_are_left_out_where_they_are_not_wanted(client: Client, checkpoint: Image) -> None:
    found = await read_checkpoint(client.content, checkpoint.target, about="it")
    assert found.layer is not None
    await client.content.delete(found.layer.digest)
    with pytest.raises(NotFoundError):
        await client.restore("again", checkpoint)
    assert [each.id for each in await client.list_containers()] == ["web"]
    async with await client.restore("again", checkpoint, rw=False):
        pass


async def test_where_the_images_name_is_not_here_the_checkpoint_is_the_image(
    client: Client, checkpoint: Image
) -> None:
    """A checkpoint from another daemon; a checkpoint of what is restored has the image in it again."""
    old = await client.image(FAKE_IMAGE)
    await client.images.delete(FAKE_IMAGE)
    async with await client.restore("again", checkpoint) as restored:
        assert (await restored.image()).name == "kept"
        assert await (await restored.image()).chain_id() == await old.chain_id()
        second = await restored.checkpoint("second", task=False)
        found = await read_checkpoint(client.content, second.target, about="it")
        assert (found.image, found.image_name) == (old.target, "kept")
    async with await client.restore("third", second) as third:
        assert (await third.info()).image == "second"


async def test_without_the_image_in_it_the_name_must_be_here_and_the_same(
    client: Client, container: Container
) -> None:
    slim = await container.checkpoint("slim", task=False, image=False)
    async with await client.restore("again", slim) as restored:
        assert (await restored.info()).image == FAKE_IMAGE
    other = await changed(client, slim, parent=f"sha256:{'0' * 64}")
    with pytest.raises(FailedPreconditionError, match="is not the one that 'changed' was made on"):
        await client.restore("again", other)
    async with await client.restore("again", other, rw=False):
        pass
    await client.images.delete(FAKE_IMAGE)
    with pytest.raises(NotFoundError, match="made without the image below"):
        await client.restore("again", slim)


async def test_a_snapshotter_that_is_not_here_is_replaced(client: Client, checkpoint: Image) -> None:
    other = await changed(client, checkpoint, snapshotter="zfs")
    async with await client.restore("again", other) as restored:
        assert (await restored.info()).snapshotter == "overlayfs"
    native = await changed_again(client, checkpoint, snapshotter="native")
    async with await client.restore("again", native) as restored:
        assert (await restored.info()).snapshotter == "native"


async def changed_again(client: Client, image: Image, **changes: object) -> Image:
    await client.images.delete("changed")
    return await changed(client, image, **changes)


async def config_of(client: Client, document: object, url: str = SPEC) -> Descriptor:
    value = AnyValue(url, json.dumps(document).encode()) if url == SPEC else AnyValue(url, b"{}")
    return await write_value(client.content, value, CONFIG)


@pytest.mark.parametrize(
    ("path", "trusted", "expected"),
    [
        pytest.param("/elsewhere/web", False, "/default/again", id="a plain one"),
        pytest.param("/elsewhere/web", True, "/elsewhere/again", id="a trusted one"),
        pytest.param("/web", True, "/again", id="at the top"),
        pytest.param("", True, "/default/again", id="none"),
        pytest.param("a.slice:pre:web", False, ":default:again", id="systemd's"),
        pytest.param("a.slice:pre:web", True, "a.slice:pre:again", id="a trusted systemd's"),
    ],
)
async def test_it_has_a_cgroup_of_its_own(
    client: Client, checkpoint: Image, path: str, trusted: bool, expected: str
) -> None:
    document: Spec = spec.default_spec("web", "default")
    document["process"]["args"] = ["fake"]
    document["linux"]["cgroupsPath"] = path
    other = await changed(client, checkpoint, config=await config_of(client, document))
    async with await client.restore("again", other, trusted=trusted) as restored:
        assert (await restored.spec())["linux"]["cgroupsPath"] == expected


async def test_all_that_is_too_much_is_listed_up_to_a_bound(client: Client, checkpoint: Image) -> None:
    document: dict[str, object] = {**spec.default_spec("web", "default")}
    document["annotations"] = {f"evil{number}": "" for number in range(30)}
    other = await changed(client, checkpoint, config=await config_of(client, document))
    with pytest.raises(InvalidArgumentError, match="annotation evil0, .*annotation evil19 and 10 more"):
        await client.restore("again", other)


async def test_what_is_listed_is_short_and_does_nothing_to_a_terminal(
    client: Client, checkpoint: Image
) -> None:
    document: dict[str, object] = {**spec.default_spec("web", "default")}
    document["annotations"] = {"\x1b[31m" + "a" * 1000: ""}
    other = await changed(client, checkpoint, config=await config_of(client, document))
    with pytest.raises(InvalidArgumentError) as caught:
        await client.restore("again", other)
    assert "annotation ?[31maaa" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("document", [[], "text", None, 3])
async def test_a_spec_that_is_none_is_refused(client: Client, checkpoint: Image, document: object) -> None:
    other = await changed(client, checkpoint, config=await config_of(client, document))
    with pytest.raises(InvalidArgumentError, match="the container's spec in image 'changed' is none"):
        await client.restore("again", other, trusted=True)


async def test_sections_that_are_null_are_as_good_as_absent(client: Client, checkpoint: Image) -> None:
    document = {**spec.default_spec("web", "default"), "hooks": None, "linux": None, "process": None}
    other = await changed(client, checkpoint, config=await config_of(client, document))
    with pytest.raises(InvalidArgumentError, match="pid namespace of the host"):
        await client.restore("again", other)
    with pytest.raises(InvalidArgumentError, match="has nothing to run"):
        await client.restore("again", other, trusted=True)


@pytest.mark.parametrize("section", ["linux", "process"])
async def test_a_section_of_another_kind_is_damaged_also_where_it_is_trusted(
    client: Client, checkpoint: Image, section: str
) -> None:
    document = {**spec.default_spec("web", "default"), section: ["odd"]}
    other = await changed(client, checkpoint, config=await config_of(client, document))
    with pytest.raises(InvalidArgumentError, match=f"{section} is not an object"):
        await client.restore("again", other, trusted=True)
    async with await client.new_container("plain", image=FAKE_IMAGE) as container:
        with pytest.raises(InvalidArgumentError, match=f"{section} is not an object"):
            await container.new_task(checkpoint=other)


async def test_a_value_of_another_type_is_no_spec(client: Client, checkpoint: Image) -> None:
    other = await changed(
        client, checkpoint, config=await config_of(client, {}, "containerd.runc.v1.Options")
    )
    with pytest.raises(InvalidArgumentError, match=r"but a 'containerd\.runc\.v1\.Options'"):
        await client.restore("again", other)


async def test_a_damaged_spec_is_refused(client: Client, checkpoint: Image) -> None:
    digest = await client.content.write_blob("broken", b"\xff\xff")
    other = await changed(client, checkpoint, config=Descriptor(CONFIG, digest, 2))
    with pytest.raises(InvalidArgumentError, match="the container's spec in image 'changed' is damaged"):
        await client.restore("again", other)


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        pytest.param(
            AnyValue("runtimeoptions.v1.Options", b""), "runtime options runtimeoptions.v1", id="kata's"
        ),
        pytest.param(
            AnyValue("containerd.runc.v1.Options", b"\x42\x03/no"), "unknown runtime options", id="old"
        ),
        pytest.param(
            AnyValue("containerd.runc.v1.Options", b"\xff"), "malformed runtime options", id="broken"
        ),
    ],
)
async def test_options_of_the_runtime_that_are_not_known_are_refused(
    client: Client, checkpoint: Image, value: AnyValue, listed: str
) -> None:
    options = await write_value(client.content, value, RUNTIME_OPTIONS)
    other = await changed(client, checkpoint, runtime_options=options)
    with pytest.raises(InvalidArgumentError, match=listed):
        await client.restore("again", other)
    async with await client.restore("again", other, runtime=False):
        pass


async def test_harmless_options_of_the_runtime_are_taken(client: Client) -> None:
    options = RuncOptions(systemd_cgroup=True, io_uid=1000, io_gid=1000)
    async with await client.new_container("web", image=FAKE_IMAGE, runtime_options=options) as container:
        checkpoint = await container.checkpoint("kept", task=False)
        async with await client.restore("again", checkpoint) as restored:
            assert (await restored.info()).runtime == (await container.info()).runtime


async def test_without_a_spec_it_is_the_images(client: Client, checkpoint: Image) -> None:
    """The Go client's checkpoint of a container without its task has none."""
    other = await changed(client, checkpoint, config=None)
    async with await client.restore("again", other) as restored:
        assert (await restored.spec())["process"]["args"] == ["fake"]


async def test_an_empty_index_of_parts_names_nothing(client: Client) -> None:
    target = await write_index(client.content, Checkpoint(runtime="io.containerd.runc.v2"))
    await client.images.create(ImageInfo("empty", target))
    with pytest.raises(InvalidArgumentError, match="neither an image nor a spec"):
        await client.restore("again", "empty")


async def test_a_target_that_is_no_index_is_no_checkpoint(client: Client) -> None:
    digest = await client.content.write_blob("text", b"text")
    await client.images.create(ImageInfo("text", Descriptor("text/plain", digest, 4)))
    with pytest.raises(InvalidArgumentError, match="image 'text' is no checkpoint, but text/plain"):
        await client.restore("again", "text")
