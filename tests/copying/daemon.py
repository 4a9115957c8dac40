"""The fake of the image tests, with tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from containerd_aio import NotFoundError
from tests.images.fakes import FakeDaemon


@dataclass
class Daemon(FakeDaemon):
    """A containerd without files: its snapshots are what ``diff.packed`` has."""

    running: set[str] = field(default_factory=set[str])

    @property
    def tasks(self) -> FakeTasks:
        return FakeTasks(self)


class FakeTasks:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def get(self, container_id: str) -> str:
        await self._daemon.step("tasks.get")
        if container_id not in self._daemon.running:
            raise NotFoundError(f"task '{container_id}'")
        return container_id
