"""What a new task goes on from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from containerd_aio import (
    CheckpointOptions,
    Client,
    Container,
    Image,
    InvalidArgumentError,
    NotFoundError,
    ProcessLostError,
    ProcessState,
    RuncOptions,
    Task,
    pipes,
)
from containerd_aio._checkpoint.index import MEMORY
from containerd_aio._checkpoint.origin import Origin
from containerd_aio._checkpoint.reading import read_checkpoint
from containerd_aio._checkpoint.storing import write_index
from containerd_aio._images.media_types import OCI_INDEX
from containerd_aio._images.platforms import host_platform
from containerd_aio._transport.runc import runc_options
from containerd_aio.events import TaskCreate, TaskStart
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd
from containerd_aio.types import Descriptor, ImageInfo, Platform

EXIT = CheckpointOptions(exit=True)


@pytest.fixture
async def checkpoint(task: Task) -> Image:
    """Of a task that has ended with it, and is gone."""
    image = await task.checkpoint("kept", options=EXIT)
    await task.delete()
    return image


async def test_the_pid_is_known_when_it_is_started(
    fake: FakeContainerd, client: Client, container: Container, checkpoint: Image
) -> None:
    async with client.events.subscribe() as events:
        async with await container.new_task(checkpoint=checkpoint, stdio=pipes()) as task:
            assert (task.pid, (await task.status()).state) == (0, ProcessState.CREATED)
            exited = task.wait()
            await task.start()
            assert task.pid > 0
            fake.exit(task, code=3)
            assert (await exited).code == 3
        pids: list[tuple[str, int]] = []
        async for event in events:
            if isinstance(event.payload, TaskCreate | TaskStart):
                pids.append((event.topic, event.payload.pid))
            if event.topic == "/tasks/delete":
                break
    assert pids == [("/tasks/create", 0), ("/tasks/start", task.pid)]


async def test_one_that_was_never_started_is_deleted(container: Container, checkpoint: Image) -> None:
    async with await container.new_task(checkpoint=checkpoint) as task:
        exited = task.wait()
        with pytest.raises(NotFoundError):
            await task.kill()
    with pytest.raises(ProcessLostError, match="before it was started"):
        await exited
    async with await container.new_task(checkpoint=checkpoint) as task:
        await task.start()


async def test_a_terminal_that_was_none_is_refused_before_any_call(
    fake: FakeContainerd, container: Container, checkpoint: Image
) -> None:
    with pytest.raises(InvalidArgumentError, match="had no terminal: give them a stdio with terminal=False"):
        await container.new_task(checkpoint=checkpoint, stdio=pipes(terminal=True))
    assert fake.calls["Tasks/Create"] == 1


async def test_a_memory_that_is_gone_is_told(client: Client, container: Container, checkpoint: Image) -> None:
    memory = (await read_checkpoint(client.content, checkpoint.target, about="it")).memory
    assert memory is not None
    await client.content.delete(memory.digest)
    with pytest.raises(NotFoundError, match=memory.digest):
        await container.new_task(checkpoint=checkpoint)


async def test_a_memory_of_another_processor_is_refused(
    client: Client, container: Container, checkpoint: Image
) -> None:
    other = Platform("linux", "s390x" if host_platform().architecture != "s390x" else "amd64")
    index = json.loads(await client.content.read_all(checkpoint.target.digest))
    for part in index["manifests"]:
        if part["mediaType"] == MEMORY:
            part["platform"] = {"os": other.os, "architecture": other.architecture}
    document = json.dumps(index).encode()
    digest = await client.content.write_blob("foreign", document)
    await client.images.create(ImageInfo("foreign", Descriptor(OCI_INDEX, digest, len(document))))
    with pytest.raises(InvalidArgumentError, match=f"is one of linux/{other.architecture}"):
        await container.new_task(checkpoint=await client.image("foreign"))


async def test_a_directory_is_an_option_of_the_runtime(
    fake: FakeContainerd, container: Container, checkpoint: Image, tmp_path: Path
) -> None:
    async with await container.new_task(checkpoint=tmp_path) as task:
        await task.start()  # the fake knows no such option, and begins anew


def test_the_directory_goes_over_other_options() -> None:
    origin = Origin(directory="/images")
    assert origin.laid_over(None) == RuncOptions(criu_image_path="/images")
    own = RuncOptions(binary_name="crun")
    assert origin.laid_over(own) == replace(own, criu_image_path="/images")
    assert origin.laid_over(runc_options(own)) == runc_options(replace(own, criu_image_path="/images"))
    assert Origin().laid_over(own) == own


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_not_known_is_not_compared(terminal: bool) -> None:
    Origin().check_terminal(terminal, container_id="web")


async def test_a_checkpoint_of_somebody_else_without_a_spec_will_do(client: Client) -> None:
    """Nothing says whether there was a terminal; CRIU will."""
    async with await client.new_container("web", image=FAKE_IMAGE) as container:
        async with await container.new_task() as task:
            await task.start()
            image = await task.checkpoint("full")
            found = await read_checkpoint(client.content, image.target, about="full")
            target = await write_index(client.content, replace(found, config=None))
            await client.images.create(ImageInfo("bare", target))
        async with await container.new_task(checkpoint=await client.image("bare")) as task:
            await task.start()
