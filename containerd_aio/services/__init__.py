"""containerd's gRPC services, one module each: typed words in, one call, typed words out."""

from __future__ import annotations

from dataclasses import dataclass

from containerd_aio._transport.call import Caller
from containerd_aio.services.containers import Containers
from containerd_aio.services.content import Content
from containerd_aio.services.diff import Diff
from containerd_aio.services.events import Events
from containerd_aio.services.health import Health
from containerd_aio.services.images import Images
from containerd_aio.services.introspection import Introspection
from containerd_aio.services.leases import Leases
from containerd_aio.services.namespaces import Namespaces
from containerd_aio.services.snapshots import Snapshotter
from containerd_aio.services.tasks import Tasks
from containerd_aio.services.version import Version

__all__ = [
    "Containers",
    "Content",
    "Diff",
    "Events",
    "Health",
    "Images",
    "Introspection",
    "Leases",
    "Namespaces",
    "Services",
    "Snapshotter",
    "Tasks",
    "Version",
]


@dataclass(frozen=True, slots=True)
class Services:
    """All services over one connection, in one namespace."""

    caller: Caller
    containers: Containers
    content: Content
    diff: Diff
    events: Events
    health: Health
    images: Images
    introspection: Introspection
    leases: Leases
    namespaces: Namespaces
    tasks: Tasks
    version: Version

    @classmethod
    def of(cls, caller: Caller) -> Services:
        """Return the services that this caller reaches."""
        return cls(
            caller=caller,
            containers=Containers(caller),
            content=Content(caller),
            diff=Diff(caller),
            events=Events(caller),
            health=Health(caller),
            images=Images(caller),
            introspection=Introspection(caller),
            leases=Leases(caller),
            namespaces=Namespaces(caller),
            tasks=Tasks(caller),
            version=Version(caller),
        )

    def snapshotter(self, name: str) -> Snapshotter:
        """Return the snapshotter of that name; whether the daemon has it shows on the first call."""
        return Snapshotter(self.caller, name)
