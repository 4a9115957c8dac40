"""Garbage collection: what nothing refers to goes. It runs when a Delete asks for it (``sync``), and not otherwise.

Kept are the targets of images, the snapshots of containers, what leases hold and what has the label
``containerd.io/gc.root``; and from there on what labels refer to (``containerd.io/gc.ref.content…``,
``containerd.io/gc.ref.snapshot.<name>``), and the parents of snapshots. Ingests stay: they expire after a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from containerd_aio._api.containerd import events
from containerd_aio.testing._world import Realm, World

_ROOT: Final = "containerd.io/gc.root"
_CONTENT: Final = "containerd.io/gc.ref.content"
_SNAPSHOT: Final = "containerd.io/gc.ref.snapshot."


def collect(world: World, realm: Realm) -> None:
    """Remove what nothing refers to."""
    kept: set[tuple[str, str]] = set()
    to_visit = list(_roots(realm))
    while to_visit:
        node = to_visit.pop()
        if node not in kept:
            kept.add(node)
            to_visit += _references(realm, *node)
    for digest in [digest for digest in realm.blobs if ("content", digest) not in kept]:
        del realm.blobs[digest]
        world.publish(realm, "/content/delete", events.ContentDelete(digest=digest))
    for name, snapshots in realm.snapshots.items():
        for key in [key for key in snapshots if (f"snapshots/{name}", key) not in kept]:
            del snapshots[key]


def _roots(realm: Realm) -> Iterator[tuple[str, str]]:
    for image in realm.images.values():
        yield "content", image.target.digest
    for container in realm.containers.values():
        if container.snapshot_key:
            yield f"snapshots/{container.snapshotter}", container.snapshot_key
        yield from _labelled(container.labels)
    for held in realm.leases.values():
        yield from held.resources
    for digest, blob in realm.blobs.items():
        if _ROOT in blob.info.labels:
            yield "content", digest
    for name, snapshots in realm.snapshots.items():
        for key, info in snapshots.items():
            if _ROOT in info.labels:
                yield f"snapshots/{name}", key


def _references(realm: Realm, kind: str, key: str) -> Iterable[tuple[str, str]]:
    if kind == "content":
        blob = realm.blobs.get(key)
        return [] if blob is None else list(_labelled(blob.info.labels))
    info = realm.snapshots.get(kind.removeprefix("snapshots/"), {}).get(key)
    if info is None:
        return []
    parent = [(kind, info.parent)] if info.parent else []
    return [*parent, *_labelled(info.labels)]


def _labelled(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in labels.items():
        if key == _CONTENT or key.startswith((f"{_CONTENT}.", f"{_CONTENT}/")):
            yield "content", value
        elif key.startswith(_SNAPSHOT):
            yield f"snapshots/{key.removeprefix(_SNAPSHOT).partition('/')[0]}", value
