"""The Namespaces service: what is asked of containerd, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.namespaces import v1 as api
from containerd_aio._api.google.protobuf import Empty, FieldMask
from containerd_aio.errors import FailedPreconditionError, InvalidArgumentError
from containerd_aio.services.namespaces import Namespaces
from containerd_aio.types import NamespaceInfo
from tests.services.scripted import Scripted
from tests.services.serving import serving

STORED = api.Namespace(name="prod", labels={"a": "b"})
KEPT = NamespaceInfo("prod", {"a": "b"})


@pytest.fixture
def service() -> Scripted:
    return Scripted(
        api.NamespacesBase,
        {
            "Get": api.GetNamespaceResponse(namespace=STORED),
            "List": api.ListNamespacesResponse(namespaces=[STORED, api.Namespace(name="bare")]),
            "Create": api.CreateNamespaceResponse(namespace=STORED),
            "Update": api.UpdateNamespaceResponse(namespace=STORED),
            "Delete": Empty(),
        },
    )


@pytest.fixture
async def namespaces(service: Scripted) -> AsyncIterator[Namespaces]:
    async with serving(service) as served:
        yield Namespaces(served.caller)


async def test_get_returns_the_labels(namespaces: Namespaces, service: Scripted) -> None:
    assert await namespaces.get("prod") == KEPT
    assert service.requests == [("Get", api.GetNamespaceRequest(name="prod"))]


async def test_list_returns_all(namespaces: Namespaces) -> None:
    assert await namespaces.list() == [KEPT, NamespaceInfo("bare")]


async def test_create_makes_one(namespaces: Namespaces, service: Scripted) -> None:
    assert await namespaces.create("prod", {"a": "b"}) == KEPT
    assert service.requests == [("Create", api.CreateNamespaceRequest(namespace=STORED))]


@pytest.mark.parametrize("name", ["", "a/b", "a" * 77])
async def test_an_illegal_name_is_refused_before_any_call(
    namespaces: Namespaces, service: Scripted, name: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="namespace"):
        await namespaces.create(name)
    assert service.requests == []


async def test_update_names_each_label_so_that_the_others_stay(
    namespaces: Namespaces, service: Scripted
) -> None:
    assert await namespaces.update("prod", {"a.b/c": "d", "gone": ""}) == KEPT
    update, then = service.requests
    assert update == (
        "Update",
        api.UpdateNamespaceRequest(
            namespace=api.Namespace(name="prod", labels={"a.b/c": "d", "gone": ""}),
            update_mask=FieldMask(paths=["labels.a.b/c", "labels.gone"]),
        ),
    )
    assert then[0] == "Get"  # 1.6 answers an Update with an empty namespace


async def test_an_update_of_nothing_removes_no_labels(namespaces: Namespaces, service: Scripted) -> None:
    """Without a mask containerd would replace all labels by none."""
    assert await namespaces.update("prod", {}) == KEPT
    assert [method for method, _ in service.requests] == ["Get"]


async def test_delete_deletes(namespaces: Namespaces, service: Scripted) -> None:
    await namespaces.delete("prod")
    assert service.requests == [("Delete", api.DeleteNamespaceRequest(name="prod"))]


async def test_changes_are_made_in_the_namespace_itself(service: Scripted) -> None:
    """Without the header containerd makes them, and answers with an error."""
    async with serving(service) as served:
        namespaces = Namespaces(served.caller.connection.caller(""))
        await namespaces.create("prod")
        await namespaces.update("prod", {"a": "b"})
        await namespaces.delete("prod")
        changes = [headers for method, headers in served.headers if not method.endswith("/Get")]
        assert [headers.get("containerd-namespace") for headers in changes] == ["prod"] * 3


async def test_a_namespace_in_use_is_told() -> None:
    refusal = GRPCError(Status.FAILED_PRECONDITION, 'namespace "prod" must be empty: failed precondition')
    async with serving(Scripted(api.NamespacesBase, {"Delete": refusal})) as served:
        with pytest.raises(FailedPreconditionError, match="namespace 'prod'"):
            await Namespaces(served.caller).delete("prod")
