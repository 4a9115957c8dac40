"""Connecting to processes that somebody else has made, a client that is gone or another one; and letting go."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream

from containerd_aio import Client, Image, NotFoundError, Process, ProcessState, attach, pipes
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.test_exits import SLEEP

pytestmark = pytest.mark.integration

BOTH = pipes(stdin=True)


@asynccontextmanager
async def another_client(daemon: PrivateDaemon, namespace: str, fifo_dir: Path) -> AsyncIterator[Client]:
    async with Client(daemon.address, namespace=namespace, fifo_dir=os.fspath(fifo_dir)) as client:
        yield client


async def say(process: Process, text: bytes) -> None:
    assert process.stdin is not None
    await process.stdin.send(text)


async def left(process: Process) -> None:
    """What a client that ends without a word leaves of it: the FIFOs, and what is in them."""
    await process.stdio.aclose(unlink=False)


async def rest_of(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([chunk async for chunk in stream])


async def test_a_task_is_attached_to_and_loses_nothing(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str, fifo_dir: Path
) -> None:
    async with await client.new_container("cat", image=image, args=["cat"]) as container:
        async with another_client(daemon, namespace, fifo_dir) as first:
            made = await (await first.load_container("cat")).new_task(stdio=BOTH)
            await made.start()
            await say(made, b"hello\n")
            await left(made)
        task = await container.task(attach(stdin=True))
        async with task:
            assert task.pid == made.pid
            exited = task.wait()
            await say(task, b"hello\n")
            await task.close_io()
            with anyio.fail_after(60):
                assert (await exited).code == 0
            status = await task.delete()
            assert status == await exited
            assert await rest_of(task.stdout) == b"hello\nhello\n"
        assert os.listdir(fifo_dir) == []


async def test_an_exec_is_attached_to_and_loses_nothing(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str, fifo_dir: Path
) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with another_client(daemon, namespace, fifo_dir) as first:
            loaded = await (await first.load_container("host")).task()
            made = await loaded.exec("cat", ["cat"], stdio=BOTH)
            await made.start()
            await say(made, b"hello\n")
            await left(made)
        async with await task.load_process("cat", stdio=attach(stdin=True)) as process:
            assert process.pid == made.pid
            exited = process.wait()
            await say(process, b"hello\n")
            await process.close_io()
            with anyio.fail_after(60):
                assert (await exited).code == 0
            assert await process.delete() == await exited
            assert await rest_of(process.stdout) == b"hello\nhello\n"
        assert os.listdir(fifo_dir) == []


async def test_leaving_the_block_of_what_was_loaded_ends_nothing(
    client: Client, image: Image, fifo_dir: Path
) -> None:
    async with (
        await client.new_container("cat", image=image, args=["cat"]) as container,
        await container.new_task(stdio=BOTH) as task,
    ):
        await task.start()
        async with await task.exec("echo", ["cat"], stdio=BOTH) as made:
            await made.start()
            async with (
                await container.task(attach()) as loaded,
                await loaded.load_process("echo", stdio=attach()) as process,
            ):
                assert (loaded.pid, process.pid) == (task.pid, made.pid)
            for each in (task, made):
                assert (await each.status()).state is ProcessState.RUNNING
                await say(each, b"still here")
                assert each.stdout is not None
                assert await each.stdout.receive() == b"still here"


async def test_what_has_ended_is_loaded_and_told(
    client: Client, image: Image, daemon: PrivateDaemon, namespace: str, fifo_dir: Path
) -> None:
    """The waits of whoever comes late are answered at once, and one kill too many is told."""
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        async with await task.exec("six", ["sh", "-c", "echo bye; exit 6"], stdio=pipes()) as made:
            await made.start()
            status = await made.wait()
            async with another_client(daemon, namespace, fifo_dir) as other:
                loaded = await (await other.load_container("host")).task()
                process = await loaded.load_process("six")
                with anyio.fail_after(60):
                    assert await process.wait() == status
                assert status.code == 6
                assert (await process.status()).exit_status == status
                with pytest.raises(NotFoundError):
                    await process.kill()


async def test_an_exec_that_nobody_made_is_not_found(client: Client, image: Image) -> None:
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        with pytest.raises(NotFoundError, match="this-process-does-not-exist"):
            await task.load_process("this-process-does-not-exist")
        with pytest.raises(NotFoundError):
            await task.load_process("this-process-does-not-exist", stdio=attach())


async def test_a_task_that_nobody_made_is_not_found(client: Client, image: Image) -> None:
    async with await client.new_container("idle", image=image, args=SLEEP) as container:
        with pytest.raises(NotFoundError, match="idle"):
            await container.task()
        with pytest.raises(NotFoundError, match="idle"):
            await container.task(attach())


async def test_execs_that_nobody_deleted_go_with_their_task(
    client: Client, image: Image, fifo_dir: Path
) -> None:
    """And their FIFOs; what one had written can still be read."""
    async with (
        await client.new_container("host", image=image, args=SLEEP) as container,
        await container.new_task() as task,
    ):
        await task.start()
        speaks = await task.exec("speaks", ["echo", "hi"], stdio=BOTH)
        sleeps = await task.exec("sleeps", SLEEP, stdio=BOTH)
        unborn = await task.exec("unborn", ["true"], stdio=BOTH)
        await sleeps.start()
        await speaks.start()
        await speaks.wait()
        assert len(os.listdir(fifo_dir)) == 3
    assert os.listdir(fifo_dir) == []
    assert await rest_of(speaks.stdout) == b"hi\n"
    assert await rest_of(unborn.stdout) == b""
    assert (await sleeps.wait()).code == 137
