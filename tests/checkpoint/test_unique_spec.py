"""Blanks behind the spec, where containerd 1.x would lose a checkpoint; and what is found where they do not help."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from grpclib.const import Status

from containerd_aio import Client, Container, ContainerdError, Task
from containerd_aio._checkpoint.unique_spec import found_after_all, held_digests, unique_spec
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.typeurl import SPEC, json_any, to_bytes
from containerd_aio.services import Services
from containerd_aio.testing import FAKE_IMAGE, FakeContainerd
from containerd_aio.types import AnyValue


@pytest.fixture
async def services(fake: FakeContainerd, client: Client) -> AsyncIterator[Services]:
    connection = Connection(Address.parse(fake.address))
    yield Services.of(connection.caller(client.namespace))
    await connection.aclose()


async def store_spec(client: Client, container: Container) -> None:
    """What a checkpoint of it has left."""
    spec = (await container.info()).spec
    assert spec is not None
    await client.content.write_blob("spec", to_bytes(spec))


async def test_a_spec_that_is_not_stored_is_left_alone(services: Services, container: Container) -> None:
    info = await container.info()
    async with unique_spec(services, info):
        assert (await container.info()).spec == info.spec


async def test_one_that_is_stored_gets_blanks_for_the_block(
    services: Services, client: Client, container: Container
) -> None:
    await store_spec(client, container)
    info = await container.info()
    assert info.spec is not None
    async with unique_spec(services, info):
        changed = (await container.info()).spec
        assert changed is not None
        assert changed.value.strip() == info.spec.value
        assert changed.value != info.spec.value
        assert json.loads(changed.value) == json.loads(info.spec.value)
    assert (await container.info()).spec == info.spec


@pytest.mark.parametrize("stored", [True, False])
async def test_blanks_of_a_client_that_was_killed_go_with_the_next_checkpoint(
    services: Services, client: Client, container: Container, stored: bool
) -> None:
    own = await container.info()
    assert own.spec is not None
    left = replace(own, spec=AnyValue(own.spec.type_url, own.spec.value + b" \t\n\r" * 8))
    await container.update(left, "spec")
    if stored:
        await store_spec(client, container)
    async with unique_spec(services, await container.info()):
        now = (await container.info()).spec
        assert now not in (own.spec, left.spec)
        assert await container.spec() == json.loads(own.spec.value)
    assert (await container.info()).spec == own.spec


async def test_a_spec_that_somebody_ends_with_a_new_line_keeps_it(
    services: Services, client: Client, container: Container
) -> None:
    info = await container.info()
    assert info.spec is not None
    info = await container.update(
        replace(info, spec=AnyValue(info.spec.type_url, info.spec.value + b"\n")), "spec"
    )
    await store_spec(client, container)
    async with unique_spec(services, info):
        assert (await container.info()).spec != info.spec
    assert (await container.info()).spec == info.spec


async def test_no_two_blanks_are_the_same(services: Services, client: Client, container: Container) -> None:
    await store_spec(client, container)
    seen: set[bytes] = set()
    for _ in range(10):
        async with unique_spec(services, await container.info()):
            spec = (await container.info()).spec
            assert spec is not None
            seen.add(spec.value)
    assert len(seen) == 10


async def test_what_somebody_else_stores_meanwhile_stays(
    services: Services, client: Client, container: Container
) -> None:
    await store_spec(client, container)
    info = await container.info()
    theirs = json_any(SPEC, {**await container.spec(), "hostname": "theirs"})
    async with unique_spec(services, info):
        await services.containers.update(replace(info, spec=theirs), "spec")
    assert (await container.info()).spec == theirs


async def test_a_container_that_goes_meanwhile_is_no_failure(services: Services, client: Client) -> None:
    container = await client.new_container("gone", image=FAKE_IMAGE)
    await store_spec(client, container)
    async with unique_spec(services, await container.info()):
        await container.delete()


async def test_blanks_that_stay_are_logged_and_nothing_fails(
    fake: FakeContainerd,
    services: Services,
    client: Client,
    container: Container,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await store_spec(client, container)
    info = await container.info()
    async with unique_spec(services, info):
        fault = fake.refuse("Containers/Update", Status.INTERNAL, "out of order")
    fault.lift()
    assert "there are blanks behind the spec of container 'web'" in caplog.text


async def test_the_error_of_the_block_is_the_one_that_is_raised(
    fake: FakeContainerd, services: Services, client: Client, container: Container
) -> None:
    await store_spec(client, container)
    with pytest.raises(RuntimeError, match="mine"):
        async with unique_spec(services, await container.info()):
            raise RuntimeError("mine")


async def test_a_memory_that_was_written_before_the_failure_is_found(
    services: Services, client: Client, container: Container, task: Task
) -> None:
    await store_spec(client, container)
    info = await container.info()
    async with services.leases.hold() as lease:
        await services.content.write_blob("other", b"a blob that is no tar")
        before = await held_digests(services, lease.id)
        with pytest.raises(ContainerdError):
            await services.tasks.checkpoint("web")
        memory, config = await found_after_all(services, info, lease.id, before)
        assert (await services.content.info(memory.digest)).size == memory.size
        assert info.spec is not None
        assert await services.content.read_all(config.digest) == to_bytes(info.spec)


async def test_two_memories_under_one_lease_are_not_guessed_at(
    services: Services, client: Client, container: Container, task: Task
) -> None:
    info = await container.info()
    await store_spec(client, container)
    async with services.leases.hold() as lease:
        for _ in range(2):
            with pytest.raises(ContainerdError):
                await services.tasks.checkpoint("web")
        assert await found_after_all(services, info, lease.id, set()) == []
