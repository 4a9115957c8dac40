"""What a cancelled operation leaves: everything that there is, before it and after."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import anyio

from containerd_aio import Client
from containerd_aio.private_daemon import PrivateDaemon
from tests.integration.leaks import Held


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What there was when it was made; ``nothing_is_left()`` tells what has come since."""

    client: Client
    snapshotter: str
    fifo_dir: Path
    held: Held
    there: Set[str]

    @classmethod
    async def of(cls, client: Client, daemon: PrivateDaemon, fifo_dir: Path) -> Aftermath:
        there = await _inventory(client, daemon.snapshotter)
        return cls(client, daemon.snapshotter, fifo_dir, Held.now(fifo_dir), there.keys())

    async def nothing_is_left(self) -> None:
        """Fail where something is there that was not: at once in this process and in containerd.

        A process on the host may be on its way out: a shim ends by itself when its last task is deleted.
        """
        assert Held.now(self.fifo_dir).since(self.held) == []
        new = await self._new()
        with anyio.move_on_after(60):
            while new and all(name.startswith("process ") for name in new):
                await anyio.sleep(0.005)
                new = await self._new()
        assert not new, new

    async def _new(self) -> dict[str, str]:
        inventory = await _inventory(self.client, self.snapshotter)
        return {name: detail for name, detail in inventory.items() if name not in self.there}


async def _inventory(client: Client, snapshotter: str) -> dict[str, str]:
    """Each container, task, lease, ingest, active snapshot, shim and process of a container, with some detail."""
    there = {f"container {container.id}": "" for container in await client.list_containers()}
    there |= {f"task {task.container_id}": task.status.state for task in await client.tasks.list()}
    there |= {f"lease {lease.id}": "" for lease in await client.leases.list()}
    there |= {f"ingest {ingest.ref}": "" for ingest in await client.content.statuses()}
    snapshots = await client.snapshotter(snapshotter).list()
    there |= {f"snapshot {info.name}": info.kind for info in snapshots if info.kind != "committed"}
    return there | _processes(client.namespace)


def _processes(namespace: str) -> dict[str, str]:
    """The shims of the namespace, and their children, with their command lines."""
    parents: dict[str, str] = {}
    commands: dict[str, str] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes().replace(bytes(1), b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        parents[path.name] = stat[1]
        commands[path.name] = command or stat[0]
    shims = {pid for pid, command in commands.items() if f"-namespace {namespace} " in command}
    family = {pid for pid, parent in parents.items() if pid in shims or parent in shims}
    return {f"process {pid}": commands[pid] for pid in family}
