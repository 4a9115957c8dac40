"""The Snapshots service, of one snapshotter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import betterproto
import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.introspection import v1 as introspection
from containerd_aio._api.containerd.services.snapshots import v1 as api
from containerd_aio._api.containerd.types import Mount as MountMessage
from containerd_aio._api.google.protobuf import Empty, FieldMask, Timestamp
from containerd_aio.errors import (
    AlreadyExistsError,
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    UnknownError,
)
from containerd_aio.services.snapshots import Snapshotter
from containerd_aio.types import Mount, SnapshotInfo, SnapshotKind, SnapshotUsage
from tests.services.serving import Served, serving

# Keys and names are no identifiers: this is what unpacking calls a snapshot.
KEY = "extract-1-aB_- sha256:" + "a" * 64
NAME = "default/12/sha256:" + "a" * 64
MOUNTS = [MountMessage(type="overlay", source="overlay", target="", options=["lowerdir=/1"])]

INFO = SnapshotInfo(NAME, SnapshotKind.COMMITTED, "base", {"key": "value"}, 1_000_000_001, None)


def stored(kind: int = 3) -> api.Info:
    return api.Info(
        name=NAME,
        parent="base",
        kind=api.Kind.try_value(kind),
        labels={"key": "value"},
        created_at=Timestamp(seconds=1, nanos=1),
        updated_at=Timestamp(seconds=-62135596800),
    )


class Snapshots(api.SnapshotsBase):
    """Answers any request alike, and notes it."""

    def __init__(self) -> None:
        self.requests: list[betterproto.Message] = []
        self.refusal: GRPCError | None = None
        self.kind = 3

    def note(self, request: betterproto.Message) -> None:
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal

    async def prepare(self, request: api.PrepareSnapshotRequest, /) -> api.PrepareSnapshotResponse:
        self.note(request)
        return api.PrepareSnapshotResponse(mounts=MOUNTS)

    async def view(self, request: api.ViewSnapshotRequest, /) -> api.ViewSnapshotResponse:
        self.note(request)
        return api.ViewSnapshotResponse(mounts=MOUNTS)

    async def mounts(self, request: api.MountsRequest, /) -> api.MountsResponse:
        self.note(request)
        return api.MountsResponse(mounts=MOUNTS)

    async def commit(self, request: api.CommitSnapshotRequest, /) -> Empty:
        self.note(request)
        return Empty()

    async def remove(self, request: api.RemoveSnapshotRequest, /) -> Empty:
        self.note(request)
        return Empty()

    async def stat(self, request: api.StatSnapshotRequest, /) -> api.StatSnapshotResponse:
        self.note(request)
        return api.StatSnapshotResponse(info=stored(self.kind))

    async def update(self, request: api.UpdateSnapshotRequest, /) -> api.UpdateSnapshotResponse:
        self.note(request)
        return api.UpdateSnapshotResponse(info=stored())

    async def list(self, request: api.ListSnapshotsRequest, /) -> AsyncIterator[api.ListSnapshotsResponse]:
        self.note(request)
        yield api.ListSnapshotsResponse(info=[stored(), stored()])
        yield api.ListSnapshotsResponse()
        yield api.ListSnapshotsResponse(info=[stored()])
        if request.filters == ["half"]:
            raise GRPCError(Status.UNKNOWN, "database is closed")

    async def usage(self, request: api.UsageRequest, /) -> api.UsageResponse:
        self.note(request)
        return api.UsageResponse(size=4096, inodes=3)

    async def cleanup(self, request: api.CleanupRequest, /) -> Empty:
        self.note(request)
        return Empty()


class Plugins(introspection.IntrospectionBase):
    """A daemon whose plugin ``rebasing`` can rebase, and ``plain`` cannot."""

    async def plugins(self, request: introspection.PluginsRequest, /) -> introspection.PluginsResponse:
        assert request.filters == ["type==io.containerd.snapshotter.v1"]
        return introspection.PluginsResponse(
            plugins=[
                introspection.Plugin(type="io.containerd.snapshotter.v1", id="plain", capabilities=["x"]),
                introspection.Plugin(
                    type="io.containerd.snapshotter.v1", id="rebasing", capabilities=["remap", "rebase"]
                ),
            ]
        )


@pytest.fixture
def snapshots() -> Snapshots:
    return Snapshots()


@pytest.fixture
async def served(snapshots: Snapshots) -> AsyncIterator[Served]:
    async with serving(snapshots, Plugins(), rpc_timeout=30) as served:
        yield served


@pytest.fixture
def snapshotter(served: Served) -> Snapshotter:
    return Snapshotter(served.caller, "plain")


async def test_prepare_and_view_return_the_mounts(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    expected = [Mount("overlay", "overlay", options=("lowerdir=/1",))]
    assert await snapshotter.prepare(KEY, parent="base", labels={"key": "value"}) == expected
    assert await snapshotter.view(KEY, parent="base", labels={"key": "value"}) == expected
    assert await snapshotter.mounts(KEY) == expected
    assert snapshots.requests == [
        api.PrepareSnapshotRequest(snapshotter="plain", key=KEY, parent="base", labels={"key": "value"}),
        api.ViewSnapshotRequest(snapshotter="plain", key=KEY, parent="base", labels={"key": "value"}),
        api.MountsRequest(snapshotter="plain", key=KEY),
    ]


async def test_a_base_has_no_parent(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    await snapshotter.prepare(KEY)
    await snapshotter.view(KEY)
    assert snapshots.requests == [
        api.PrepareSnapshotRequest(snapshotter="plain", key=KEY),
        api.ViewSnapshotRequest(snapshotter="plain", key=KEY),
    ]


async def test_commit_names_what_becomes_of_the_key(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    await snapshotter.commit(NAME, KEY, labels={"key": "value"})
    assert snapshots.requests == [
        api.CommitSnapshotRequest(snapshotter="plain", name=NAME, key=KEY, labels={"key": "value"})
    ]


async def test_a_parent_on_commit_is_sent_to_a_snapshotter_that_can_rebase(
    served: Served, snapshots: Snapshots
) -> None:
    await Snapshotter(served.caller, "rebasing").commit(NAME, KEY, parent="base")
    assert snapshots.requests == [
        api.CommitSnapshotRequest(snapshotter="rebasing", name=NAME, key=KEY, parent="base")
    ]


@pytest.mark.parametrize("name", ["plain", "unknown"])
async def test_a_parent_on_commit_is_refused_where_it_would_be_ignored(
    served: Served, snapshots: Snapshots, name: str
) -> None:
    """An old daemon would store a layer without its parent under the name of the whole."""
    with pytest.raises(NotImplementedByServerError, match=f"'{name}' cannot .* lacks 'rebase'"):
        await Snapshotter(served.caller, name).commit(NAME, KEY, parent="base")
    assert snapshots.requests == []


async def test_stat_tells_kind_parent_labels_and_times(
    snapshotter: Snapshotter, snapshots: Snapshots
) -> None:
    """The year 1 is Go's word for no time."""
    assert await snapshotter.stat(NAME) == INFO
    assert snapshots.requests == [api.StatSnapshotRequest(snapshotter="plain", key=NAME)]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (0, SnapshotKind.UNKNOWN),
        (1, SnapshotKind.VIEW),
        (2, SnapshotKind.ACTIVE),
        (3, SnapshotKind.COMMITTED),
        (4, SnapshotKind.UNKNOWN),
    ],
)
async def test_kinds_have_names_and_new_ones_are_unknown(
    snapshotter: Snapshotter, snapshots: Snapshots, number: int, kind: SnapshotKind
) -> None:
    snapshots.kind = number
    assert (await snapshotter.stat(NAME)).kind is kind


