"""containerd's Snapshots service: the layers of filesystems that one snapshotter keeps.

A snapshot begins active (``prepare``) or as a view, is mounted and written to, and becomes committed: then it can
be the parent of others. Keys and names share one space and are no identifiers: unpacking uses ones with spaces
and slashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from containerd_aio._api.containerd.services.introspection import v1 as introspection
from containerd_aio._api.containerd.services.snapshots import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import mount_from, timestamp_ns
from containerd_aio.errors import InvalidArgumentError, NotImplementedByServerError
from containerd_aio.types import Mount, SnapshotInfo, SnapshotKind, SnapshotUsage

_SERVICE: Final = "containerd.services.snapshots.v1.Snapshots/"

_KINDS: Final[Mapping[int, SnapshotKind]] = {
    api.Kind.VIEW: SnapshotKind.VIEW,
    api.Kind.ACTIVE: SnapshotKind.ACTIVE,
    api.Kind.COMMITTED: SnapshotKind.COMMITTED,
}


class Snapshotter:
    """One snapshotter (``overlayfs``, ``native``, …) as one namespace sees it."""

    def __init__(self, caller: Caller, name: str) -> None:
        if not name:
            raise InvalidArgumentError("the name of a snapshotter must not be empty")
        self._caller = caller
        self._name = name

    @property
    def name(self) -> str:
        """The snapshotter's name, as the daemon's plugins have it."""
        return self._name

    async def prepare(
        self, key: str, *, parent: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Mount]:
        """Begin a snapshot to write to, on a committed parent or empty, and return its mounts.

        Nothing refers to it yet: hold a lease, or name it in a container's record first. If cancelled, it may
        exist.

        :raises NotFoundError: if there is no such parent
        :raises AlreadyExistsError: if the key is taken; a remote snapshotter also says so of a layer that it
            has already (label ``containerd.io/snapshot.ref``)
        :raises InvalidArgumentError: if the daemon has no such snapshotter, or the parent is not committed
        """
        request = api.PrepareSnapshotRequest(
            snapshotter=self._name, key=key, parent=parent or "", labels=dict(labels or {})
        )
        answer = await self._caller.unary(
            _SERVICE + "Prepare", request, api.PrepareSnapshotResponse, about=_about(key)
        )
        return [mount_from(mount) for mount in answer.mounts]

    async def view(
        self, key: str, *, parent: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Mount]:
        """Begin a read-only snapshot of a committed parent and return its mounts. If cancelled, it may exist.

        :raises NotFoundError: if there is no such parent
        :raises AlreadyExistsError: if the key is taken
        :raises InvalidArgumentError: if the daemon has no such snapshotter, or the parent is not committed
        """
        request = api.ViewSnapshotRequest(
            snapshotter=self._name, key=key, parent=parent or "", labels=dict(labels or {})
        )
        answer = await self._caller.unary(
            _SERVICE + "View", request, api.ViewSnapshotResponse, about=_about(key)
        )
        return [mount_from(mount) for mount in answer.mounts]

    async def mounts(self, key: str) -> list[Mount]:
        """Return the mounts of an active snapshot or a view.

        :raises NotFoundError: if there is no such snapshot, or it is committed
        """
        answer = await self._caller.unary(
            _SERVICE + "Mounts",
            api.MountsRequest(snapshotter=self._name, key=key),
            api.MountsResponse,
            about=_about(key),
        )
        return [mount_from(mount) for mount in answer.mounts]

    async def commit(
        self,
        name: str,
        key: str,
        *,
        labels: Mapping[str, str] | None = None,
        parent: str | None = None,
    ) -> None:
        """Turn an active snapshot into a committed one of another name; the key is free afterwards.

        The labels of the active snapshot are not kept. ``parent`` puts the snapshot, prepared without one, on a
        committed parent; that needs the snapshotter's capability ``rebase`` (containerd 2.2). Older daemons
        ignore the wish and would store a wrong layer under the name, so the capability is asked for first.
        If cancelled, it may be done.

        :raises NotFoundError: if there is no active snapshot of that key, or no such parent
        :raises AlreadyExistsError: if the name is taken; the active snapshot stays
        :raises NotImplementedByServerError: if a parent is given and the snapshotter cannot rebase
        """
        if parent:
            await self._check_rebase()
        request = api.CommitSnapshotRequest(
            snapshotter=self._name, name=name, key=key, labels=dict(labels or {}), parent=parent or ""
        )
        await self._caller.unary(_SERVICE + "Commit", request, Empty, about=_about(key))

    async def remove(self, key: str) -> None:
        """Remove a snapshot of any kind; its files go now or with the next collection.

        :raises NotFoundError: if there is none
        :raises FailedPreconditionError: if it is the parent of another one
        """
        request = api.RemoveSnapshotRequest(snapshotter=self._name, key=key)
        await self._caller.unary(_SERVICE + "Remove", request, Empty, about=_about(key))

    async def stat(self, key: str) -> SnapshotInfo:
        """Return what is known of a snapshot.

        :raises NotFoundError: if there is none
        """
        answer = await self._caller.unary(
            _SERVICE + "Stat",
            api.StatSnapshotRequest(snapshotter=self._name, key=key),
            api.StatSnapshotResponse,
            quick=True,
            about=_about(key),
        )
        return _snapshot_from(answer.info)

    async def update(self, info: SnapshotInfo, *fields: str) -> SnapshotInfo:
        """Change the named fields (``labels``, ``labels.<key>``) to those of ``info``; return what is stored.

        An empty value removes a label. Without a field all labels are replaced: they are all that can change.

        :raises NotFoundError: if there is no such snapshot
        :raises InvalidArgumentError: if a field cannot be changed
        """
        request = api.UpdateSnapshotRequest(
            snapshotter=self._name, info=api.Info(name=info.name, labels=dict(info.labels))
        )
        if fields:
            request.update_mask = FieldMask(paths=[*fields])
        answer = await self._caller.unary(
            _SERVICE + "Update", request, api.UpdateSnapshotResponse, quick=True, about=_about(info.name)
        )
        return _snapshot_from(answer.info)

    async def list(self, *filters: str) -> list[SnapshotInfo]:
        """Return the snapshots that match any of the filters; all without one.

        Their fields: ``kind``, ``name``, ``parent``, ``labels.<key>``.

        :raises InvalidArgumentError: if the daemon has no such snapshotter
        :raises ContainerdError: if a filter cannot be parsed (``UnknownError`` before 2.3)
        """
        request = api.ListSnapshotsRequest(snapshotter=self._name, filters=[*filters])
        found: list[SnapshotInfo] = []
        async with self._caller.server_stream(
            _SERVICE + "List", request, api.ListSnapshotsResponse
        ) as incoming:
            async for block in incoming:
                found.extend(_snapshot_from(info) for info in block.info)
        return found

    async def usage(self, key: str) -> SnapshotUsage:
        """Return the bytes and inodes that a snapshot itself takes. An active one is counted while one waits.

        :raises NotFoundError: if there is none
        """
        answer = await self._caller.unary(
            _SERVICE + "Usage",
            api.UsageRequest(snapshotter=self._name, key=key),
            api.UsageResponse,
            about=_about(key),
        )
        return SnapshotUsage(size=answer.size, inodes=answer.inodes)

    async def cleanup(self) -> None:
        """Remove files that snapshots left behind.

        :raises NotImplementedByServerError: if the snapshotter has no such chore
        """
        request = api.CleanupRequest(snapshotter=self._name)
        await self._caller.unary(_SERVICE + "Cleanup", request, Empty, about=f"snapshotter '{self._name}'")

    async def _check_rebase(self) -> None:
        request = introspection.PluginsRequest(filters=["type==io.containerd.snapshotter.v1"])
        answer = await self._caller.unary(
            "containerd.services.introspection.v1.Introspection/Plugins",
            request,
            introspection.PluginsResponse,
            quick=True,
        )
        for plugin in answer.plugins:
            if plugin.id == self._name and "rebase" in plugin.capabilities:
                return
        raise NotImplementedByServerError(
            f"snapshotter {self._name!r} cannot give a snapshot another parent on commit: it lacks 'rebase'",
            method=_SERVICE + "Commit",
            subject=f"snapshotter '{self._name}'",
        )


def _about(key: str) -> str:
    return f"snapshot '{key}'"


def _snapshot_from(message: api.Info) -> SnapshotInfo:
    return SnapshotInfo(
        name=message.name,
        kind=_KINDS.get(message.kind, SnapshotKind.UNKNOWN),
        parent=message.parent or None,
        labels=dict(message.labels),
        created_at_ns=timestamp_ns(message.created_at),
        updated_at_ns=timestamp_ns(message.updated_at),
    )
