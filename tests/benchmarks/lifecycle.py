"""How long it takes to create a container, and to start it, on a real containerd; what of that is this library's.

::

    python -m tests.benchmarks.lifecycle [--quick]

Needs root, containerd and runc. The time is mostly containerd's, its shim's and runc's, and says what a user waits
for; the CPU time of this process is this library's. Neither has a limit: both say more of the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field

import anyio

from containerd_aio import Client, Image
from containerd_aio.cli.busybox import busybox_archive
from containerd_aio.private_daemon import PrivateDaemon


@dataclass
class Timed:
    """The times of one step, in milliseconds."""

    name: str
    took: list[float] = field(default_factory=list[float])

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.took.append((time.perf_counter() - began) * 1000)

    def __str__(self) -> str:
        median, worst = statistics.median(self.took), max(self.took)
        return f"{median:10.1f} ms   {self.name} (median of {len(self.took)}; longest {worst:.1f})"


async def measure(client: Client, image: Image, rounds: int) -> tuple[list[Timed], float]:
    """Make, start and remove a container so many times; return the steps, and the CPU time of one life."""
    steps = [Timed("create a container"), Timed("create its task"), Timed("start it"), Timed("remove it all")]
    create, create_task, start, remove = steps
    lives: list[float] = []
    for number in range(rounds + 1):
        cpu = time.process_time()
        async with AsyncExitStack() as life:
            with create.timed():
                container = await client.new_container(f"web-{number}", image=image, args=["sleep", "3600"])
                await life.enter_async_context(container)
            with create_task.timed():
                task = await container.new_task()
            with start.timed():
                await task.start()
            with remove.timed():
                await life.aclose()
        lives.append((time.process_time() - cpu) * 1000)
    for step in steps:
        del step.took[0]  # connects, and compiles the messages
    return steps, statistics.median(lives[1:])


async def run(rounds: int) -> None:
    async with PrivateDaemon() as daemon, daemon.client() as client:
        [image] = await client.import_images(busybox_archive())
        await image.unpack(daemon.snapshotter)
        steps, cpu = await measure(client, image, rounds)
    for step in steps:
        print(step)
    print(f"{cpu:10.1f} ms   CPU of this process for all four (median)", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lifecycle")
    parser.add_argument("--quick", action="store_true", help="fewer containers")
    anyio.run(run, 10 if parser.parse_args(arguments).quick else 100)


if __name__ == "__main__":
    main()
