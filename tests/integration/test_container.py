"""The record of a container: what is stored with it, changed in it, and where it has its limits."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from containerd_aio import Client, Image, InvalidArgumentError, NotFoundError, spec
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import Spec
from containerd_aio.types import AnyValue, Mount
from tests.integration.conftest import Shared
from tests.integration.leaks import remove_namespace
from tests.integration.test_exits import SLEEP

pytestmark = pytest.mark.integration


@pytest.fixture
def client(shared: Shared) -> Client:
    return shared.client


@pytest.fixture
def image(shared: Shared) -> Image:
    return shared.image


@asynccontextmanager
async def own_namespace(client: Client, daemon: PrivateDaemon, name: str) -> AsyncIterator[Client]:
    """A client of another namespace, of which nothing may be left."""
    await client.namespaces.create(name)
    async with Client(client.address, namespace=name) as other:
        yield other
    assert remove_namespace(daemon.address, name) == []


async def test_a_fresh_namespace_has_no_containers(client: Client) -> None:
    assert await client.with_namespace(f"aio-{uuid.uuid4().hex[:12]}").list_containers() == []


async def test_a_container_comes_back_as_it_was_stored(client: Client, image: Image) -> None:
    async with await client.new_container(
        "web", image=image, args=SLEEP, labels={"role": "web", "tier": "1"}
    ) as container:
        loaded = await client.load_container("web")
        info = await loaded.info()
        assert (info.id, info.image, info.snapshot_key) == ("web", image.name, "web")
        assert info == await container.info()
        assert await loaded.labels() == {"role": "web", "tier": "1"}
        assert (await loaded.image()).target == image.target
        assert await container.set_labels({"role": "db"}) == {"role": "db", "tier": "1"}
        assert await loaded.labels() == {"role": "db", "tier": "1"}


async def test_what_others_store_with_it_comes_back_byte_by_byte(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        assert await container.extensions() == {}
        kept = {"hello": AnyValue("example.org/hello", bytes(range(256)))}
        await container.update(replace(await container.info(), extensions=kept), "extensions")
        loaded = await client.load_container("web")
        assert await loaded.extensions() == kept
        assert await loaded.labels() == {}


async def test_a_changed_spec_is_stored_and_run(client: Client, image: Image) -> None:
    async with await client.new_container(
        "web", image=image, args=SLEEP, options=[spec.hostname("one")]
    ) as container:
        info = await container.info()
        assert info.spec is not None
        document = json.loads(info.spec.value)
        document["hostname"] = "two"
        changed = replace(info, spec=replace(info.spec, value=json.dumps(document).encode()))
        await container.update(changed, "spec")
        assert (await (await client.load_container("web")).spec())["hostname"] == "two"
        async with await container.new_task() as task:
            await task.start()
            assert (await task.run(["hostname"])).stdout == b"two\n"
        with pytest.raises(InvalidArgumentError, match="immutable"):
            await container.update(replace(info, snapshotter="native-to-nowhere"))


async def test_a_container_without_an_image_says_so(client: Client) -> None:
    bare: Spec = spec.default_spec("web", client.namespace)
    bare["process"]["args"] = ["true"]
    async with await client.new_container("web", spec=bare) as container:
        with pytest.raises(NotFoundError, match="'web' was not made from an image"):
            await container.image()


async def test_a_container_runs_on_mounts_of_the_callers(client: Client, image: Image) -> None:
    """Those of a snapshot that is not the container's, instead of one that is."""
    async with await client.new_container("owner", image=image, args=SLEEP) as owner:
        info = await owner.info()
        assert info.snapshotter is not None
        mounts: list[Mount] = await client.snapshotter(info.snapshotter).mounts("owner")
        bare = await owner.spec()
        bare["process"]["args"] = ["sh", "-c", "cat /etc/hostname; exit 7"]
        async with await client.new_container("guest", spec=bare) as guest:
            with pytest.raises(InvalidArgumentError, match="root"):
                await guest.new_task()
            async with await guest.new_task(rootfs=mounts) as task:
                exited = task.wait()
                await task.start()
                assert (await exited).code == 7


async def test_the_longest_names_fit(client: Client, daemon: PrivateDaemon, archive: bytes) -> None:
    """Sockets and FIFOs have short paths whatever they are called after."""
    name = f"aio-{uuid.uuid4().hex[:12]}".ljust(76, "n")
    async with own_namespace(client, daemon, name) as other:
        [image] = await other.import_images(archive)
        async with (
            await other.new_container(
                "c" * 76, image=image, args=SLEEP, snapshotter=daemon.snapshotter
            ) as container,
            await container.new_task() as task,
        ):
            await task.start()
            assert (await task.run(["echo", "hi"], id="e" * 76)).stdout == b"hi\n"


async def test_the_label_of_a_namespace_names_its_runtime(
    client: Client, daemon: PrivateDaemon, archive: bytes
) -> None:
    name = f"aio-{uuid.uuid4().hex[:12]}"
    async with own_namespace(client, daemon, name) as other:
        [image] = await other.import_images(archive)
        for label, runtime in [("", "io.containerd.runc.v2"), ("io.containerd.other.v2",) * 2]:
            await other.namespaces.update(name, {"containerd.io/defaults/runtime": label})
            async with await other.new_container(
                "web", image=image, args=SLEEP, snapshotter=daemon.snapshotter
            ) as container:
                assert (await container.info()).runtime.name == runtime
