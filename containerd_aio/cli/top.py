"""``containerd-aio top``: what the tasks use, as their cgroups count it; one call for all of them each time."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from containerd_aio.cli.columns import amount, columns, printable
from containerd_aio.cli.output import Output, until_closed
from containerd_aio.cli.program import SIGPIPE_CODE
from containerd_aio.client import Client
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Metrics

_HEAD: Final = ("CONTAINER", "CPU %", "MEMORY", "LIMIT", "PIDS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a task uses. ``cpu_percent`` is that of one CPU, of all CPUs together, over the time since the sample
    before; ``None`` at the first. Memory is in bytes, ``memory_limit`` ``None`` where there is none."""

    id: str
    cpu_percent: float | None
    memory: int
    memory_limit: int | None
    pids: int

    @classmethod
    def between(cls, before: Metrics | None, now: Metrics) -> Usage:
        """Return the usage that two samples of one task show."""
        return cls(
            id=now.id,
            cpu_percent=_cpu_percent(before, now),
            memory=now.memory.working_set,
            memory_limit=now.memory.limit,
            pids=now.pids.current,
        )

    def shown(self) -> list[str]:
        """Return what stands in the columns."""
        return [
            self.id,
            "-" if self.cpu_percent is None else f"{self.cpu_percent:.1f}",
            amount(self.memory),
            "-" if self.memory_limit is None else amount(self.memory_limit),
            str(self.pids),
        ]

    def as_json(self) -> str:
        """Return all of it as one JSON object."""
        return json.dumps(
            {
                "id": self.id,
                "cpu_percent": None if self.cpu_percent is None else round(self.cpu_percent, 2),
                "memory": self.memory,
                "memory_limit": self.memory_limit,
                "pids": self.pids,
            },
            separators=(",", ":"),
        )


def usages(before: Mapping[str, Metrics], now: Iterable[Metrics]) -> list[Usage]:
    """Return the usage of each task, those that use most CPU first."""
    found = [Usage.between(before.get(metrics.id), metrics) for metrics in now]
    return sorted(found, key=lambda usage: (-(usage.cpu_percent or 0.0), usage.id))


async def show_usage(
    *, address: str | None, namespace: str | None, once: bool, interval: float, as_json: bool
) -> int:
    """Show what the tasks use, again each ``interval`` seconds; ``once``, or where stdout is no terminal and not
    ``as_json``, one time: what they used in the course of one interval. So it is in a terminal that draws nothing."""
    if not interval > 0:  # nan is neither
        raise InvalidArgumentError(f"--interval takes a number of seconds above 0, not {interval:g}")
    console = Console()
    with until_closed(sys.stdout.fileno()):
        async with Client(address, namespace=namespace) as client:
            samples = _Samples(client)
            if as_json:
                await _print_json(samples, interval, once=once)
            elif once or not sys.stdout.isatty() or console.is_dumb_terminal:
                await samples.next()
                await anyio.sleep(interval)
                sys.stdout.write(columns(_HEAD, [usage.shown() for usage in await samples.next()]))
            else:
                await _draw(samples, interval, console)
        return 0
    return SIGPIPE_CODE


def drawn(found: Sequence[Usage]) -> Table:
    """Return the table that is drawn in a terminal; a narrow one cuts the ids off first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    name, *numbers = _HEAD
    table.add_column(name)
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    for usage in found:
        id, *amounts = map(printable, usage.shown())
        table.add_row(Text(id, no_wrap=True, overflow="ellipsis"), *amounts)
    return table


class _Samples:
    """One sample after the other."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before: Mapping[str, Metrics] = {}

    async def next(self) -> list[Usage]:
        now = await self._client.tasks.metrics()
        found = usages(self._before, now)
        self._before = {metrics.id: metrics for metrics in now}
        return found


async def _print_json(samples: _Samples, interval: float, *, once: bool) -> None:
    output = Output(sys.stdout.fileno())
    await samples.next()
    while True:
        await anyio.sleep(interval)
        await output.write("".join(f"{usage.as_json()}\n" for usage in await samples.next()))
        if once:
            return


async def _draw(samples: _Samples, interval: float, console: Console) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(drawn(await samples.next()), refresh=True)
            await anyio.sleep(interval)


def _cpu_percent(before: Metrics | None, now: Metrics) -> float | None:
    if before is None or before.timestamp_ns is None or now.timestamp_ns is None:
        return None
    elapsed = now.timestamp_ns - before.timestamp_ns
    used = now.cpu.usage_ns - before.cpu.usage_ns
    # A task of the same id that was made since then begins at 0.
    return None if elapsed <= 0 or used < 0 else 100 * used / elapsed
