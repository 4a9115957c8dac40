"""Output and input in numbers: half a gigabyte, thousands of processes, and nothing of it lost, mixed or left."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from containerd_aio import Process, Task, pipes
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.private_daemon._containers import shim_socket_of
from tests.integration.conftest import CONTAINERD, Shared, private_daemon
from tests.integration.leaks import left_behind
from tests.integration.test_exits import SLEEP, image_in

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
HERE = "of this machine"
VERSIONS = [HERE, "1.7", "2.1"]


@asynccontextmanager
async def host_of(version: str, versions: Mapping[str, str], archive: bytes) -> AsyncIterator[Task]:
    """A task of a containerd of that version, which is left as it was: no shim, mount, FIFO or descriptor more."""
    async with private_daemon(containerd=CONTAINERD if version == HERE else versions[version]) as daemon:
        async with daemon.client() as client:
            image = await image_in(client, daemon, archive)
            async with (
                await client.new_container("host", image=image, args=SLEEP) as container,
                await container.new_task() as task,
            ):
                await task.start()
                socket = shim_socket_of(Path(daemon.address), daemon.namespace, container.id)
                assert socket.exists()
                yield task
        assert left_of(daemon) == []
        assert not socket.exists()


def left_of(daemon: PrivateDaemon) -> list[str]:
    home = os.path.dirname(daemon.address)
    return left_behind(daemon.address, home, daemon.pid, daemon.namespace, daemon.snapshotter)


async def sent_whole(task: Task, size: int) -> None:
    """Have the container write ``size`` bytes to each stream at once, and compare their digests."""
    part = b"".join(b"%015d\n" % number for number in range(MIB))
    assert size % len(part) == 0
    await task.run(["sh", "-c", "cat > /tmp/part"], input=part, check=True)
    expected = hashlib.sha256()
    for _ in range(size // len(part)):
        expected.update(part)
    write = f"for n in $(seq {size // len(part)}); do cat /tmp/part; done"
    async with await task.exec("large", ["sh", "-c", write], stdio=pipes()) as process:
        exited = process.wait()
        await process.start()
        assert process.stdout is not None
        found, length = hashlib.sha256(), 0
        async for chunk in process.stdout:
            found.update(chunk)
            length += len(chunk)
        assert (await exited).code == 0
        await process.delete()
        assert process.stdio.complete
        assert (length, found.digest()) == (size, expected.digest())


async def echoed(task: Task, count: int, *, at_once: int) -> None:
    """Run ``count`` execs of echo, each with words of its own, read after its end and its delete."""
    lost: list[str] = []

    async def one(number: int) -> None:
        async with await task.exec(f"echo-{number}", ["echo", str(number)], stdio=pipes()) as process:
            exited = process.wait()
            await process.start()
            code = (await exited).code
            await process.delete()
            got = await whole(process)
            if (code, got, process.stdio.complete) != (0, b"%d\n" % number, True):
                lost.append(f"{number}: {code} {got!r} complete={process.stdio.complete}")

    await each(count, one, at_once=at_once)
    assert lost == []


async def whole(process: Process) -> bytes:
    assert process.stdout is not None
    assert process.stderr is not None
    out = b"".join([chunk async for chunk in process.stdout])
    return out + b"".join([chunk async for chunk in process.stderr])


async def answered(task: Task, count: int, *, at_once: int) -> None:
    """Run ``count`` execs of cat, each with an input of its own, of up to 300 KB, which must come back."""
    chance = random.Random(2017)
    mixed: list[str] = []

    async def one(number: int) -> None:
        data = b"%d:" % number + chance.randbytes(chance.choice([0, 1, 4096, 70_000, 300_000]))
        async with await task.exec(f"cat-{number}", ["cat"], stdio=pipes(stdin=True)) as process:
            exited = process.wait()
            assert process.stdin is not None
            stdin = process.stdin
            got: list[bytes] = []

            async def feed() -> None:
                await stdin.send(data)
                await stdin.aclose()

            async def read() -> None:
                got.append(await whole(process))

            await process.start()
            async with anyio.create_task_group() as group:
                group.start_soon(feed)
                group.start_soon(read)
            code = (await exited).code
            await process.delete()
            if (code, got, process.stdio.complete) != (0, [data], True):
                mixed.append(f"{number}: {code} {len(got[0])} bytes of {len(data)}")

    await each(count, one, at_once=at_once)
    assert mixed == []


async def each(count: int, one: Callable[[int], Awaitable[None]], *, at_once: int) -> None:
    """Call ``one`` with each number, ``at_once`` of them at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await one(number)

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(work)


async def test_32_mib_arrive_whole(shared: Shared) -> None:
    await sent_whole(shared.host, 32 * MIB)


async def test_none_of_100_execs_of_echo_loses_its_output(shared: Shared) -> None:
    await echoed(shared.host, 100, at_once=16)


async def test_40_execs_with_inputs_of_their_own_never_mix_them(shared: Shared) -> None:
    await answered(shared.host, 40, at_once=32)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
async def test_512_mib_arrive_whole(
    containerd_versions: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with host_of(version, containerd_versions, archive) as task:
        await sent_whole(task, 512 * MIB)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", VERSIONS)
async def test_none_of_2000_execs_of_echo_loses_its_output(
    containerd_versions: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with host_of(version, containerd_versions, archive) as task:
        await echoed(task, 2000, at_once=16)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", VERSIONS)
async def test_200_execs_with_inputs_of_their_own_never_mix_them(
    containerd_versions: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with host_of(version, containerd_versions, archive) as task:
        await answered(task, 200, at_once=32)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_million_lines_at_a_terminal_are_complete(
    containerd_versions: Mapping[str, str], archive: bytes, version: str
) -> None:
    async with host_of(version, containerd_versions, archive) as task:
        stdio = pipes(terminal=True)
        async with await task.exec("seq", ["seq", "1000000"], stdio=stdio) as process:
            await process.start()
            assert process.stdout is not None
            shown = b"".join([chunk async for chunk in process.stdout])
            assert (await process.wait()).code == 0
        assert shown == b"".join(b"%d\r\n" % number for number in range(1, 1_000_001))
