"""Subscriptions to a real containerd: live when entered, of the right namespaces, and honest about gaps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest
from hypothesis import HealthCheck, given, settings

from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio._transport.typeurl import SPEC
from containerd_aio.errors import (
    ConnectionLostError,
    EventsLostError,
    FailedPreconditionError,
    InvalidArgumentError,
)
from containerd_aio.events import (
    ContainerCreate,
    ContainerDelete,
    ContainerUpdate,
    Event,
    ImageCreate,
    NamespaceCreate,
    NamespaceDelete,
    NamespaceUpdate,
    Payload,
    SnapshotCommit,
    SnapshotPrepare,
    SnapshotRemove,
    TaskOOM,
    TaskStart,
)
from containerd_aio.filters import matches, where
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.services.events import Subscription
from containerd_aio.types import AnyValue, ContainerInfo, Descriptor, ImageInfo, Runtime
from tests.conftest import UNHEEDED
from tests.events.payloads import payloads
from tests.integration.conftest import crash

pytestmark = pytest.mark.integration


async def some(subscription: Subscription[Event], count: int) -> list[Event]:
    """The next so many events."""
    return [await anext(subscription) for _ in range(count)]


async def test_what_is_published_in_the_block_is_always_seen(services: Services) -> None:
    """Without the knock, containerd misses one in two to six of these."""
    with anyio.fail_after(60):
        for number in range(1, 101):
            async with services.events.subscribe() as events:
                await services.events.publish("/example/start", TaskStart("web", number))
                event = await anext(events)
                assert event.payload == TaskStart("web", number)
                assert event.topic == "/example/start"
                assert event.namespace == services.caller.namespace


async def test_the_time_is_now_and_exact(services: Services) -> None:
    before = time.time_ns()
    async with services.events.subscribe() as events:
        await services.events.publish("/example", TaskOOM("web"))
        event = await anext(events)
    assert before < event.timestamp_ns < time.time_ns()
    assert event.timestamp.utcoffset() is not None


@settings(
    max_examples=100, deadline=None, suppress_health_check=[*UNHEEDED, HealthCheck.function_scoped_fixture]
)
@given(payloads)
async def test_any_payload_survives_containerd(services: Services, payload: Payload) -> None:
    forwarded = Event(1_498_260_090_271_802_153, services.caller.namespace, "/example/a.b-c", payload)
    with anyio.fail_after(60):
        async with services.events.subscribe() as events:
            await services.events.publish("/example/a.b-c", payload)
            await services.events.forward(forwarded)
            published, came = await some(events, 2)
    assert published.payload == payload
    assert came == forwarded


async def test_other_namespaces_are_not_seen_unless_asked_for(
    services: Services, connection: Connection
) -> None:
    elsewhere = Services.of(connection.caller(services.caller.namespace + "-other"))
    with anyio.fail_after(60):
        async with (
            services.events.subscribe() as own,
            services.events.subscribe('topic=="/example"', all_namespaces=True) as everywhere,
            services.events.subscribe(where(namespace=elsewhere.caller.namespace)) as theirs,
        ):
            await elsewhere.events.publish("/example", TaskOOM("theirs"))
            await services.events.publish("/example", TaskOOM("own"))
            assert [event.payload for event in await some(own, 1)] == [TaskOOM("own")]
            assert [event.payload for event in await some(theirs, 1)] == [TaskOOM("theirs")]
            assert [event.payload for event in await some(everywhere, 2)] == [
                TaskOOM("theirs"),
                TaskOOM("own"),
            ]


async def test_knocks_of_other_readers_are_not_seen(services: Services) -> None:
    with anyio.fail_after(60):
        async with services.events.subscribe(all_namespaces=True) as events:
            for _ in range(5):
                async with services.events.subscribe():
                    pass
            await services.events.publish("/example", TaskOOM("web"))
            assert (await anext(events)).topic == "/example"


async def test_filters_look_into_the_payload(services: Services) -> None:
    wanted = where(topic=matches("^/tasks/"), **{"event.container_id": "a"})
    with anyio.fail_after(60):
        async with services.events.subscribe(wanted, 'event.labels."k.k"==v') as events:
            await services.events.publish("/tasks/oom", TaskOOM("b"))
            await services.events.publish("/tasks/oom", TaskOOM("a"))
            await services.events.publish("/images/create", ImageCreate("x", {"k.k": "v"}))
            assert [event.payload for event in await some(events, 2)] == [
                TaskOOM("a"),
                ImageCreate("x", {"k.k": "v"}),
            ]


async def test_the_daemon_refuses_a_bad_filter_by_its_class(services: Services) -> None:
    with anyio.fail_after(60), pytest.raises(InvalidArgumentError, match="parse error"):
        async with services.events.stream("topic==/tasks/exit") as events:
            await anext(events)


async def test_records_and_snapshots_are_told_of(services: Services, daemon: PrivateDaemon) -> None:
    info = ContainerInfo("web", Runtime("io.containerd.runc.v2"), AnyValue(SPEC, b"{}"), image="i")
    snapshotter = services.snapshotter(daemon.snapshotter)
    with anyio.fail_after(60):
        async with services.events.subscribe("topic~=|^/containers/|", "topic~=|^/snapshot/|") as events:
            await services.containers.create(info)
            await services.containers.update(replace(info, labels={"a": "b"}), "labels")
            await services.containers.delete("web")
            async with services.leases.hold():
                await snapshotter.prepare("key")
                await snapshotter.commit("name", "key")
                await snapshotter.remove("name")
            payloads = [event.payload for event in await some(events, 6)]
    named = daemon_names_snapshotters(payloads)
    assert payloads == [
        ContainerCreate("web", "i", Runtime("io.containerd.runc.v2")),
        ContainerUpdate("web", "i", {"a": "b"}),
        ContainerDelete("web"),
        SnapshotPrepare("key", "", named),
        SnapshotCommit("key", "name", named),
        SnapshotRemove("name", named),
    ]
    assert named in ("", daemon.snapshotter)


def daemon_names_snapshotters(payloads: list[Payload]) -> str:
    """The snapshotter that the events name: none before containerd 1.7."""
    [prepare] = [payload for payload in payloads if isinstance(payload, SnapshotPrepare)]
    return prepare.snapshotter


async def test_namespaces_are_told_of_in_themselves(services: Services) -> None:
    name = services.caller.namespace + "-new"
    with anyio.fail_after(60):
        async with services.events.subscribe(where(namespace=name)) as events:
            await services.namespaces.create(name, {"a": "b"})
            await services.namespaces.update(name, {"a": "c"})
            await services.namespaces.delete(name)
            assert [event.payload for event in await some(events, 3)] == [
                NamespaceCreate(name, {"a": "b"}),
                NamespaceUpdate(name, {"a": "c"}),
                NamespaceDelete(name),
            ]


async def test_images_are_told_of(services: Services) -> None:
    digest = await services.content.write_blob("image", b"{}")
    target = Descriptor("application/vnd.oci.image.manifest.v1+json", digest, 2)
    with anyio.fail_after(60):
        async with services.events.subscribe('topic=="/images/create"') as events:
            await services.images.create(ImageInfo("example/web:1", target, {"a": "b"}))
            assert (await anext(events)).payload == ImageCreate("example/web:1", {"a": "b"})
    await services.images.delete("example/web:1", sync=True)


async def test_a_lagging_reader_is_told_and_others_are_not_bothered(services: Services) -> None:
    with anyio.fail_after(60):
        async with (
            services.events.subscribe(max_lag=10) as slow,
            services.events.subscribe() as quick,
        ):
            for number in range(1, 31):
                await services.events.publish("/example", TaskStart("web", number))
                assert (await anext(quick)).payload == TaskStart("web", number)
            assert [event.payload for event in await some(slow, 10)] == [
                TaskStart("web", number) for number in range(1, 11)
            ]
            with pytest.raises(EventsLostError):
                await anext(slow)


@pytest.fixture
async def others(daemon_of_its_own: PrivateDaemon) -> AsyncIterator[Services]:
    """Services of a daemon that the test may kill."""
    connection = Connection(Address.parse(daemon_of_its_own.address))
    yield Services.of(connection.caller(daemon_of_its_own.namespace))
    await connection.aclose()


async def test_a_killed_daemon_is_a_gap_that_is_told(
    daemon_of_its_own: PrivateDaemon, others: Services
) -> None:
    with anyio.fail_after(60):
        async with others.events.subscribe() as events:
            await others.events.publish("/example", TaskOOM("before"))
            assert (await anext(events)).payload == TaskOOM("before")
            await crash(daemon_of_its_own)
            with pytest.raises(ConnectionLostError):
                await anext(events)
        with pytest.raises(ConnectionLostError, match=r"there is no socket|nothing listens"):
            await others.events.subscribe().__aenter__()
        await daemon_of_its_own.start()
        async with others.events.subscribe() as events:
            await others.events.publish("/example", TaskOOM("after"))
            assert (await anext(events)).payload == TaskOOM("after")


async def test_publishing_needs_a_namespace(connection: Connection) -> None:
    with pytest.raises(FailedPreconditionError, match="namespace is required"):
        await Services.of(connection.caller("")).events.publish("/example", TaskOOM("web"))
