"""The Containers service: what is asked of containerd, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.containers import v1 as api
from containerd_aio._api.google.protobuf import Any, Empty, FieldMask, Timestamp
from containerd_aio._transport.typeurl import SPEC
from containerd_aio.errors import (
    AlreadyExistsError,
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
)
from containerd_aio.services.containers import Containers
from containerd_aio.types import AnyValue, ContainerInfo, Runtime
from tests.services.scripted import Answer, Scripted
from tests.services.serving import serving

INFO = ContainerInfo(
    id="web",
    runtime=Runtime("io.containerd.runc.v2", AnyValue("containerd.runc.v1.Options", b"\x08\x01")),
    spec=AnyValue(SPEC, b'{"a":1}'),
    image="docker.io/library/web:1",
    labels={"role": "front"},
    snapshotter="overlayfs",
    snapshot_key="web",
    extensions={"mine": AnyValue("example.Thing", b"x")},
    sandbox="pod",
)
SENT = api.Container(
    id="web",
    labels={"role": "front"},
    image="docker.io/library/web:1",
    runtime=api.ContainerRuntime(
        name="io.containerd.runc.v2", options=Any(type_url="containerd.runc.v1.Options", value=b"\x08\x01")
    ),
    spec=Any(type_url=SPEC, value=b'{"a":1}'),
    snapshotter="overlayfs",
    snapshot_key="web",
    extensions={"mine": Any(type_url="example.Thing", value=b"x")},
    sandbox="pod",
)
STORED = api.Container(
    **{name: getattr(SENT, name) for name in SENT.__dataclass_fields__ if SENT.is_set(name)},
    created_at=Timestamp(seconds=1, nanos=1),
    updated_at=Timestamp(seconds=2),
)
KEPT = replace(INFO, created_at_ns=1_000_000_001, updated_at_ns=2_000_000_000)
PLAIN = ContainerInfo("plain", Runtime("r"), None)
NOT_FOUND = GRPCError(Status.NOT_FOUND, 'container "web" in namespace "example": not found')


@pytest.fixture
async def containers(service: Scripted) -> AsyncIterator[Containers]:
    async with serving(service, rpc_timeout=60) as served:
        yield Containers(served.caller)


@pytest.fixture
def service(answers: dict[str, Answer]) -> Scripted:
    return Scripted(api.ContainersBase, answers)


@pytest.fixture
def answers() -> dict[str, Answer]:
    return {
        "Get": api.GetContainerResponse(container=STORED),
        "Create": api.CreateContainerResponse(container=STORED),
        "Update": api.UpdateContainerResponse(container=STORED),
        "Delete": Empty(),
        "ListStream": [
            api.ListContainerMessage(container=STORED),
            api.ListContainerMessage(
                container=api.Container(id="plain", runtime=api.ContainerRuntime(name="r"))
            ),
        ],
    }


async def test_get_returns_the_record(containers: Containers, service: Scripted) -> None:
    assert await containers.get("web") == KEPT
    assert service.requests == [("Get", api.GetContainerRequest(id="web"))]


async def test_list_streams_and_reads_what_is_absent_as_none(
    containers: Containers, service: Scripted
) -> None:
    assert await containers.list("id==web", "labels.role") == [KEPT, PLAIN]
    assert service.requests == [
        ("ListStream", api.ListContainersRequest(filters=["id==web", "labels.role"])),
    ]


@pytest.mark.parametrize(
    "answers",
    [{"List": api.ListContainersResponse(containers=[STORED])}],
    ids=["a daemon without ListStream"],
)
async def test_list_falls_back_to_one_message(containers: Containers, service: Scripted) -> None:
    assert await containers.list() == [KEPT]
    assert [method for method, _ in service.requests] == ["ListStream", "List"]


async def test_list_refuses_a_bad_filter_before_any_call(containers: Containers, service: Scripted) -> None:
    with pytest.raises(InvalidArgumentError, match="not a filter"):
        await containers.list("image==/x")
    assert service.requests == []


async def test_list_has_a_deadline() -> None:
    service = Scripted(api.ContainersBase, {"ListStream": []}, endless=True)
    async with serving(service) as served:
        await served.caller.connection.connect()
        served.caller.connection.rpc_timeout = 0.1
        with pytest.raises(DeadlineExceededError, match="rpc_timeout") as caught:
            await Containers(served.caller).list()
    assert caught.value.method.endswith("Containers/ListStream")


async def test_create_stores_the_record(containers: Containers, service: Scripted) -> None:
    assert await containers.create(INFO) == KEPT
    assert service.requests == [("Create", api.CreateContainerRequest(container=SENT))]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(None, id="none"),
        pytest.param(AnyValue(SPEC, b""), id="empty"),
        pytest.param(AnyValue("", b"{}"), id="no type"),
    ],
)
async def test_nothing_is_stored_without_a_spec(
    containers: Containers, service: Scripted, spec: AnyValue | None
) -> None:
    with pytest.raises(InvalidArgumentError):
        await containers.create(replace(INFO, spec=spec))
    with pytest.raises(InvalidArgumentError):
        await containers.update(replace(INFO, spec=spec))
    with pytest.raises(InvalidArgumentError):
        await containers.update(replace(INFO, spec=spec), "labels", "spec")
    assert service.requests == []


async def test_an_illegal_id_is_refused_before_any_call(containers: Containers, service: Scripted) -> None:
    with pytest.raises(InvalidArgumentError, match="container id"):
        await containers.create(replace(INFO, id="../web"))
    assert service.requests == []


@pytest.mark.parametrize(
    "info",
    [
        pytest.param(replace(INFO, runtime=Runtime("r", AnyValue("", b""))), id="runtime options"),
        pytest.param(replace(INFO, extensions={"x": AnyValue("", b"x")}), id="extension"),
    ],
)
async def test_values_without_a_type_are_refused(
    containers: Containers, service: Scripted, info: ContainerInfo
) -> None:
    with pytest.raises(InvalidArgumentError, match="type"):
        await containers.create(info)
    assert service.requests == []


async def test_update_names_what_it_changes(containers: Containers, service: Scripted) -> None:
    assert await containers.update(replace(INFO, spec=None), "labels.role", "image") == KEPT
    [(_, request)] = service.requests
    assert isinstance(request, api.UpdateContainerRequest)
    assert request.update_mask == FieldMask(paths=["labels.role", "image"])
    assert not request.container.is_set("spec")


async def test_update_without_fields_replaces_all(containers: Containers, service: Scripted) -> None:
    await containers.update(INFO)
    assert service.requests == [("Update", api.UpdateContainerRequest(container=SENT))]


async def test_delete_deletes(containers: Containers, service: Scripted) -> None:
    await containers.delete("web")
    assert service.requests == [("Delete", api.DeleteContainerRequest(id="web"))]


@pytest.mark.parametrize("answers", [{"Get": NOT_FOUND, "Delete": NOT_FOUND}], ids=["no such container"])
async def test_errors_name_the_container(containers: Containers) -> None:
    with pytest.raises(NotFoundError, match="container 'web'") as caught:
        await containers.get("web")
    assert caught.value.subject == "container 'web'"
    with pytest.raises(NotFoundError):
        await containers.delete("web")


@pytest.mark.parametrize(
    "answers", [{"Create": GRPCError(Status.ALREADY_EXISTS, "container exists")}], ids=["taken"]
)
async def test_an_id_that_is_taken_is_told(containers: Containers) -> None:
    with pytest.raises(AlreadyExistsError):
        await containers.create(INFO)


async def test_only_quick_calls_have_a_deadline(service: Scripted) -> None:
    async with serving(service, rpc_timeout=60) as served:
        containers = Containers(served.caller)
        await containers.get("web")
        await containers.update(INFO)
        await containers.create(INFO)
        await containers.delete("web")
        for method, expected in {"Get": True, "Update": True, "Create": False, "Delete": False}.items():
            assert served.deadlines(f"Containers/{method}") == [expected]
