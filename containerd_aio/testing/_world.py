"""What the fake daemon holds: one realm for each namespace, with records, blobs, snapshots and tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.services.containers.v1 import Container
from containerd_aio._api.containerd.services.content.v1 import Info as BlobInfo
from containerd_aio._api.containerd.services.content.v1 import Status as IngestStatus
from containerd_aio._api.containerd.services.images.v1 import Image
from containerd_aio._api.containerd.services.leases.v1 import Lease
from containerd_aio._api.containerd.services.snapshots.v1 import Info as SnapshotInfo
from containerd_aio.testing._calls import lease_of_call, namespace_of_call
from containerd_aio.testing._events import Exchange
from containerd_aio.testing._statuses import not_found
from containerd_aio.testing._task import FakeTask

SNAPSHOTTERS = ("native", "overlayfs")


@dataclass(slots=True)
class Blob:
    """A blob and what is known of it."""

    info: BlobInfo
    data: bytes


@dataclass(slots=True)
class Ingest:
    """A write that was begun."""

    status: IngestStatus
    data: bytearray = field(default_factory=bytearray)
    locked: bool = False


@dataclass(slots=True)
class HeldLease:
    """A lease and what it holds: pairs of type and id."""

    lease: Lease
    resources: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])


@dataclass(slots=True)
class Realm:
    """All that is in one namespace; ``exists`` tells whether the daemon knows of it: from the first
    thing on that was put into it, until it is deleted."""

    name: str
    exists: bool = False
    furnished: bool = False
    labels: dict[str, str] = field(default_factory=dict[str, str])
    containers: dict[str, Container] = field(default_factory=dict[str, Container])
    images: dict[str, Image] = field(default_factory=dict[str, Image])
    leases: dict[str, HeldLease] = field(default_factory=dict[str, HeldLease])
    blobs: dict[str, Blob] = field(default_factory=dict[str, Blob])
    ingests: dict[str, Ingest] = field(default_factory=dict[str, Ingest])
    snapshots: dict[str, dict[str, SnapshotInfo]] = field(
        default_factory=lambda: {name: {} for name in SNAPSHOTTERS}
    )
    tasks: dict[str, FakeTask] = field(default_factory=dict[str, FakeTask])

    def contents(self) -> list[str]:
        """Name the kinds of things that are in here; a namespace with any cannot be deleted."""
        kinds = {
            "containers": self.containers,
            "images": self.images,
            "blobs": self.blobs,
            "leases": self.leases,
            **{f'snapshots on "{name}" snapshotter': kept for name, kept in self.snapshots.items()},
        }
        return [kind for kind, kept in kinds.items() if kept]


class World:
    """The realms, and the exchange that tells what happens in them. ``furnish`` fills a realm when it is
    first used."""

    def __init__(self, exchange: Exchange, furnish: Callable[[Realm], None]) -> None:
        self.exchange = exchange
        self.realms: dict[str, Realm] = {}
        self._furnish = furnish

    def realm(self, name: str) -> Realm:
        """Return the realm of a namespace, which begins when it is first spoken of."""
        if name not in self.realms:
            self.realms[name] = Realm(name)
        return self.realms[name]

    def here(self) -> Realm:
        """Return the realm that the call under way is made in.

        :raises GRPCError: FAILED_PRECONDITION without a namespace
        """
        realm = self.realm(namespace_of_call())
        if not realm.furnished:
            realm.furnished = True
            self._furnish(realm)
        return realm

    def publish(self, realm: Realm, topic: str, event: Message) -> None:
        """Send an event of a realm."""
        self.exchange.publish(realm.name, topic, event)

    def lease(self, realm: Realm) -> HeldLease | None:
        """Return the lease of the call under way, ``None`` if it has none.

        :raises GRPCError: NOT_FOUND if there is no such lease
        """
        name = lease_of_call()
        if not name:
            return None
        if name not in realm.leases:
            raise not_found("lease does not exist")
        return realm.leases[name]
