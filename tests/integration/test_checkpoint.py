"""Checkpoints of running tasks, by a real CRIU, and what goes on from them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from containerd_aio import (
    AlreadyExistsError,
    CheckpointOptions,
    Client,
    FailedPreconditionError,
    Image,
    InvalidArgumentError,
    NotFoundError,
    ProcessState,
    RuncOptions,
    StartFailedError,
    pipes,
)
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.spec import default_spec
from containerd_aio.types import Descriptor
from tests.integration.conftest import CONTAINERD, private_daemon
from tests.integration.counting import COUNT, counted, counted_at_least, told

pytestmark = pytest.mark.integration

EXIT = CheckpointOptions(exit=True)
SLEEP = ["sleep", "3600"]


@pytest.fixture(scope="session")
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    return criu_daemon


async def goes_on(client: Client, id: str, checkpoint: Image, after: int) -> None:
    """Restore it: it counts on after ``after``, and no number is missing in the file, and none is there twice."""
    async with await client.restore(id, checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint, stdio=pipes()) as task:
            assert task.pid == 0
            exited = task.wait()
            await task.start()
            assert task.pid > 0
            numbers = await told(task.stdout, 3)
            assert numbers[0] > after
            in_file = await counted_at_least(task, numbers[-1])
            assert in_file == list(range(1, len(in_file) + 1))
            await task.kill()
            assert (await exited).code == 137


async def test_a_task_goes_on_under_another_id_from_where_it_was(client: Client, image: Image) -> None:
    async with await client.new_container("first", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            exited = task.wait()
            await task.start()
            before = await told(task.stdout, 5)
            checkpoint = await task.checkpoint(options=EXIT)
            assert (await exited).code == 137
            assert (await task.status()).state is ProcessState.STOPPED
    await goes_on(client, "second", checkpoint, before[-1])


async def test_a_task_goes_on_in_another_daemon(
    client: Client, image: Image, criu: Mapping[str, str], tmp_path: Path
) -> None:
    async with await client.new_container("first", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            before = await told(task.stdout, 5)
            checkpoint = await task.checkpoint("counting", options=EXIT)
    await client.export_images(tmp_path / "checkpoint.tar", "counting")

    async with private_daemon(containerd=CONTAINERD, env=criu) as other, other.client() as elsewhere:
        [imported] = await elsewhere.import_images(tmp_path / "checkpoint.tar")
        assert (imported.name, imported.target.digest) == ("counting", checkpoint.target.digest)
        await goes_on(elsewhere, "second", imported, before[-1])


async def test_three_checkpoints_in_a_row_can_all_be_restored(client: Client, image: Image) -> None:
    checkpoints: list[tuple[Image, int]] = []
    async with await client.new_container("web", image=image, args=COUNT) as container:
        spec = (await container.info()).spec
        async with await container.new_task() as task:
            await task.start()
            for _ in range(3):
                numbers = await counted_at_least(task, 3)
                checkpoints.append((await task.checkpoint(), len(numbers)))
                assert (await task.status()).state is ProcessState.RUNNING
            await counted_at_least(task, checkpoints[-1][1] + 1)
            assert (await container.info()).spec == spec
            last = await task.checkpoint(options=EXIT)
    assert len({image.name for image, _ in checkpoints}) == 3
    for number, (checkpoint, least) in enumerate([*checkpoints, (last, checkpoints[-1][1])]):
        async with await client.restore(f"web-{number}", checkpoint) as container:
            async with await container.new_task(checkpoint=checkpoint) as task:
                await task.start()
                in_file = await counted_at_least(task, least + 1)
                assert in_file == list(range(1, len(in_file) + 1))


async def test_the_state_that_a_task_is_found_in_stays(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            await task.checkpoint()
            assert (await task.status()).state is ProcessState.RUNNING
            await task.pause()
            await task.checkpoint()
            assert (await task.status()).state is ProcessState.PAUSED
            frozen = task.wait()
            checkpoint = await task.checkpoint(options=EXIT)
            assert (await frozen).code == 137
    await goes_on(client, "again", checkpoint, 0)


async def test_a_terminal_is_restored(client: Client, image: Image) -> None:
    shell = ["sh", "-c", "read A; echo z${A}z"]
    async with await client.new_container("first", image=image, args=shell) as container:
        async with await container.new_task(stdio=pipes(stdin=True, terminal=True)) as task:
            await task.start()
            checkpoint = await container.checkpoint("asking", exit=True)
            assert (await task.wait()).code == 137
    async with await client.restore("first", checkpoint) as container:
        with pytest.raises(InvalidArgumentError, match="had a terminal"):
            await container.new_task(checkpoint=checkpoint, stdio=pipes(stdin=True))
        stdio = pipes(stdin=True, terminal=True)
        async with await container.new_task(checkpoint=checkpoint, stdio=stdio) as task:
            exited = task.wait()
            await task.start()
            assert task.stdin is not None
            assert task.stdout is not None
            await task.resize(100, 40)
            await task.stdin.send(b"hello\n")
            said = b"".join([chunk async for chunk in task.stdout])
            assert said.endswith(b"zhelloz\r\n")
            assert (await exited).code == 0


async def test_input_and_both_outputs_are_connected_again(client: Client, image: Image) -> None:
    shell = ["sh", "-c", "while read A; do echo out $A; echo err $A >&2; done; exit 4"]
    async with await client.new_container("first", image=image, args=shell) as container:
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            exited = task.wait()
            await task.start()
            checkpoint = await task.checkpoint(options=CheckpointOptions(exit=True, open_tcp=True))
            assert (await exited).code == 137
    async with await client.restore("second", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint, stdio=pipes(stdin=True)) as task:
            exited = task.wait()
            await task.start()
            assert task.stdin is not None
            assert task.stdout is not None
            assert task.stderr is not None
            await task.stdin.send(b"1\n")
            assert await task.stdout.receive() == b"out 1\n"
            assert await task.stderr.receive() == b"err 1\n"
            await task.stdin.aclose()
            assert (await exited).code == 4


async def test_the_original_may_run_to_its_end_and_go(client: Client, image: Image) -> None:
    """The Go client's TestCheckpointRestore, TestCheckpointRestoreNewContainer and TestCheckpointLeaveRunning."""
    shell = ["sh", "-c", "until [ -e /go ]; do usleep 5000; done; exit 3"]
    async with await client.new_container("web", image=image, args=shell) as container:
        async with await container.new_task() as task:
            exited = task.wait()
            await task.start()
            checkpoint = await container.checkpoint("waiting")
            assert (await task.status()).state is ProcessState.RUNNING
            Path(f"/proc/{task.pid}/root/go").touch()
            assert (await exited).code == 3
    async with await client.restore("web", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint) as task:
            exited = task.wait()
            await task.start()
            await task.kill("KILL")
            assert (await exited).code == 137
        async with await container.new_task(checkpoint=checkpoint) as task:
            exited = task.wait()
            await task.start()
            assert (await task.run(["ls", "/bin/sh"], check=True)).stdout == b"/bin/sh\n"
            Path(f"/proc/{task.pid}/root/go").touch()
            assert (await exited).code == 3


