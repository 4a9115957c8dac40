"""Ten thousand processes awaited at once by one client: one stream, few calls, little memory.

The fake runs in a process of its own, so that what is measured here is the client's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from containerd_aio import Client, ExitStatus, Task
from tests.testing.fake_process import name

COUNT = 10_000
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The fake in its process."""

    address: str
    process: asyncio.subprocess.Process

    async def ask(self, *words: object) -> object:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        await self.process.stdin.drain()
        return json.loads(await self.process.stdout.readline())


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.testing.fake_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Elsewhere((await process.stdout.readline()).decode().strip(), process)
    finally:
        with anyio.CancelScope(shield=True):
            process.stdin.close()
            await process.wait()


async def load(client: Client) -> list[Task]:
    tasks: dict[int, Task] = {}

    async def some(numbers: range) -> None:
        for number in numbers:
            container = await client.load_container(name(number))
            tasks[number] = await container.task()

    async with asyncio.TaskGroup() as group:
        for first in range(AT_ONCE):
            group.create_task(some(range(first, COUNT, AT_ONCE)))
    return [tasks[number] for number in range(COUNT)]


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_thousand_waits_take_one_stream_and_little_of_anything(without_debug: None) -> None:
    async with elsewhere() as fake, Client(fake.address) as client:
        await fake.ask("fill", COUNT)
        resident = resident_bytes()
        tasks = await load(client)
        gc.collect()
        print(
            f"memory of a loaded task, its container's record included: {(resident_bytes() - resident) / COUNT:.0f} bytes"
        )
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        waits = [task.wait() for task in tasks]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / COUNT
        tracemalloc.stop()
        print(f"memory of a wait: {each:.0f} bytes")
        assert each < 4096
        assert await fake.ask("subscriptions") == 1
        assert await fake.ask("calls", "Events/Subscribe") == 1
        gets = await fake.ask("calls", "Tasks/Get")
        start = time.process_time()
        await fake.ask("end")
        with anyio.fail_after(200):
            statuses = await asyncio.gather(*waits)
        print(f"CPU of {COUNT} exits: {time.process_time() - start:.2f} s")
        assert [status.code for status in statuses] == [number % 256 for number in range(COUNT)]
        assert all(isinstance(status, ExitStatus) for status in statuses)
        assert await fake.ask("subscriptions") == 1
        assert await fake.ask("calls", "Tasks/Wait") == 0
        # Codes of 137 and 255 could be made up, so each of those is asked for once.
        doubtful = sum(number % 256 in (137, 255) for number in range(COUNT))
        asked = await fake.ask("calls", "Tasks/Get")
        assert isinstance(asked, int)
        assert isinstance(gets, int)
        assert asked - gets <= doubtful
