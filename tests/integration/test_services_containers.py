"""Records of containers in a real containerd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from containerd_aio._api.containerd.services.containers import v1 as api
from containerd_aio._transport.convert import to_any
from containerd_aio._transport.typeurl import SPEC
from containerd_aio.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from containerd_aio.services import Services
from containerd_aio.services.containers import Containers
from containerd_aio.types import AnyValue, ContainerInfo, Runtime
from tests.types.test_identifier import BAD as NO_IDENTIFIERS
from tests.types.test_identifier import GOOD as IDENTIFIERS

pytestmark = pytest.mark.integration

INFO = ContainerInfo(
    id="web",
    runtime=Runtime("io.containerd.runc.v2"),
    spec=AnyValue(SPEC, b'{"ociVersion":"1.0.2"}'),
    image="docker.io/library/web:1",
    labels={"role": "front", "a.b/c": "d"},
    snapshotter="native",
    snapshot_key="web",
    extensions={"mine": AnyValue("example.Thing", b"x")},
)


@pytest.fixture
async def containers(services: Services) -> AsyncIterator[Containers]:
    """The service; every record that a test made ends with it."""
    yield services.containers
    for info in await services.containers.list():
        await services.containers.delete(info.id)


async def test_a_record_is_stored_and_comes_back(containers: Containers) -> None:
    stored = await containers.create(INFO)
    assert stored.created_at_ns is not None
    assert stored.updated_at_ns is not None
    assert replace(stored, created_at_ns=None, updated_at_ns=None) == INFO
    assert await containers.get("web") == stored
    assert await containers.list() == [stored]


async def test_filters_choose(containers: Containers) -> None:
    web = await containers.create(INFO)
    db = await containers.create(replace(INFO, id="db", labels={}, image=None))
    assert await containers.list('labels."a.b/c"==d') == [web]
    assert await containers.list("id==db", "id==web") == [db, web]
    assert await containers.list("id==db,id==web") == []


@pytest.mark.parametrize("id", IDENTIFIERS)
async def test_the_daemon_takes_what_is_an_identifier(containers: Containers, id: str) -> None:
    assert (await containers.create(replace(INFO, id=id))).id == id


@pytest.mark.parametrize(
    "id", [*NO_IDENTIFIERS.values(), "", "a" * 77], ids=[*NO_IDENTIFIERS, "empty", "long"]
)
async def test_the_daemon_refuses_what_is_none(services: Services, id: str) -> None:
    """Asked past the check that is made here."""
    container = api.Container(id=id, runtime=api.ContainerRuntime(name="r"), spec=to_any(INFO.spec))
    with pytest.raises(InvalidArgumentError):
        await services.caller.unary(
            "containerd.services.containers.v1.Containers/Create",
            api.CreateContainerRequest(container=container),
            api.CreateContainerResponse,
        )


async def test_update_changes_what_is_named(containers: Containers) -> None:
    stored = await containers.create(INFO)
    changed = replace(stored, labels={"role": "back", "a.b/c": ""}, image="other", spec=None)
    updated = await containers.update(changed, "labels.role", "labels.a.b/c")
    assert dict(updated.labels) == {"role": "back"}
    assert updated.image == INFO.image
    assert updated.spec == INFO.spec
    updated = await containers.update(replace(updated, image="other"), "image")
    assert updated.image == "other"


async def test_update_without_names_replaces_all(containers: Containers) -> None:
    stored = await containers.create(INFO)
    updated = await containers.update(replace(stored, labels={"only": "this"}, extensions={}))
    assert dict(updated.labels) == {"only": "this"}
    assert updated.extensions == {}


async def test_the_runtime_cannot_be_changed(containers: Containers) -> None:
    stored = await containers.create(INFO)
    with pytest.raises(InvalidArgumentError, match="immutable"):
        await containers.update(replace(stored, runtime=Runtime("io.containerd.other.v1")))


async def test_each_id_is_there_once(containers: Containers) -> None:
    await containers.create(INFO)
    with pytest.raises(AlreadyExistsError):
        await containers.create(INFO)
    await containers.delete("web")
    with pytest.raises(NotFoundError, match="container 'web'"):
        await containers.delete("web")
    with pytest.raises(NotFoundError, match="container 'web'"):
        await containers.get("web")


async def test_more_records_than_fit_into_one_message_are_listed(containers: Containers) -> None:
    """With 1 MiB of extensions each, 20 of them are more than the 16 MiB that a message may have."""
    big = replace(INFO, extensions={"big": AnyValue("example.Big", bytes(1 << 20))})
    for number in range(20):
        await containers.create(replace(big, id=f"big{number}"))
    assert len(await containers.list()) == 20
