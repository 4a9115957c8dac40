"""An in-memory containerd, as far as images need one: stores, leases and a collector, no kinder than the real one.

Each call is two steps, before and after its effect, as a request and its answer are: ``was_cut()`` cancels the
code under test at one of them. What a collection would take is taken by ``collect()``.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel

from containerd_aio._transport.completion import shielded
from containerd_aio.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
    UnknownError,
)
from containerd_aio.types import (
    ContentInfo,
    Descriptor,
    ImageInfo,
    Lease,
    LeaseResource,
    Mount,
    NamespaceInfo,
    SnapshotInfo,
    SnapshotKind,
)

if TYPE_CHECKING:
    from containerd_aio.services import Services

_lease: ContextVar[str | None] = ContextVar("lease", default=None)


@dataclass
class FakeDaemon:
    """The state of a containerd, and its services as attributes."""

    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    blob_labels: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    ingests: dict[str, bytes] = field(default_factory=dict[str, bytes])
    records: dict[str, ImageInfo] = field(default_factory=dict[str, ImageInfo])
    snapshots: dict[str, SnapshotInfo] = field(default_factory=dict[str, SnapshotInfo])
    held: dict[str, set[LeaseResource]] = field(default_factory=dict[str, set[LeaseResource]])
    namespace_labels: dict[str, str] = field(default_factory=dict[str, str])
    calls: list[str] = field(default_factory=list[str])
    clock: int = 0

    def __post_init__(self) -> None:
        self.content = FakeContent(self)
        self.images = FakeImages(self)
        self.leases = FakeLeases(self)
        self.diff = FakeDiff(self)
        self.namespaces = FakeNamespaces(self)
        self._steps = 0
        self._cut_at = 0
        self._cut: Callable[[], object] | None = None

    def snapshotter(self, name: str) -> FakeSnapshotter:
        return FakeSnapshotter(self, name)

    @property
    def services(self) -> Services:
        return cast("Services", self)

    def cut_at(self, step: int, cut: Callable[[], object]) -> None:
        """Call ``cut`` in the given step from now."""
        self._steps, self._cut_at, self._cut = 0, step, cut

    async def step(self, call: str = "") -> None:
        if call:
            self.calls.append(call)
        self._steps += 1
        if self._cut is not None and self._steps == self._cut_at:
            self._cut()
        await anyio.lowlevel.checkpoint()

    def keep(self, kind: str, name: str) -> None:
        lease = _lease.get()
        if lease is not None:
            if lease not in self.held:
                raise NotFoundError("lease does not exist")
            self.held[lease].add(LeaseResource(kind, name))

    def collect(self) -> None:
        """Remove every blob and snapshot that neither an image nor a lease leads to."""
        roots = [LeaseResource("content", image.target.digest) for image in self.records.values()]
        pending = roots + [resource for resources in self.held.values() for resource in resources]
        seen: set[LeaseResource] = set()
        while pending:
            resource = pending.pop()
            if resource in seen:
                continue
            seen.add(resource)
            pending += self._references(resource)
        self.blobs = {
            name: data for name, data in self.blobs.items() if LeaseResource("content", name) in seen
        }
        self.blob_labels = {name: labels for name, labels in self.blob_labels.items() if name in self.blobs}
        kept = {resource.id for resource in seen if resource.type.startswith("snapshots/")}
        self.snapshots = {name: info for name, info in self.snapshots.items() if name in kept}

    def _references(self, resource: LeaseResource) -> list[LeaseResource]:
        if resource.type.startswith("snapshots/"):
            info = self.snapshots.get(resource.id)
            return [LeaseResource(resource.type, info.parent)] if info is not None and info.parent else []
        found = []
        for key, value in self.blob_labels.get(resource.id, {}).items():
            if key.startswith("containerd.io/gc.ref.content."):
                found.append(LeaseResource("content", value))
            elif key.startswith("containerd.io/gc.ref.snapshot."):
                snapshotter = key.removeprefix("containerd.io/gc.ref.snapshot.")
                found.append(LeaseResource(f"snapshots/{snapshotter}", value))
        return found


async def was_cut(
    daemon: FakeDaemon, step: int, work: Callable[[], Coroutine[Any, Any, object]], *, natively: bool
) -> bool:
    """Whether the work was cancelled at the given step, by an anyio scope or by asyncio itself; else it is done."""
    if natively:
        task = asyncio.ensure_future(work())
        daemon.cut_at(step, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        return task.cancelled()
    with anyio.CancelScope() as scope:
        daemon.cut_at(step, scope.cancel)
        await work()
    return scope.cancelled_caught


class FakeContent:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def info(self, digest: str) -> ContentInfo:
        await self._daemon.step("content.info")
        data = self._get(digest)
        return ContentInfo(digest, len(data), labels=dict(self._daemon.blob_labels[digest]))

    async def read_all(self, digest: str, *, max_size: int = 20 << 20) -> bytes:
        await self._daemon.step("content.read")
        data = self._get(digest)
        if len(data) > max_size:
            raise ResourceExhaustedError(f"blob {digest} is too large")
        return data

    @asynccontextmanager
    async def read(
        self, digest: str, *, offset: int = 0, size: int = 0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._daemon.step("content.read")
        data = self._get(digest)[offset : offset + size if size else None]

        async def chunks() -> AsyncGenerator[bytes]:
            for start in range(0, len(data), 700):
                await self._daemon.step()
                yield data[start : start + 700]

        async with aclosing(chunks()) as stream:
            yield stream

    async def delete(self, digest: str) -> None:
        await self._daemon.step("content.delete")
        self._get(digest)
        del self._daemon.blobs[digest]

    async def set_labels(self, digest: str, labels: Mapping[str, str]) -> ContentInfo:
        await self._daemon.step("content.update")
        self._get(digest)
        self._daemon.blob_labels[digest].update(labels)
        await self._daemon.step()
        return ContentInfo(digest, len(self._get(digest)), labels=dict(self._daemon.blob_labels[digest]))

    async def write_blob(
        self, ref: str, data: bytes | AsyncIterable[bytes], *, size: int = 0, expected: str | None = None
    ) -> str:
        daemon = self._daemon
        await daemon.step("content.write")
        if expected in daemon.blobs:
            daemon.keep("content", expected)
            return expected
        assert ref not in daemon.ingests, "a ref is used twice"
        daemon.ingests[ref] = b""
        try:
            async for chunk in _chunks(data):
                await daemon.step()
                daemon.ingests[ref] += chunk
            digest = f"sha256:{hashlib.sha256(daemon.ingests[ref]).hexdigest()}"
            if (expected or digest, size or len(daemon.ingests[ref])) != (digest, len(daemon.ingests[ref])):
                raise DataLossError(f"blob {expected} is damaged")
            daemon.keep("content", digest)
            daemon.blobs.setdefault(digest, daemon.ingests[ref])
            daemon.blob_labels.setdefault(digest, {})
            await daemon.step()
            return digest
        finally:
            del daemon.ingests[ref]

    def _get(self, digest: str) -> bytes:
        try:
            return self._daemon.blobs[digest]
        except KeyError:
            raise NotFoundError(f"blob {digest} not found") from None


async def _chunks(data: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        yield data
    else:
        async for chunk in data:
            yield chunk


class FakeImages:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def get(self, name: str) -> ImageInfo:
        await self._daemon.step("images.get")
        return self._find(name)

    async def create(self, info: ImageInfo) -> ImageInfo:
        await self._daemon.step("images.create")
        if info.name in self._daemon.records:
            raise AlreadyExistsError(f"image {info.name!r} already exists")
        return await self._store(info)

    async def update(self, info: ImageInfo, *fields: str) -> ImageInfo:
        await self._daemon.step("images.update")
        found = self._find(info.name)
        labels = dict(info.labels if "labels" in fields else found.labels)
        for name in fields:
            if name.startswith("labels."):
                labels[name.removeprefix("labels.")] = info.labels[name.removeprefix("labels.")]
        target = info.target if "target" in fields else found.target
        return await self._store(replace(found, target=target, labels=labels))

    async def delete(self, name: str, *, sync: bool = False, target: Descriptor | None = None) -> None:
        await self._daemon.step("images.delete")
        if target is not None and self._find(name).target.digest != target.digest:
            raise NotFoundError(f"image {name!r} has another target")
        self._find(name)
        del self._daemon.records[name]
        if sync:
            self._daemon.collect()

    def _find(self, name: str) -> ImageInfo:
        if name not in self._daemon.records:
            raise NotFoundError(f"image {name!r} not found")
        return self._daemon.records[name]

    async def _store(self, info: ImageInfo) -> ImageInfo:
        self._daemon.clock += 1
        self._daemon.records[info.name] = replace(info, updated_at_ns=self._daemon.clock)
        await self._daemon.step()
        return self._daemon.records[info.name]


class FakeLeases:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    @asynccontextmanager
    async def hold(self, *, sync: bool = False) -> AsyncIterator[Lease]:
        outer = _lease.get()
        if outer is not None:
            yield Lease(outer)
            return
        lease = f"lease-{len(self._daemon.calls)}"
        await self._daemon.step("leases.create")
        self._daemon.held[lease] = set()
        token = _lease.set(lease)
        try:
            yield Lease(lease)
        finally:
            _lease.reset(token)
            await shielded(partial(self._release, lease, sync))

    async def _release(self, lease: str, sync: bool) -> None:
        await self._daemon.step("leases.delete")
        del self._daemon.held[lease]
        if sync:
            self._daemon.collect()

    async def add_resource(self, lease_id: str, resource: LeaseResource) -> None:
        await self._daemon.step("leases.add_resource")
        self._daemon.held[lease_id].add(resource)


class FakeSnapshotter:
    def __init__(self, daemon: FakeDaemon, name: str) -> None:
        self._daemon = daemon
        self.name = name

    async def prepare(
        self, key: str, *, parent: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Mount]:
        await self._daemon.step("snapshots.prepare")
        if parent is not None and parent not in self._daemon.snapshots:
            raise NotFoundError(f"parent snapshot {parent} does not exist")
        if key in self._daemon.snapshots:
            raise AlreadyExistsError(f"snapshot {key!r} already exists")
        self._daemon.keep(f"snapshots/{self.name}", key)
        self._daemon.snapshots[key] = SnapshotInfo(key, SnapshotKind.ACTIVE, parent, dict(labels or {}))
        await self._daemon.step()
        return [Mount("bind", f"/fake/{key}")]

    async def commit(self, name: str, key: str, *, labels: Mapping[str, str] | None = None) -> None:
        await self._daemon.step("snapshots.commit")
        if name in self._daemon.snapshots:
            raise AlreadyExistsError(f"snapshot {name!r} already exists")
        active = self._daemon.snapshots.pop(key)
        self._daemon.keep(f"snapshots/{self.name}", name)
        self._daemon.snapshots[name] = SnapshotInfo(
            name, SnapshotKind.COMMITTED, active.parent, dict(labels or {})
        )
        await self._daemon.step()

    async def stat(self, key: str) -> SnapshotInfo:
        await self._daemon.step("snapshots.stat")
        if key not in self._daemon.snapshots:
            raise NotFoundError(f"snapshot {key} does not exist")
        return self._daemon.snapshots[key]

    async def remove(self, key: str) -> None:
        await self._daemon.step("snapshots.remove")
        if key not in self._daemon.snapshots:
            raise NotFoundError(f"snapshot {key} does not exist")
        if any(info.parent == key for info in self._daemon.snapshots.values()):
            raise FailedPreconditionError(f"snapshot {key} has children")
        del self._daemon.snapshots[key]


class FakeDiff:
    """Applies layers to nowhere; the difference of anything to nothing is ``packed``."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon
        self.packed = b""

    async def diff(
        self, left: Sequence[Mount], right: Sequence[Mount], *, media_type: str, ref: str
    ) -> Descriptor:
        assert not left
        assert right
        digest = await self._daemon.content.write_blob(ref, self.packed)
        return Descriptor(media_type, digest, len(self.packed))

    async def apply(self, descriptor: Descriptor, mounts: Sequence[Mount]) -> Descriptor:
        await self._daemon.step("diff.apply")
        data = self._daemon.blobs.get(descriptor.digest)
        if data is None:
            raise NotFoundError(f"layer {descriptor.digest} not found")
        try:
            layer = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        except (OSError, EOFError, zlib.error) as error:
            raise UnknownError(f"failed to extract layer: {error}") from error
        await self._daemon.step()
        return Descriptor(
            "application/vnd.oci.image.layer.v1.tar",
            f"sha256:{hashlib.sha256(layer).hexdigest()}",
            len(layer),
        )


class FakeNamespaces:
    def __init__(self, daemon: FakeDaemon) -> None:
        self._daemon = daemon

    async def get(self, name: str) -> NamespaceInfo:
        await self._daemon.step("namespaces.get")
        return NamespaceInfo(name, dict(self._daemon.namespace_labels))
