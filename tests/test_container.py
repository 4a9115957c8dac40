"""A container as an object: what leaving its block does with a task that has no block of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.lowlevel
import pytest

from containerd_aio import Client, Container, NotFoundError, Task, inherit
from containerd_aio.stdio import opened
from containerd_aio.testing import FakeContainerd

_WRITTEN = 300_000
"""More than a pipe holds, and the FIFO does not."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeContainerd]:
    async with FakeContainerd() as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeContainerd) -> AsyncIterator[Client]:
    async with fake.client() as client:
        yield client


@pytest.fixture
def reader_and_writer() -> Iterator[tuple[int, int]]:
    """A pipe: what the process's output is copied to, and who may read it."""
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb"):
        yield reader, writer


async def ended_task(fake: FakeContainerd, container: Container, writer: int) -> Task:
    """Run a task to its end that writes to ``writer`` more than is taken there."""
    task = await container.new_task(stdio=inherit(stdin=False, descriptors=(0, writer, writer)))
    exited = task.wait()
    await task.start()
    await fake.write(task, bytes(_WRITTEN))
    fake.exit(task)
    await exited
    return task


async def is_gone(client: Client) -> bool:
    try:
        await client.load_container("web")
    except NotFoundError:
        return True
    return False


async def test_an_error_removes_it_without_waiting_for_our_own_slow_output(
    fake: FakeContainerd,
    client: Client,
    reader_and_writer: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody reads: the task's Delete would wait for ever, and the container stay."""
    monkeypatch.setattr(opened, "HURRY", 0.0)
    with pytest.raises(RuntimeError, match="the user's") as raised:
        async with await client.new_container("web", image="fake", args=["serve"]) as container:
            task = await ended_task(fake, container, reader_and_writer[1])
            raise RuntimeError("the user's")
    assert not hasattr(raised.value, "__notes__")
    assert not task.stdio.complete
    assert await is_gone(client)


async def test_leaving_its_block_waits_for_our_own_slow_output(
    fake: FakeContainerd,
    client: Client,
    reader_and_writer: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opened, "HURRY", 0.0)
    reader, writer = reader_and_writer
    left = anyio.Event()

    async def run() -> None:
        async with await client.new_container("web", image="fake", args=["serve"]) as container:
            task = await ended_task(fake, container, writer)
        assert task.stdio.complete
        left.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        while fake.calls["Tasks/Delete"] == 0:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert not left.is_set()
        got = 0
        while got < _WRITTEN:
            await anyio.wait_readable(reader)
            got += len(os.read(reader, 65536))
    assert await is_gone(client)


@pytest.mark.parametrize("fails", [False, True], ids=["no error", "an error"])
async def test_it_is_removed_although_our_own_output_has_failed(
    fake: FakeContainerd, client: Client, fails: bool
) -> None:
    """What the user's stream has raised comes out of the block, or is told with what ended that."""
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(RuntimeError if fails else BrokenPipeError) as raised:
        async with await client.new_container("web", image="fake", args=["serve"]) as container:
            await ended_task(fake, container, writer)
            if fails:
                raise RuntimeError("the user's")
    os.close(writer)
    told = getattr(raised.value, "__notes__", [])
    assert any("Broken pipe" in note for note in told) is fails
    assert await is_gone(client)