async def test_a_directory_is_written_and_gone_on_from(client: Client, image: Image, tmp_path: Path) -> None:
    """The Go client's TestCheckpointRestoreWithImagePath."""
    options = CheckpointOptions(exit=True, work_path=os.fspath(tmp_path / "work"))
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            before = await told(task.stdout, 5)
            await task.checkpoint_to(tmp_path / "images", options=options)
            assert (await task.wait()).code == 137
        assert {"inventory.img", "pstree.img"} <= set(os.listdir(tmp_path / "images"))
        assert "dump.log" in os.listdir(tmp_path / "work")
        assert await client.images.list('labels."containerd.io/checkpoint"') == []
        logs = RuncOptions(criu_work_path=os.fspath(tmp_path / "restored"))
        async with await container.new_task(
            checkpoint=tmp_path / "images", stdio=pipes(), options=logs
        ) as task:
            assert task.pid == 0
            await task.start()
            assert "restore.log" in os.listdir(tmp_path / "restored")
            numbers = await told(task.stdout, 3)
            assert numbers[0] > before[-1]
            in_file = await counted_at_least(task, numbers[-1])
            assert in_file == list(range(1, len(in_file) + 1))
            assert task.pid in [process.pid for process in await task.pids()]
            assert Path(f"/proc/{task.pid}/comm").read_text() == "sh\n"


