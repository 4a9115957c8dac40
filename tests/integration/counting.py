"""A program that counts, in memory, in a file and on its output; and what it has counted."""

from __future__ import annotations

from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from containerd_aio import Task

COUNT = (
    "sh",
    "-c",
    "i=0; while true; do i=$((i+1)); echo $i >>/counted; echo $i; usleep 10000; done",
)


def counted(task: Task) -> list[int]:
    """What is in the file, of a task that runs; also while it writes."""
    lines = Path(f"/proc/{task.pid}/root/counted").read_bytes().split(b"\n")
    return [int(line) for line in lines[:-1]]


async def counted_at_least(task: Task, number: int) -> list[int]:
    """The same, once it has got that far."""
    while True:
        try:
            numbers = counted(task)
        except FileNotFoundError:
            numbers = []
        if len(numbers) >= number:
            return numbers
        await anyio.sleep(0.005)


async def told(stdout: ByteReceiveStream | None, count: int = 1) -> list[int]:
    """The next numbers on the output, at least so many."""
    assert stdout is not None
    text = b""
    while text.count(b"\n") < count or not text.endswith(b"\n"):
        text += await stdout.receive()
    return [int(line) for line in text.split()]
