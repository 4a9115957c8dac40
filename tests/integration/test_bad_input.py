"""Whatever is wrong gets an error that names the thing and the way out, and leaves nothing behind.

That nothing stays (snapshots, leases, ingests, containers, FIFOs, descriptors, asyncio tasks) is checked by the
fixtures ``namespace``, ``fifo_dir`` and ``nothing_is_left`` after each test.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from containerd_aio import (
    AlreadyExistsError,
    Client,
    ConnectionLostError,
    FailedPreconditionError,
    Image,
    InvalidArgumentError,
    NotFoundError,
    StartFailedError,
    pipes,
    spec,
)
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    with pytest.raises(ConnectionLostError, match=rf"{path}: start containerd"):
        await Client(path).connect()


async def test_a_socket_that_is_a_plain_file(tmp_path: Path) -> None:
    path = tmp_path / "plain"
    path.write_text("no socket")
    with pytest.raises(ConnectionLostError, match=rf"{path}.*not a socket"):
        await Client(path).connect()


async def test_a_socket_that_refuses(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(ConnectionLostError, match=rf"{path}"):
        await Client(path).connect()


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "a" * 77, "a b", "a\n", "ä"])
async def test_a_namespace_that_is_none(client: Client, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="namespace"):
        client.with_namespace(name)


@pytest.mark.parametrize("id", ["", "a/b", "../x", "-a", "a" * 77, "a b", "a\0"])
async def test_a_container_id_that_is_none(client: Client, image: Image, id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="container id"):
        await client.new_container(id, image=image)


@pytest.mark.parametrize("id", ["", "a/b", "../../x", "host"])
async def test_an_exec_id_that_is_none(client: Client, image: Image, id: str) -> None:
    async with (
        await client.new_container("host", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(InvalidArgumentError, match="id"):
            await task.exec(id, ["true"], stdio=pipes())


async def test_args_that_are_one_string(client: Client, image: Image) -> None:
    with pytest.raises(InvalidArgumentError, match=r"list of strings.*\['echo hi'\]"):
        await client.new_container("web", image=image, args="echo hi")
    with pytest.raises(InvalidArgumentError):
        async with (
            await client.new_container("host", image=image, args=["sleep", "3600"]) as container,
            await container.new_task() as task,
        ):
            await task.exec("x", "echo hi")


async def test_a_container_without_an_image(client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="neither an image nor a spec"):
        await client.new_container("web", args=["true"])


async def test_an_image_that_is_not_there(client: Client) -> None:
    with pytest.raises(
        NotFoundError, match=r"no image 'none' in namespace '.+': import_images\(\)"
    ) as caught:
        await client.new_container("web", image="none")
    assert caught.value.subject == "image 'docker.io/library/none:latest'"


async def test_a_container_a_task_and_an_exec_that_are_not_there(client: Client, image: Image) -> None:
    with pytest.raises(NotFoundError, match=r"no container 'web' in namespace '.+': new_container\(\)"):
        await client.load_container("web")
    async with await client.new_container("web", image=image, args=["sleep", "3600"]) as container:
        with pytest.raises(NotFoundError, match=r"container 'web' has no task: new_task\(\)"):
            await container.task()
        async with await container.new_task() as task:
            with pytest.raises(NotFoundError, match=r"task 'web' has no exec 'ps': exec\(\)"):
                await task.load_process("ps")


async def test_an_exec_id_that_is_taken(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("ps", ["sleep", "3600"]) as process:
            with pytest.raises(
                AlreadyExistsError, match=r"task 'web' has an exec 'ps' already: .*load_process"
            ):
                await task.exec("ps", ["true"])
            await process.start()  # the first one is whole


async def test_a_spec_without_args(client: Client, image: Image) -> None:
    bare = spec.default_spec("web", client.namespace)
    with pytest.raises(InvalidArgumentError, match="nothing to run"):
        await client.new_container("web", image=image, spec=bare)


async def test_a_spec_whose_root_is_nowhere(client: Client) -> None:
    bare = spec.default_spec("web", client.namespace)
    bare["process"]["args"] = ["true"]
    async with await client.new_container("web", spec=bare) as container:
        with pytest.raises(InvalidArgumentError, match="root"):
            await container.new_task()


async def test_a_container_id_that_is_taken(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=["sleep", "3600"]) as container:
        with pytest.raises(AlreadyExistsError, match="container 'web' already: .*load_container"):
            await client.new_container("web", image=image, args=["true"])
        async with await container.new_task() as task:
            await task.start()  # the first one is whole


async def test_a_second_task_and_a_second_start(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(AlreadyExistsError, match=r"has a task already; container.task\(\) loads it"):
            await container.new_task(stdio=pipes())
        with pytest.raises(FailedPreconditionError, match="started"):
            await task.start()
        exited = task.wait()
        await task.kill()
        assert (await exited).code == 137  # what was refused has not disturbed the wait


async def test_a_binary_that_does_not_exist_in_the_image(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=["/no/such/binary"]) as container:
        with pytest.raises(StartFailedError, match=r"task 'web'.*/no/such/binary.*no such file"):
            await container.new_task(stdio=pipes())


async def test_a_binary_that_does_not_exist_for_an_exec(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("x", ["no-such-binary"], stdio=pipes()) as process:
            exited = process.wait()
            with pytest.raises(StartFailedError, match=r"exec 'x'.*no-such-binary.*not found"):
                await process.start()
            with pytest.raises(StartFailedError):
                await exited


async def test_an_exec_in_a_task_that_does_not_run(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=["true"]) as container,
        await container.new_task() as task,
    ):
        exited = task.wait()
        await task.start()
        await exited
        with pytest.raises(FailedPreconditionError, match="stopped"):
            await task.exec("x", ["true"], stdio=pipes())


async def test_a_user_that_the_image_does_not_know(client: Client, image: Image) -> None:
    with pytest.raises(InvalidArgumentError, match="nobody-knows-me"):
        await client.new_container("web", image=image, args=["id"], options=[spec.user("nobody-knows-me")])
    assert await client.list_containers() == []


async def test_a_signal_that_is_none(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=["sleep", "3600"]) as container,
        await container.new_task() as task,
    ):
        await task.start()
        for signal in ("SIGNOPE", 0, 65):
            with pytest.raises(InvalidArgumentError, match="no signal"):
                await task.kill(signal)


async def test_a_snapshotter_and_a_runtime_that_do_not_exist(client: Client, image: Image) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError), match="nope"):
        await client.new_container("web", image=image, args=["true"], snapshotter="nope")
    async with await client.new_container(
        "web", image=image, args=["true"], runtime="io.containerd.nope.v2"
    ) as container:
        with pytest.raises(StartFailedError, match="nope"):
            await container.new_task()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda data: data[:-60_000].replace(b'"layers"', b'"l4yers"'), id="wrong digest"),
        pytest.param(lambda data: b"no archive at all" * 100, id="no archive"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
async def test_an_archive_that_is_damaged(client: Client, archive: bytes, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(InvalidArgumentError):
        await client.import_images(damage(archive))
    assert await client.list_images() == []


async def test_an_archive_that_is_not_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"none\.tar.*No such file"):
        await client.import_images(tmp_path / "none.tar")


async def test_labels_of_an_image_never_reach_the_container(client: Client, archive: bytes) -> None:
    from containerd_aio.cli.busybox import busybox_archive

    labels = {"containerd.io/restart.loguri": "binary:///bin/sh", "io.cri-containerd.kind": "x"}
    [image] = await client.import_images(busybox_archive(config={"Labels": labels}))
    async with await client.new_container("web", image=image, args=["true"]) as container:
        assert await container.labels() == {}


async def test_a_user_id_out_of_range_in_an_image(client: Client) -> None:
    from containerd_aio.cli.busybox import busybox_archive

    [image] = await client.import_images(busybox_archive(config={"User": "4294967296:0"}))
    with pytest.raises(InvalidArgumentError, match="4294967296"):
        await client.new_container("web", image=image, args=["id"])


async def test_a_fixed_namespace_on_a_private_daemon_is_warned_of(daemon: PrivateDaemon) -> None:
    with pytest.warns(UserWarning, match="namespace"):
        daemon.client(namespace="example")


async def test_the_spec_that_is_stored_is_the_spec_that_was_built(client: Client, image: Image) -> None:
    async with await client.new_container(
        "web", image=image, args=["true"], options=[spec.hostname("box")]
    ) as container:
        stored = (await container.info()).spec
        assert stored is not None
        assert json.loads(stored.value)["hostname"] == "box"
