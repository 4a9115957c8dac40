"""A process run to its end with its output in memory, whatever happens to it and to containerd meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from containerd_aio import (
    ClientClosedError,
    Completed,
    InvalidArgumentError,
    OutputTooLargeError,
    ProcessLostError,
    Task,
    UnavailableError,
)
from containerd_aio._capture import check_max_output
from containerd_aio.testing import FakeContainerd


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def task(fake: FakeContainerd) -> AsyncIterator[Task]:
    async with fake.client() as client:
        container = await client.new_container("web", image="fake", args=["serve"])
        task = await container.new_task()
        await task.start()
        yield task


async def begun(fake: FakeContainerd, task: Task, **options: bytes) -> asyncio.Task[Completed]:
    """A run of ``ps``, which runs on until it is told."""
    running = asyncio.create_task(task.run(["ps"], id="ps", **options))  # type: ignore[arg-type]
    while not any(info.exec_id == "ps" for info in await task.pids()):
        await anyio.lowlevel.checkpoint()
    return running


async def test_a_bound_is_a_number_of_bytes() -> None:
    check_max_output(0)
    with pytest.raises(InvalidArgumentError, match="max_output is a number of bytes, not -1"):
        check_max_output(-1)


async def test_as_much_as_the_bound_is_not_too_much_and_both_streams_count(
    fake: FakeContainerd, task: Task
) -> None:
    fake.script(["say"], stdout=b"x" * 600, stderr=b"y" * 400)
    done = await task.run(["say"], max_output=1000)
    assert (len(done.stdout), len(done.stderr)) == (600, 400)
    with pytest.raises(OutputTooLargeError, match="wrote more than 999 bytes; it was killed"):
        await task.run(["say"], max_output=999)
    fake.script(["hush"])
    assert (await task.run(["hush"], max_output=0)).stdout == b""


async def test_what_it_does_not_read_of_its_input_is_no_failure(fake: FakeContainerd, task: Task) -> None:
    fake.script(["quick"], code=2)
    assert (await task.run(["quick"], input=b"x" * 1_000_000)).exit_status.code == 2


async def test_a_restart_of_containerd_in_the_middle_is_not_noticed(fake: FakeContainerd, task: Task) -> None:
    running = await begun(fake, task)
    await fake.write("web", b"before ", exec_id="ps")
    async with fake.down():
        await fake.write("web", b"meanwhile ", exec_id="ps")
    await fake.write("web", b"after", exec_id="ps")
    fake.exit("web", 3, exec_id="ps")
    with anyio.fail_after(60):
        done = await running
    assert (done.stdout, done.exit_status.code) == (b"before meanwhile after", 3)


async def test_why_its_end_is_not_known_says_more_than_what_fails_because_of_that(
    fake: FakeContainerd, task: Task
) -> None:
    running = await begun(fake, task)
    fake.kill_shim(task)
    with anyio.fail_after(60), pytest.raises(ProcessLostError):
        await running


async def test_a_delete_that_fails_is_told_and_tried_again_by_the_cleanup(
    fake: FakeContainerd, task: Task
) -> None:
    running = await begun(fake, task)
    fake.refuse("Tasks/DeleteProcess", times=1)
    fake.exit("web", exec_id="ps")
    with pytest.raises(UnavailableError, match="refused by the test"):
        await running
    assert fake.calls["Tasks/DeleteProcess"] == 2


async def test_a_client_that_is_closed_meanwhile_fails_it(fake: FakeContainerd, task: Task) -> None:
    async with fake.client() as client:
        loaded = await (await client.load_container("web")).task()
        running = await begun(fake, loaded)
    with anyio.fail_after(60), pytest.raises(ClientClosedError):
        await running
