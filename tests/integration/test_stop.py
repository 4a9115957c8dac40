"""A process is asked to end as its image wants it, and killed if it does not; frozen ones among them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, Container, FailedPreconditionError, Image, ProcessState, Task, pipes
from containerd_aio.cli.busybox import busybox_archive
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration

LABEL = "io.containerd.image.config.stop-signal"
LONG = 600.0
SLEEP = ["sleep", "3600"]
CGROUP_V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()


def trapping(*signals: str) -> list[str]:
    """A program that ends with a code of its own at the first of these signals, and begins by saying that it is ready."""
    traps = "; ".join(f"trap 'exit {20 + number}' {name}" for number, name in enumerate(signals))
    return ["sh", "-c", f"{traps}; echo ready; while :; do sleep 0.02; done"]


DEAF = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.02; done"]


async def image_with(client: Client, daemon: PrivateDaemon, stop_signal: str) -> Image:
    [image] = await client.import_images(busybox_archive(config={"StopSignal": stop_signal}))
    await image.unpack(daemon.snapshotter)
    return image


async def started(container: Container) -> Task:
    task = await container.new_task(stdio=pipes())
    await task.start()
    assert task.stdout is not None
    assert await task.stdout.receive() == b"ready\n"
    return task


@pytest.mark.parametrize(
    ("of_image", "of_user", "code"),
    [
        pytest.param("", None, 20, id="none"),
        pytest.param("SIGQUIT", None, 21, id="the image's"),
        pytest.param("SIGRTMIN+3", None, 22, id="the image's, a real-time one"),
        pytest.param("SIGQUIT", "SIGTERM", 20, id="the user's"),
        pytest.param("SIGNOPE", None, 20, id="one that does not exist"),
    ],
)
async def test_a_task_is_asked_by_the_signal_of_its_image_unless_the_user_has_another(
    client: Client, daemon: PrivateDaemon, of_image: str, of_user: str | None, code: int
) -> None:
    image = await image_with(client, daemon, of_image)
    labels = {} if of_user is None else {LABEL: of_user}
    args = trapping("TERM", "QUIT", "37")
    async with await client.new_container("web", image=image, args=args, labels=labels) as container:
        async with await started(container) as task:
            assert (await task.stop(LONG)).code == code


async def test_nothing_else_of_an_image_becomes_a_label(client: Client, daemon: PrivateDaemon) -> None:
    config = {"StopSignal": "SIGINT", "Labels": {"containerd.io/restart.status": "running", "a": "b"}}
    [image] = await client.import_images(busybox_archive(config=config))
    await image.unpack(daemon.snapshotter)
    async with await client.new_container("web", image=image, labels={"mine": "1"}) as container:
        assert await container.labels() == {LABEL: "SIGINT", "mine": "1"}


async def test_a_task_that_was_loaded_is_stopped_the_same_way(
    client: Client, daemon: PrivateDaemon, namespace: str
) -> None:
    image = await image_with(client, daemon, "SIGQUIT")
    async with (
        await client.new_container("web", image=image, args=trapping("TERM", "QUIT")) as container,
        await started(container) as task,
        Client(daemon.address, namespace=namespace) as other,
    ):
        loaded = await (await other.load_container("web")).task()
        assert (await loaded.stop(LONG)).code == 21
        assert (await task.wait()).code == 21


@pytest.mark.parametrize("paused", [False, True])
async def test_who_does_not_listen_is_killed_after_the_grace(
    client: Client, image: Image, paused: bool
) -> None:
    async with (
        await client.new_container("web", image=image, args=DEAF) as container,
        await started(container) as task,
    ):
        if paused:
            await task.pause()
        with anyio.fail_after(60):
            assert (await task.stop(0.3)).signal is signal.SIGKILL


async def test_a_paused_task_is_thawed_to_do_as_it_is_asked(client: Client, image: Image) -> None:
    async with (
        await client.new_container("web", image=image, args=trapping("TERM")) as container,
        await started(container) as task,
    ):
        await task.pause()
        with anyio.fail_after(60):
            assert (await task.stop(LONG)).code == 20


@pytest.mark.parametrize(
    ("args", "grace", "code"), [(trapping("TERM"), LONG, 20), (DEAF, 0.3, 137)], ids=["listens", "deaf"]
)
async def test_an_exec_is_stopped_and_nothing_else(
    client: Client, image: Image, args: Sequence[str], grace: float, code: int
) -> None:
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("ps", args, stdio=pipes()) as process:
            await process.start()
            assert process.stdout is not None
            assert await process.stdout.receive() == b"ready\n"
            assert (await process.stop(grace)).code == code
        assert (await task.status()).state is ProcessState.RUNNING


async def test_stopping_that_is_cancelled_has_sent_the_signal_and_no_more(
    client: Client, image: Image
) -> None:
    args = ["sh", "-c", "trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done"]
    async with (
        await client.new_container("web", image=image, args=args) as container,
        await started(container) as task,
    ):
        assert task.stdout is not None
        async with anyio.create_task_group() as group:
            group.start_soon(task.stop, LONG)
            assert await task.stdout.receive() == b"asked\n"
            group.cancel_scope.cancel()
        assert (await task.status()).state is ProcessState.RUNNING


# -- an exec of a frozen task ------------------------------------------------------------------------------------


async def test_an_exec_of_a_paused_task_ends_when_that_is_resumed_and_says_so_soon(
    client: Client, image: Image, fifo_dir: Path
) -> None:
    """Under cgroup v1 a frozen process does not die; under v2 it does."""
    async with (
        await client.new_container("web", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        process = await task.exec("nap", SLEEP, stdio=pipes(stdin=True))
        await process.start()
        await task.pause()
        with anyio.fail_after(60):
            if CGROUP_V2:
                async with process:
                    pass
            else:
                with pytest.raises(
                    FailedPreconditionError, match=r"it was sent SIGKILL.*resume\(\) the task$"
                ):
                    async with process:
                        pass
        assert os.listdir(fifo_dir) == []
        assert (await task.status()).state is ProcessState.PAUSED
        await task.resume()
        assert (await process.wait()).code == 137