async def test_a_checkpoint_outlives_a_garbage_collection(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            checkpoint = await task.checkpoint("kept")
    lease = await client.leases.create()
    await client.leases.delete(lease.id, sync=True)

    index = await client.content.read_all(checkpoint.target.digest)
    parts = [
        Descriptor(part["mediaType"], part["digest"], part["size"]) for part in json.loads(index)["manifests"]
    ]
    assert len(parts) == 4
    for part in parts:
        assert len(await client.content.read_all(part.digest)) == part.size  # which verifies the digest
    assert (await checkpoint.config()).cmd == ("sh",)  # of the image in it
    assert await client.leases.list() == []
    async with await client.restore("again", checkpoint) as container:
        async with await container.new_task(checkpoint=checkpoint) as task:
            await task.start()


async def test_a_created_and_a_stopped_task_are_refused(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=["true"]) as container:
        with pytest.raises(FailedPreconditionError, match="container 'web' has no task"):
            await container.checkpoint("none")
        async with await container.new_task() as task:
            with pytest.raises(FailedPreconditionError, match="it is created"):
                await task.checkpoint("none")
            with pytest.raises(FailedPreconditionError, match="it is created"):
                await task.checkpoint_to("/nowhere")
            exited = task.wait()
            await task.start()
            await exited
            with pytest.raises(FailedPreconditionError, match="it is stopped"):
                await task.checkpoint("none")
            with pytest.raises(FailedPreconditionError, match="it is stopped"):
                await container.checkpoint("none")
    assert [each.name for each in await client.list_images()] == [image.name]


async def test_a_container_without_image_or_snapshot_is_refused(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with await container.new_task() as task:
            await task.start()
            info = await container.info()
            await container.update(replace(info, image=None), "image")
            with pytest.raises(FailedPreconditionError, match="was not made from an image"):
                await task.checkpoint("none", options=EXIT)
            await container.update(replace(info, image="gone"), "image")
            with pytest.raises(NotFoundError, match="image 'gone' of container 'web' is gone"):
                await task.checkpoint("none", options=EXIT)
            await container.update(info, "image")
            assert (await task.status()).state is ProcessState.RUNNING
            with pytest.raises(AlreadyExistsError, match="there is an image"):
                await task.checkpoint(image.name, options=EXIT)
            assert (await task.status()).state is ProcessState.RUNNING


async def test_memory_alone_needs_neither(client: Client, image: Image, daemon: PrivateDaemon) -> None:
    """A container on a root filesystem of its own: what is restored needs that again."""
    snapshots = client.snapshotter(daemon.snapshotter)
    wanted = default_spec("web", client.namespace)
    wanted["process"]["args"] = SLEEP
    wanted["process"]["env"] = ["PATH=/bin"]
    async with client.leases.hold():
        mounts = await snapshots.prepare("root", parent=await image.chain_id())
        async with await client.new_container("web", spec=wanted) as container:
            async with await container.new_task(rootfs=mounts) as task:
                await task.start()
                with pytest.raises(FailedPreconditionError, match="has no snapshot"):
                    await task.checkpoint("none")
                with pytest.raises(FailedPreconditionError, match="was not made from an image"):
                    await container.checkpoint("none", rw=False)
                checkpoint = await container.checkpoint("memory", image=False, rw=False, exit=True)
        async with await client.restore("again", checkpoint) as container:
            async with await container.new_task(checkpoint=checkpoint, rootfs=mounts) as task:
                await task.start()
                assert (await task.status()).state is ProcessState.RUNNING
        await snapshots.remove("root")


async def test_files_without_memory_begin_anew(client: Client, image: Image) -> None:
    async with await client.new_container("web", image=image, args=COUNT) as container:
        async with await container.new_task() as task:
            await task.start()
            await counted_at_least(task, 3)
            frozen = await container.checkpoint("files", task=False)
            assert (await task.status()).state is ProcessState.RUNNING
        still = await container.checkpoint("later", task=False)
    async with await client.restore("again", frozen) as container:
        with pytest.raises(InvalidArgumentError, match="without memory"):
            await container.new_task(checkpoint=frozen)
        async with await container.new_task() as task:
            old = counted(task)
            assert len(old) >= 3
            await task.start()
            assert (await counted_at_least(task, len(old) + 2))[: len(old) + 2] == [*old, 1, 2]
    async with await client.restore("bare", still, rw=False) as container:
        async with await container.new_task() as task:
            await task.start()
            assert (await counted_at_least(task, 2))[:2] == [1, 2]


async def test_a_failed_restore_says_what_criu_says(client: Client, image: Image) -> None:
    """Without the files that were changed, one that is open is missing."""
    shell = ["sh", "-c", "exec 5<>/open; echo opened; while true; do sleep 1; done"]
    async with await client.new_container("first", image=image, args=shell) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            assert task.stdout is not None
            assert await task.stdout.receive() == b"opened\n"
            checkpoint = await task.checkpoint(options=EXIT)
    async with await client.restore("second", checkpoint, rw=False) as container:
        async with await container.new_task(checkpoint=checkpoint) as task:
            exited = task.wait()
            with pytest.raises(StartFailedError, match=r"CRIU says: .*open"):
                await task.start()
            with pytest.raises(StartFailedError):
                await exited
            with pytest.raises(FailedPreconditionError):  # a second start would leave runc's mounts
                await task.start()


async def test_a_restored_task_is_waited_for_across_a_restart(
    criu: Mapping[str, str], archive: bytes
) -> None:
    async with private_daemon(containerd=CONTAINERD, env=criu) as daemon, daemon.client() as client:
        [image] = await client.import_images(archive)
        async with await client.new_container("web", image=image, args=SLEEP) as container:
            async with await container.new_task() as task:
                await task.start()
                checkpoint = await task.checkpoint(options=EXIT)
            async with await container.new_task(checkpoint=checkpoint) as task:
                exited = task.wait()
                await task.start()
                daemon.kill()
                await daemon.start()
                await client.connect()
                async with anyio.create_task_group() as group, task.paused():
                    daemon.kill()
                    group.start_soon(daemon.start)
                assert (await task.status()).state is ProcessState.RUNNING
                assert not exited.done()
                await task.kill("TERM")
                await task.kill("KILL")
                assert (await exited).code == 137
