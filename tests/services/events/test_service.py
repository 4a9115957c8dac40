"""Publish, Forward, and the filters of a subscription."""

from __future__ import annotations

import anyio
import pytest

from containerd_aio._api.containerd.services.events import v1 as api
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.google.protobuf import Any, Timestamp
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.events import Event, TaskOOM, UnknownEvent
from containerd_aio.filters import where
from containerd_aio.services.events import Events
from containerd_aio.types import AnyValue
from tests.services.events.exchange import Exchange, exchanging
from tests.services.serving import serving

OOM = Any(type_url="containerd.events.TaskOOM", value=b"\n\x03web")


async def test_publish_sends_the_payload_with_its_type(events: Events, exchange: Exchange) -> None:
    await events.publish("/tasks/oom", TaskOOM("web"))
    assert exchange.published == [api.PublishRequest(topic="/tasks/oom", event=OOM)]


async def test_publish_any_sends_bytes_as_they_are(events: Events, exchange: Exchange) -> None:
    await events.publish_any("/example", AnyValue("example.Thing", b"\xff"))
    assert exchange.published == [
        api.PublishRequest(topic="/example", event=Any(type_url="example.Thing", value=b"\xff"))
    ]


async def test_publish_has_a_deadline(exchange: Exchange) -> None:
    async with serving(exchange, rpc_timeout=60) as served:
        await Events(served.caller).publish("/tasks/oom", TaskOOM("web"))
        assert served.deadlines("Events/Publish") == [True]


@pytest.mark.parametrize(
    "topic", ["", "/", "tasks/oom", "//", "/tasks/", "/tasks//oom", "/ta sks", "/tasks/?", "/" + 77 * "a"]
)
async def test_what_is_no_topic_is_refused_before_any_call(
    events: Events, exchange: Exchange, topic: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="topic"):
        await events.publish(topic, TaskOOM("web"))
    with pytest.raises(InvalidArgumentError, match="topic"):
        await events.forward(Event(1, "x", topic, TaskOOM("web")))
    assert exchange.published == exchange.forwarded == []


async def test_an_event_without_a_type_is_never_published(events: Events, exchange: Exchange) -> None:
    """It would make containerd 1.6 crash."""
    with pytest.raises(InvalidArgumentError, match="type"):
        await events.publish("/tasks/oom", UnknownEvent("", b""))
    with pytest.raises(InvalidArgumentError, match="type"):
        await events.publish_any("/tasks/oom", AnyValue("", b""))
    with pytest.raises(InvalidArgumentError, match="type"):
        await events.forward(Event(1, "x", "/tasks/oom", UnknownEvent("", b"")))
    assert exchange.published == exchange.forwarded == []


async def test_forward_keeps_time_and_namespace(events: Events, exchange: Exchange) -> None:
    await events.forward(Event(1_000_000_002, "elsewhere", "/tasks/oom", TaskOOM("web")))
    assert exchange.forwarded == [
        Envelope(
            timestamp=Timestamp(seconds=1, nanos=2), namespace="elsewhere", topic="/tasks/oom", event=OOM
        )
    ]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Event(1, "", "/tasks/oom", TaskOOM("web")), id="no namespace"),
        pytest.param(Event(1, "a/b", "/tasks/oom", TaskOOM("web")), id="illegal namespace"),
        pytest.param(Event(0, "x", "/tasks/oom", TaskOOM("web")), id="no time"),
    ],
)
async def test_what_cannot_be_forwarded_is_refused_before_any_call(
    events: Events, exchange: Exchange, event: Event
) -> None:
    with pytest.raises(InvalidArgumentError):
        await events.forward(event)
    assert exchange.forwarded == []


@pytest.mark.parametrize(
    ("filters", "all_namespaces", "sent"),
    [
        pytest.param((), False, ['namespace=="example"'], id="no filter"),
        pytest.param(("",), False, ['namespace=="example"'], id="empty filter"),
        pytest.param(
            ('topic=="/a"', "topic~=b"),
            False,
            ['topic=="/a",namespace=="example"', 'topic~=b,namespace=="example"'],
            id="two filters",
        ),
        pytest.param(
            ("namespace==x", "namespace"), False, ["namespace==x", "namespace"], id="namespace named"
        ),
        pytest.param((), True, [""], id="everything"),
        pytest.param(('topic=="/a"',), True, ['topic=="/a"'], id="all namespaces"),
    ],
)
async def test_the_namespace_goes_only_into_filters_that_name_none(
    events: Events, exchange: Exchange, filters: tuple[str, ...], all_namespaces: bool, sent: list[str]
) -> None:
    with anyio.fail_after(60):
        async with events.subscribe(*filters, all_namespaces=all_namespaces):
            [[*others, knock]] = exchange.subscribed
    assert others == sent
    assert knock == where(topic=exchange.published[0].topic)


async def test_a_client_without_a_namespace_sees_all(exchange: Exchange) -> None:
    async with exchanging(exchange, namespace="") as events:
        with anyio.fail_after(60):
            async with events.subscribe("topic"):
                assert exchange.subscribed[0][0] == "topic"


async def test_a_bad_filter_is_refused_before_any_call(events: Events, exchange: Exchange) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\^$"):
        events.subscribe("topic==/tasks/exit")
    assert exchange.subscribed == []


async def test_a_reader_that_may_not_lag_at_all_is_refused(events: Events) -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        events.subscribe(max_lag=0)
