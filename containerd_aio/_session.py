"""What a live object may touch: the services and the exits of its namespace, and where FIFOs go."""

from __future__ import annotations

from dataclasses import dataclass

from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio.services import Services


@dataclass(frozen=True, slots=True)
class Session:
    """A namespace of a connected client, as containers, tasks, processes and images see it.

    ``fifo_dir`` is ``None`` where the daemon is on another host: FIFOs do not reach it, nor do its files.
    """

    services: Services
    exits: ExitWatcher
    namespace: str
    fifo_dir: str | None