async def test_update_sends_only_what_can_change(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    assert await snapshotter.update(INFO, "labels.key") == INFO
    assert await snapshotter.update(INFO) == INFO
    info = api.Info(name=NAME, labels={"key": "value"})
    masked, whole = snapshots.requests
    assert masked == api.UpdateSnapshotRequest(
        snapshotter="plain", info=info, update_mask=FieldMask(paths=["labels.key"])
    )
    assert isinstance(whole, api.UpdateSnapshotRequest)
    assert not betterproto.serialized_on_wire(whole.update_mask)


async def test_list_joins_the_blocks_of_the_stream(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    assert await snapshotter.list("kind==committed", "parent==base") == [INFO] * 3
    assert snapshots.requests == [
        api.ListSnapshotsRequest(snapshotter="plain", filters=["kind==committed", "parent==base"])
    ]


async def test_a_list_that_breaks_off_is_an_error_not_a_short_list(snapshotter: Snapshotter) -> None:
    with pytest.raises(UnknownError, match="database is closed"):
        await snapshotter.list("half")


async def test_usage_is_in_bytes_and_inodes(snapshotter: Snapshotter, snapshots: Snapshots) -> None:
    assert await snapshotter.usage(NAME) == SnapshotUsage(4096, 3)
    assert snapshots.requests == [api.UsageRequest(snapshotter="plain", key=NAME)]


async def test_remove_and_cleanup_name_the_snapshotter(
    snapshotter: Snapshotter, snapshots: Snapshots
) -> None:
    await snapshotter.remove(NAME)
    await snapshotter.cleanup()
    assert snapshots.requests == [
        api.RemoveSnapshotRequest(snapshotter="plain", key=NAME),
        api.CleanupRequest(snapshotter="plain"),
    ]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.NOT_FOUND, NotFoundError),
        (Status.ALREADY_EXISTS, AlreadyExistsError),
        (Status.FAILED_PRECONDITION, FailedPreconditionError),
        (Status.INVALID_ARGUMENT, InvalidArgumentError),
    ],
)
async def test_errors_name_the_snapshot(
    snapshotter: Snapshotter, snapshots: Snapshots, status: Status, error: type[ContainerdError]
) -> None:
    snapshots.refusal = GRPCError(status, "because")
    for call in (
        snapshotter.prepare(KEY),
        snapshotter.view(KEY),
        snapshotter.mounts(KEY),
        snapshotter.stat(KEY),
        snapshotter.usage(KEY),
        snapshotter.remove(KEY),
        snapshotter.commit(NAME, KEY),
    ):
        with pytest.raises(error, match="because") as caught:
            await call
        assert caught.value.subject == f"snapshot '{KEY}'"


async def test_a_snapshotter_needs_a_name(served: Served) -> None:
    with pytest.raises(InvalidArgumentError):
        Snapshotter(served.caller, "")
    assert Snapshotter(served.caller, "overlayfs").name == "overlayfs"


async def test_only_stat_and_update_are_quick(snapshotter: Snapshotter, served: Served) -> None:
    await snapshotter.stat(NAME)
    await snapshotter.update(INFO)
    assert served.deadlines("/Stat") == served.deadlines("/Update") == [True]
    await snapshotter.prepare(KEY)
    await snapshotter.commit(NAME, KEY)
    await snapshotter.remove(NAME)
    await snapshotter.usage(NAME)
    for method in ("/Prepare", "/Commit", "/Remove", "/Usage"):
        assert served.deadlines(method) == [False]
