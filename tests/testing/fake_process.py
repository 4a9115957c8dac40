"""A fake in a process of its own, for a test that measures the client alone.

It is told by lines on stdin, and answers each with one on stdout: ``fill 10000`` makes so many containers, each with
a running task; ``end`` ends all of them in one burst; ``subscriptions`` and ``calls NAME`` tell a number.
"""

from __future__ import annotations

import asyncio
import json
import sys

from containerd_aio import Client, spec
from containerd_aio._transport.typeurl import SPEC, json_any
from containerd_aio.testing import FakeContainerd
from containerd_aio.types import ContainerInfo, Mount, Runtime

NAMESPACE = "default"
_AT_ONCE = 50


def name(number: int) -> str:
    return f"web-{number}"


async def fill(address: str, count: int) -> None:
    document = spec.build(spec.SpecContext("web", NAMESPACE, None, None), [spec.args("serve")])
    specification = json_any(SPEC, document)
    rootfs = [Mount("bind", "/", options=("ro",))]
    async with Client(address, namespace=NAMESPACE) as client:

        async def make(numbers: range) -> None:
            for number in numbers:
                info = ContainerInfo(name(number), Runtime("io.containerd.runc.v2"), specification)
                await client.containers.create(info)
                await client.tasks.create(info.id, rootfs=rootfs)
                await client.tasks.start(info.id)

        async with asyncio.TaskGroup() as group:
            for first in range(_AT_ONCE):
                group.create_task(make(range(first, count, _AT_ONCE)))


async def main() -> None:
    async with FakeContainerd(image=None) as fake:
        filled = 0
        print(fake.address, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            answer: object = "done"
            match line.split():
                case ["fill", count]:
                    filled = int(count)
                    await fill(fake.address, filled)
                case ["end"]:
                    for number in range(filled):
                        fake.exit(name(number), number % 256)
                case ["subscriptions"]:
                    answer = fake.subscriptions
                case ["calls", method]:
                    answer = fake.calls[method]
                case other:
                    raise ValueError(other)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
