"""Checkpoints of the fake and of a real containerd: each case holds for both."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from containerd_aio import AlreadyExistsError, CheckpointOptions, NotFoundError, ProcessState, UnknownError
from containerd_aio._transport.runc import checkpoint_options
from containerd_aio._transport.typeurl import SPEC, from_bytes
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.testing import FakeContainerd
from containerd_aio.types import AnyValue, Descriptor, Mount
from tests.testing.sides import ID, SNAPSHOTTER, Side, make_rootfs, side_of, teach

pytestmark = pytest.mark.timeout(300)  # the first one waits until CRIU is fetched

MEMORY = "application/vnd.containerd.container.criu.checkpoint.criu.tar"
CONFIG = "application/vnd.containerd.container.checkpoint.config.v1+proto"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> list[Mount]:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
async def fake_side(fifo_dir: Path, rootfs: list[Mount]) -> AsyncIterator[Side]:
    async with FakeContainerd(image=None) as fake:
        teach(fake)
        async with side_of(fake.address, f"aio-{uuid.uuid4().hex[:12]}", fifo_dir, rootfs) as side:
            yield side


@pytest.fixture
async def real_side(criu_daemon: PrivateDaemon, fifo_dir: Path, rootfs: list[Mount]) -> AsyncIterator[Side]:
    name = f"aio-{uuid.uuid4().hex[:12]}"
    async with side_of(criu_daemon.address, name, fifo_dir, rootfs) as side:
        yield side


@pytest.fixture(scope="session", params=["fake", pytest.param("real", marks=pytest.mark.integration)])
def which(request: pytest.FixtureRequest) -> str:
    """The side, ready before what looks for left-overs of a test begins."""
    if request.param == "real":
        request.getfixturevalue("criu_daemon")
    return str(request.param)


@pytest.fixture
def side(request: pytest.FixtureRequest, which: str) -> Side:
    found = request.getfixturevalue(f"{which}_side")
    assert isinstance(found, Side)
    return found


def options(*, exit: bool = False, image_path: str = "") -> AnyValue:
    return checkpoint_options(CheckpointOptions(exit=exit), image_path=image_path)


async def test_a_checkpoint_is_a_memory_and_the_spec_and_the_task_runs_on(side: Side) -> None:
    tasks = await side.run()
    async with side.client.leases.hold() as lease:
        memory, config = await tasks.checkpoint(ID, options=options())
        assert (memory.media_type, config.media_type) == (MEMORY, CONFIG)
        spec = from_bytes(await side.client.content.read_all(config.digest))
        assert spec == (await side.client.containers.get(ID)).spec
        assert spec.type_url == SPEC
        held = {each.id for each in await side.client.leases.list_resources(lease.id)}
        assert held == {memory.digest, config.digest}
    assert await side.state() is ProcessState.RUNNING


async def test_one_without_options_is_taken_as_well(side: Side) -> None:
    tasks = await side.run()
    async with side.client.leases.hold():
        assert len(await tasks.checkpoint(ID)) == 2


async def test_with_exit_the_task_has_ended(side: Side) -> None:
    tasks = await side.run()
    async with side.client.leases.hold():
        await tasks.checkpoint(ID, options=options(exit=True))
    assert (await tasks.wait(ID)).code == 137
    assert await side.state() is ProcessState.STOPPED


async def test_a_paused_task_stays_paused(side: Side) -> None:
    tasks = await side.run()
    await tasks.pause(ID)
    async with side.client.leases.hold():
        await tasks.checkpoint(ID, options=options())
    assert await side.state() is ProcessState.PAUSED
    await tasks.resume(ID)


async def test_in_a_directory_nothing_goes_to_the_content_store(side: Side, tmp_path: Path) -> None:
    tasks = await side.run()
    assert await tasks.checkpoint(ID, options=options(image_path=str(tmp_path / "images"))) == []
    assert await side.client.content.list() == []


async def test_the_second_one_fails_in_1x_after_the_memory_was_written(side: Side) -> None:
    tasks = await side.run()
    release = (await side.client.version.get()).release
    async with side.client.leases.hold() as lease:
        first = await tasks.checkpoint(ID, options=options())
        if release >= (2, 0):
            await tasks.checkpoint(ID, options=options(exit=True))
        else:
            with pytest.raises(AlreadyExistsError):
                await tasks.checkpoint(ID, options=options(exit=True))
        held = {each.id for each in await side.client.leases.list_resources(lease.id)}
        assert len(held - {part.digest for part in first}) == 1
    assert await side.state() is ProcessState.STOPPED


async def test_options_of_another_type_are_refused(side: Side) -> None:
    tasks = await side.run()
    for name in ("containerd.runc.v1.Options", "type.googleapis.com/containerd.runc.v1.CheckpointOptions"):
        with pytest.raises(UnknownError):
            await tasks.checkpoint(ID, options=AnyValue(name, b""))
    assert await side.state() is ProcessState.RUNNING


async def test_what_is_restored_has_its_pid_when_it_is_started(side: Side) -> None:
    tasks = await side.run()
    async with side.client.leases.hold():
        memory, _ = await tasks.checkpoint(ID, options=options(exit=True))
        await tasks.delete(ID)
        assert await tasks.create(ID, rootfs=side.rootfs, checkpoint=memory) == 0
        record = await tasks.get(ID)
        assert (record.pid, record.status.state) == (0, ProcessState.CREATED)
        assert [each.container_id for each in await tasks.list()] == [ID]
        with pytest.raises(NotFoundError):
            await tasks.kill(ID, 9)
        for refused in (tasks.pause, tasks.checkpoint):
            with pytest.raises(UnknownError):
                await refused(ID)
        pid = await tasks.start(ID)
        assert (await tasks.get(ID)).pid == pid > 0
        assert await side.state() is ProcessState.RUNNING


async def test_what_is_restored_can_be_deleted_before_it_is_started(side: Side) -> None:
    tasks = await side.run()
    async with side.client.leases.hold():
        memory, _ = await tasks.checkpoint(ID, options=options(exit=True))
        await tasks.delete(ID)
        await tasks.create(ID, rootfs=side.rootfs, checkpoint=memory)
        deleted = await tasks.delete(ID)
        assert (deleted.pid, deleted.code, deleted.exited_at_ns) == (0, 0, None)


async def test_a_memory_that_is_not_there_is_told_without_a_class(side: Side) -> None:
    tasks = await side.make()
    with pytest.raises(UnknownError, match="not found"):
        await tasks.create(ID, rootfs=side.rootfs, checkpoint=Descriptor(MEMORY, f"sha256:{'0' * 64}", 3))


async def test_the_difference_of_two_snapshots_is_a_layer(side: Side) -> None:
    snapshots = side.client.snapshotter(SNAPSHOTTER)
    async with side.client.leases.hold() as lease:
        before = await snapshots.view("before")
        after = await snapshots.prepare("after")
        layer = await side.client.diff.diff(before, after, ref="mine")
        assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
        info = await side.client.content.info(layer.digest)
        assert info.size == layer.size
        assert "containerd.io/uncompressed" in info.labels
        again = await side.client.diff.diff(before, after, ref="mine")
        assert again.digest == layer.digest
        held = [each.id for each in await side.client.leases.list_resources(lease.id)]
        assert layer.digest in held
        for key in ("before", "after"):
            await snapshots.remove(key)
