"""The daemon's Snapshots service: the records of snapshots. Their files are one private, empty directory."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.services.snapshots import v1 as api
from containerd_aio._api.containerd.types import Mount
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._filters import Field, filters_of, matches, record_field
from containerd_aio.testing._messages import now, split_path, with_label, without_empty
from containerd_aio.testing._statuses import (
    already_exists,
    checked_labels,
    invalid,
    not_found,
    precondition,
    unimplemented,
)
from containerd_aio.testing._world import Realm, World

VIEW, ACTIVE, COMMITTED = (api.Kind.try_value(number) for number in (1, 2, 3))
_NAMES = {1: "view", 2: "active", 3: "committed"}
_BLOCK = 100


class SnapshotsService(api.SnapshotsBase):
    """The Snapshots service; ``directory`` is what all mounts bind."""

    def __init__(self, world: World, directory: str) -> None:
        self._world = world
        self._directory = directory

    async def prepare(self, request: api.PrepareSnapshotRequest, /) -> api.PrepareSnapshotResponse:
        realm = self._begin(request.snapshotter, request.key, request.parent, request.labels, ACTIVE)
        prepared = events.SnapshotPrepare(key=request.key, parent=request.parent)
        self._world.publish(realm, "/snapshot/prepare", prepared)
        return api.PrepareSnapshotResponse(mounts=self._mounts(ACTIVE))

    async def view(self, request: api.ViewSnapshotRequest, /) -> api.ViewSnapshotResponse:
        self._begin(request.snapshotter, request.key, request.parent, request.labels, VIEW)
        return api.ViewSnapshotResponse(mounts=self._mounts(VIEW))

    async def mounts(self, request: api.MountsRequest, /) -> api.MountsResponse:
        info = _found(self._snapshots(request.snapshotter), request.key)
        if info.kind == COMMITTED:
            raise precondition(
                f"failed to get snapshot mount: requested snapshot {request.key} not active or view"
            )
        return api.MountsResponse(mounts=self._mounts(info.kind))

    async def commit(self, request: api.CommitSnapshotRequest, /) -> Empty:
        realm, snapshots = self._world.here(), self._snapshots(request.snapshotter)
        lease = self._world.lease(realm)
        info = _found(snapshots, request.key)
        if not request.name:
            raise GRPCError(Status.UNKNOWN, "bucket name required")
        if request.name in snapshots:
            raise already_exists(f'snapshot "{request.name}"')
        if info.kind != ACTIVE:
            raise precondition(f'failed to commit snapshot: snapshot "{request.key}" is not active')
        checked_labels(request.labels, "snapshot.Labels")
        del snapshots[request.key]
        snapshots[request.name] = api.Info(
            name=request.name,
            parent=info.parent,
            kind=COMMITTED,
            created_at=now(),
            updated_at=now(),
            labels=without_empty(request.labels),
        )
        if lease is not None:
            lease.resources.discard((f"snapshots/{request.snapshotter}", request.key))
            lease.resources.add((f"snapshots/{request.snapshotter}", request.name))
        event = events.SnapshotCommit(key=request.key, name=request.name)
        self._world.publish(realm, "/snapshot/commit", event)
        return Empty()

    async def remove(self, request: api.RemoveSnapshotRequest, /) -> Empty:
        realm, snapshots = self._world.here(), self._snapshots(request.snapshotter)
        _found(snapshots, request.key)
        if any(info.parent == request.key for info in snapshots.values()):
            raise precondition("cannot remove snapshot with child")
        del snapshots[request.key]
        self._world.publish(realm, "/snapshot/remove", events.SnapshotRemove(key=request.key))
        return Empty()

    async def stat(self, request: api.StatSnapshotRequest, /) -> api.StatSnapshotResponse:
        return api.StatSnapshotResponse(info=_found(self._snapshots(request.snapshotter), request.key))

    async def update(self, request: api.UpdateSnapshotRequest, /) -> api.UpdateSnapshotResponse:
        snapshots = self._snapshots(request.snapshotter)
        given = request.info
        updated = _found(snapshots, given.name).__copy__()
        for path in request.update_mask.paths or ["labels"]:
            match split_path(path, ("labels",)):
                case "labels", "":
                    updated.labels = without_empty(given.labels)
                case "labels", key:
                    updated.labels = with_label(updated.labels, key, given.labels)
                case _:
                    raise invalid(f'cannot update "{path}" field on snapshot "{given.name}"')
        checked_labels(updated.labels, "snapshot.Labels")
        updated.updated_at = now()
        snapshots[given.name] = updated
        return api.UpdateSnapshotResponse(info=updated)

    async def list(self, request: api.ListSnapshotsRequest, /) -> AsyncIterator[api.ListSnapshotsResponse]:
        snapshots = self._snapshots(request.snapshotter)
        try:
            filters = filters_of(request.filters)
        except GRPCError as error:
            raise GRPCError(Status.UNKNOWN, error.message) from None
        found = [info for _, info in sorted(snapshots.items()) if matches(filters, _field(info))]
        for start in range(0, len(found), _BLOCK):
            yield api.ListSnapshotsResponse(info=found[start : start + _BLOCK])

    async def usage(self, request: api.UsageRequest, /) -> api.UsageResponse:
        _found(self._snapshots(request.snapshotter), request.key)
        return api.UsageResponse(size=4096, inodes=1)

    async def cleanup(self, request: api.CleanupRequest, /) -> Empty:
        self._snapshots(request.snapshotter)
        raise unimplemented("snapshotter does not implement Cleanup method")

    def _snapshots(self, snapshotter: str) -> dict[str, api.Info]:
        realm = self._world.here()
        if not snapshotter:
            raise invalid("snapshotter argument missing")
        if snapshotter not in realm.snapshots:
            raise invalid(f"snapshotter not loaded: {snapshotter}")
        return realm.snapshots[snapshotter]

    def _begin(
        self, snapshotter: str, key: str, parent: str, labels: dict[str, str], kind: api.Kind
    ) -> Realm:
        realm, snapshots = self._world.here(), self._snapshots(snapshotter)
        lease = self._world.lease(realm)
        checked_labels(labels, "snapshot.Labels")
        if not key:
            raise GRPCError(Status.UNKNOWN, "bucket name required")
        if key in snapshots:
            raise already_exists(f'snapshot "{key}"')
        if parent and parent not in snapshots:
            raise not_found(f"parent snapshot {parent} does not exist")
        if parent and snapshots[parent].kind != COMMITTED:
            raise invalid(f'failed to create snapshot: parent "{parent}" is not committed snapshot')
        realm.exists = True
        snapshots[key] = api.Info(
            name=key,
            parent=parent,
            kind=kind,
            created_at=now(),
            updated_at=now(),
            labels=without_empty(labels),
        )
        if lease is not None:
            lease.resources.add((f"snapshots/{snapshotter}", key))
        return realm

    def _mounts(self, kind: api.Kind) -> builtins.list[Mount]:
        access = "ro" if kind == VIEW else "rw"
        return [Mount(type="bind", source=self._directory, options=["rbind", access])]


def _found(snapshots: dict[str, api.Info], key: str) -> api.Info:
    if key not in snapshots:
        raise not_found(f"snapshot {key} does not exist")
    return snapshots[key]


def _field(info: api.Info) -> Field:
    fields = {"kind": _NAMES[int(info.kind)], "name": info.name, "parent": info.parent}
    return record_field(fields, labels=info.labels)
