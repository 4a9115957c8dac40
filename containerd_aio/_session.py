"""What a live object may touch: the services and the exits of its namespace, and where FIFOs go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

import anyio

from containerd_aio._exits.record import ExitRecord
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio.errors import NotFoundError
from containerd_aio.services import Services

_DEFAULTS: Final = "containerd.io/defaults/"


@dataclass(eq=False, slots=True, weakref_slot=True)
class Freeze:
    """What the blocks share that keep one task frozen: how many they are, and whether it was this client that froze it."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    holders: int = 0
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A namespace of a connected client, as containers, tasks, processes and images see it.

    ``fifo_dir`` is ``None`` where the daemon is on another host: FIFOs do not reach it, nor do its files.
    ``daemon_pid`` tells the daemon's pid, ``None`` where it is not known.
    ``checkpoints`` are the locks of containers that are being checkpointed, by their ids, ``freezes`` what is known
    of tasks that are kept frozen, by their records: the next task of a container is another one.
    """

    services: Services
    exits: ExitWatcher
    namespace: str
    fifo_dir: str | None
    daemon_pid: Callable[[], int | None]
    checkpoints: WeakValueDictionary[str, anyio.Lock] = field(
        default_factory=WeakValueDictionary[str, anyio.Lock]
    )
    freezes: WeakValueDictionary[ExitRecord, Freeze] = field(
        default_factory=WeakValueDictionary[ExitRecord, Freeze]
    )


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a namespace uses where nothing is said, as containerd's own client has it."""

    snapshotter: str = "overlayfs"
    runtime: str = "io.containerd.runc.v2"


async def defaults_of(services: Services, namespace: str) -> Defaults:
    """Return what a namespace's labels name as default (``containerd.io/defaults/snapshotter``, ``…/runtime``)."""
    try:
        labels = (await services.namespaces.get(namespace)).labels
    except NotFoundError:
        return Defaults()
    named = {name: value for name in ("snapshotter", "runtime") if (value := labels.get(_DEFAULTS + name))}
    return Defaults(**named)
