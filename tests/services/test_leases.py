"""The Leases service, and what ``hold()`` leaves behind: nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import anyio
import betterproto
import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.leases import v1 as api
from containerd_aio._api.containerd.services.version import v1 as version
from containerd_aio._api.google.protobuf import Empty, Timestamp
from containerd_aio._transport import completion
from containerd_aio._transport.lease import current_lease
from containerd_aio.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
)
from containerd_aio.services.leases import EXPIRE_LABEL, Leases, random_lease_id
from containerd_aio.types import Lease, LeaseResource
from containerd_aio.types.identifier import check_identifier
from tests.interrupt import WAYS
from tests.services.cancelling import Cancel
from tests.services.serving import NAMESPACE, Served, serving


async def nothing(request: betterproto.Message) -> None:
    """The hook of a store that answers at once."""


class LeaseStore(api.LeasesBase):
    """Leases in memory; ``before`` runs when a request has come, ``after`` when it is done but not answered."""

    def __init__(self) -> None:
        self.requests: list[betterproto.Message] = []
        self.leases: dict[str, dict[str, str]] = {}
        self.before: Callable[[betterproto.Message], Awaitable[None]] = nothing
        self.after: Callable[[betterproto.Message], Awaitable[None]] = nothing

    async def _came(self, request: betterproto.Message) -> None:
        self.requests.append(request)
        await self.before(request)

    async def create(self, request: api.CreateRequest, /) -> api.CreateResponse:
        await self._came(request)
        if request.id in self.leases:
            raise GRPCError(Status.ALREADY_EXISTS, f'lease "{request.id}": already exists')
        self.leases[request.id] = dict(request.labels)
        await self.after(request)
        return api.CreateResponse(lease=self._lease(request.id))

    async def delete(self, request: api.DeleteRequest, /) -> Empty:
        await self._came(request)
        if request.id not in self.leases:
            raise GRPCError(Status.NOT_FOUND, f'lease "{request.id}": not found')
        del self.leases[request.id]
        await self.after(request)
        return Empty()

    async def list(self, request: api.ListRequest, /) -> api.ListResponse:
        await self._came(request)
        label = re.compile(r'labels\."(.+)"==(\w+)')
        wanted = [match.groups() for text in request.filters if (match := label.fullmatch(text))]
        return api.ListResponse(
            leases=[
                self._lease(id)
                for id, labels in self.leases.items()
                if all(labels.get(key) == value for key, value in wanted)
            ]
        )

    async def add_resource(self, request: api.AddResourceRequest, /) -> Empty:
        await self._came(request)
        return Empty()

    async def delete_resource(self, request: api.DeleteResourceRequest, /) -> Empty:
        await self._came(request)
        if request.resource.type == "sandboxes":
            raise GRPCError(
                Status.UNIMPLEMENTED, "resource type sandboxes not supported yet: not implemented"
            )
        return Empty()

    async def list_resources(self, request: api.ListResourcesRequest, /) -> api.ListResourcesResponse:
        await self._came(request)
        return api.ListResourcesResponse(resources=[api.Resource(id="snap 1", type="snapshots/overlayfs")])

    def _lease(self, id: str) -> api.Lease:
        return api.Lease(id=id, created_at=Timestamp(seconds=1, nanos=5), labels=self.leases[id])


class Probe(version.VersionBase):
    """A call to make in a lease; the server notes the header that it comes with."""

    async def version(self, request: Empty, /) -> version.VersionResponse:
        return version.VersionResponse(version="1")


@pytest.fixture
def store() -> LeaseStore:
    return LeaseStore()


@pytest.fixture
async def served(store: LeaseStore) -> AsyncIterator[Served]:
    async with serving(store, Probe(), rpc_timeout=30) as served:
        yield served


@pytest.fixture
def leases(served: Served) -> Leases:
    return Leases(served.caller)


async def probe(served: Served) -> None:
    """Call something."""
    await served.caller.unary(
        "containerd.services.version.v1.Version/Version", Empty(), version.VersionResponse
    )


def test_a_random_id_is_an_identifier_and_not_the_same_twice() -> None:
    ids = {random_lease_id() for _ in range(1000)}
    assert len(ids) == 1000
    for id in ids:
        check_identifier("lease id", id)
        assert re.fullmatch(r"\d{1,9}-[A-Za-z0-9]{4}", id)


async def test_create_makes_a_lease_that_ends_after_a_day(leases: Leases, store: LeaseStore) -> None:
    before = datetime.now(UTC).timestamp()
    lease = await leases.create()
    after = datetime.now(UTC).timestamp()
    (request,) = store.requests
    assert isinstance(request, api.CreateRequest)
    assert request.id == lease.id
    assert lease.created_at_ns == 1_000_000_005
    text = lease.labels[EXPIRE_LABEL]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    # In whole seconds, and never early.
    assert before + 86_400 <= datetime.fromisoformat(text).timestamp() <= after + 86_401


async def test_create_takes_id_labels_and_expiry(leases: Leases, store: LeaseStore) -> None:
    assert await leases.create(id="mine", labels={"a": "1"}, expires_in=None) == Lease(
        "mine", {"a": "1"}, 1_000_000_005
    )
    labelled = await leases.create(id="dated", labels={EXPIRE_LABEL: "2030-01-01T00:00:00Z"})
    assert labelled.labels == {EXPIRE_LABEL: "2030-01-01T00:00:00Z"}
    with pytest.raises(AlreadyExistsError) as caught:
        await leases.create(id="mine")
    assert caught.value.subject == "lease 'mine'"


@pytest.mark.parametrize("id", ["", " ", "a\n", "ä", " a", "a\x7f"])
async def test_an_id_that_cannot_travel_in_a_header_is_refused(
    leases: Leases, store: LeaseStore, id: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot travel in a header"):
        await leases.create(id=id)
    with pytest.raises(InvalidArgumentError, match="cannot travel in a header"):
        async with leases.hold(id=id):
            pytest.fail("held")
    assert store.requests == []


@pytest.mark.parametrize("expires_in", [0, -1, float("nan"), float("inf"), 1e15])
async def test_a_lease_expires_in_the_future(leases: Leases, store: LeaseStore, expires_in: float) -> None:
    with pytest.raises(InvalidArgumentError, match="None is for never"):
        await leases.create(expires_in=expires_in)
    assert store.requests == []


async def test_delete_may_wait_for_a_collection(leases: Leases, store: LeaseStore) -> None:
    store.leases = {"a": {}, "b": {}}
    await leases.delete("a")
    await leases.delete("b", sync=True)
    assert store.requests == [api.DeleteRequest(id="a"), api.DeleteRequest(id="b", sync=True)]
    with pytest.raises(NotFoundError) as caught:
        await leases.delete("a")
    assert caught.value.subject == "lease 'a'"


async def test_list_passes_the_filters(leases: Leases, store: LeaseStore) -> None:
    store.leases = {"a": {"k": "v"}, "b": {}}
    assert await leases.list("id==a") == [
        Lease("a", {"k": "v"}, 1_000_000_005),
        Lease("b", {}, 1_000_000_005),
    ]
    assert store.requests == [api.ListRequest(filters=["id==a"])]


async def test_resources_have_a_type_and_an_id(leases: Leases, store: LeaseStore) -> None:
    resource = LeaseResource("snapshots/overlayfs", "snap 1")
    await leases.add_resource("a", resource)
    await leases.delete_resource("a", resource)
    assert await leases.list_resources("a") == [resource]
    message = api.Resource(type="snapshots/overlayfs", id="snap 1")
    assert store.requests == [
        api.AddResourceRequest(id="a", resource=message),
        api.DeleteResourceRequest(id="a", resource=message),
        api.ListResourcesRequest(id="a"),
    ]
    with pytest.raises(NotImplementedByServerError):
        await leases.delete_resource("a", LeaseResource("sandboxes", "x"))


async def test_only_lists_are_quick(leases: Leases, served: Served) -> None:
    await leases.create(id="a")
    await leases.list()
    await leases.list_resources("a")
    await leases.delete("a")
    assert served.deadlines("/List") == served.deadlines("/ListResources") == [True]
    assert served.deadlines("/Create") == served.deadlines("/Delete") == [False]


async def test_hold_sends_the_lease_with_what_the_block_calls(
    leases: Leases, store: LeaseStore, served: Served
) -> None:
    await probe(served)
    async with leases.hold(labels={"a": "1"}) as lease:
        assert store.leases[lease.id]["a"] == "1"
        assert EXPIRE_LABEL in store.leases[lease.id]
        await probe(served)
    await probe(served)
    assert served.leases("/Version") == [None, lease.id, None]
    assert served.leases("/Create") == served.leases("/Delete") == [None]
    assert store.leases == {}


async def test_hold_serves_one_namespace_of_one_connection(leases: Leases, served: Served) -> None:
    connection = served.caller.connection
    async with leases.hold() as lease:
        assert current_lease(connection, NAMESPACE) == lease.id
        assert current_lease(connection, "other") is None
        async with Leases(connection.caller("other")).hold() as other:
            assert other.id != lease.id
            assert current_lease(connection, "other") == other.id


async def test_tasks_of_the_block_hold_with_the_same_lease(leases: Leases, served: Served) -> None:
    async with leases.hold() as lease, anyio.create_task_group() as group:
        group.start_soon(probe, served)
        group.start_soon(probe, served)
    assert served.leases("/Version") == [lease.id] * 2


async def test_a_hold_inside_of_a_hold_is_the_outer_one(
    leases: Leases, store: LeaseStore, served: Served
) -> None:
    async with leases.hold() as outer:
        async with leases.hold(id="inner", labels={"a": "1"}) as inner:
            assert inner.id == outer.id
        assert list(store.leases) == [outer.id]
        await probe(served)
    assert served.leases("/Version") == [outer.id]
    assert store.leases == {}


async def test_holds_that_follow_each_other_are_not_the_same(leases: Leases) -> None:
    async with leases.hold() as first:
        pass
    async with leases.hold() as second:
        pass
    assert first.id != second.id


async def test_an_exception_in_the_block_deletes_the_lease_and_comes_out_bare(
    leases: Leases, store: LeaseStore
) -> None:
    async def fail() -> None:
        async with leases.hold():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await fail()
    assert store.leases == {}
    assert not hasattr(caught.value, "__notes__")


async def test_a_lease_that_is_gone_already_is_no_problem(
    leases: Leases, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with leases.hold():
        store.leases.clear()
    assert not caplog.records


async def test_a_lease_that_cannot_be_deleted_is_noted_on_the_exception(
    leases: Leases, store: LeaseStore
) -> None:
    await _refuse_deletion(store)

    async def fail() -> None:
        async with leases.hold(id="kept"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await fail()
    (note,) = caught.value.__notes__
    assert "lease 'kept' was not deleted and stays until it expires" in note
    assert "disk on fire" in note


async def test_a_lease_that_cannot_be_deleted_after_success_is_logged(
    leases: Leases, store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    await _refuse_deletion(store)
    async with leases.hold(id="kept"):
        pass
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("containerd_aio", logging.WARNING)
    assert "lease 'kept' was not deleted" in record.getMessage()


async def _refuse_deletion(store: LeaseStore) -> None:
    async def refuse(request: betterproto.Message) -> None:
        if isinstance(request, api.DeleteRequest):
            raise GRPCError(Status.FAILED_PRECONDITION, "disk on fire")

    store.before = refuse


async def test_an_id_that_is_taken_is_an_error_and_the_other_lease_stays(
    leases: Leases, store: LeaseStore
) -> None:
    store.leases["taken"] = {}
    with pytest.raises(AlreadyExistsError):
        async with leases.hold(id="taken"):
            pytest.fail("held")
    assert list(store.leases) == ["taken"]


async def test_a_cancelled_block_deletes_its_lease(leases: Leases, store: LeaseStore) -> None:
    with anyio.move_on_after(0.05) as scope:
        async with leases.hold():
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert store.leases == {}


@pytest.mark.parametrize("id", [None, "mine"])
@pytest.mark.parametrize("cancelled", WAYS)
async def test_a_hold_cancelled_anywhere_leaves_no_lease(
    leases: Leases, store: LeaseStore, served: Served, id: str | None, cancelled: Cancel
) -> None:
    async def hold() -> None:
        async with leases.hold(id=id):
            await probe(served)

    at = 0
    while await cancelled(hold(), at):
        assert store.leases == {}
        assert current_lease(served.caller.connection, NAMESPACE) is None
        at += 1
    assert store.leases == {}
    assert at > 2


@pytest.mark.parametrize("id", [None, "mine"])
async def test_a_lease_that_containerd_is_just_making_is_deleted_too(
    leases: Leases, store: LeaseStore, id: str | None
) -> None:
    """Also where containerd makes it after the cancellation: only its answer to Create tells."""
    asked, answering = anyio.Event(), anyio.Event()

    async def hold(request: betterproto.Message) -> None:
        if isinstance(request, api.CreateRequest):
            asked.set()
            await answering.wait()

    store.before = hold
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        group.start_soon(stack.enter_async_context, leases.hold(id=id))
        with anyio.fail_after(60):
            await asked.wait()
        group.cancel_scope.cancel()
        assert store.leases == {}
        answering.set()
    assert store.leases == {}
    assert [type(request) for request in store.requests] == [api.CreateRequest, api.DeleteRequest]


async def test_cancelled_while_asking_for_a_taken_id_it_leaves_the_other_lease(
    leases: Leases, store: LeaseStore
) -> None:
    store.leases["taken"] = {}
    asked, answering = anyio.Event(), anyio.Event()

    async def hold(request: betterproto.Message) -> None:
        asked.set()
        await answering.wait()

    store.before = hold
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        group.start_soon(stack.enter_async_context, leases.hold(id="taken"))
        with anyio.fail_after(60):
            await asked.wait()
        group.cancel_scope.cancel()
        answering.set()
    assert list(store.leases) == ["taken"]


async def test_cancelling_a_hold_ends_at_a_bound_when_the_daemon_is_stuck(
    leases: Leases, store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", 0.05)

    async def stick(request: betterproto.Message) -> None:
        await anyio.sleep_forever()

    store.before = stick
    with anyio.fail_after(60), anyio.move_on_after(0.01) as scope:
        async with leases.hold():
            pytest.fail("held")
    assert scope.cancelled_caught


async def test_deleting_the_lease_ends_at_a_bound_when_the_daemon_is_stuck(
    leases: Leases, store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "CLEANUP_SECONDS", 0.05)

    async def stick(request: betterproto.Message) -> None:
        if isinstance(request, api.DeleteRequest):
            await anyio.sleep_forever()

    store.before = stick

    async def fail() -> None:
        async with leases.hold():
            raise FailedPreconditionError("mine")

    with anyio.fail_after(60), pytest.raises(FailedPreconditionError, match="mine") as caught:
        await fail()
    assert "did not answer in time" in caught.value.__notes__[0]
