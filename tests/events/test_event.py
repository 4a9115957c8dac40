"""Payloads from and to bytes and JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containerd_aio import events
from containerd_aio._api.containerd import events as api
from containerd_aio._api.containerd.types import Mount as MountMessage
from containerd_aio._api.google.protobuf import Any, Timestamp
from containerd_aio.errors import ConnectionLostError, InvalidArgumentError
from containerd_aio.events import (
    ContainerCreate,
    Event,
    Gap,
    ImageUpdate,
    Payload,
    SnapshotCommit,
    TaskCreate,
    TaskDelete,
    TaskExit,
    TaskIO,
    TaskOOM,
    TaskStart,
    UnknownEvent,
    decode,
    encode,
    rfc3339,
    to_json,
)
from containerd_aio.types import AnyValue, Mount, Runtime
from tests.events.payloads import CLASSES, payloads, payloads_of


@pytest.mark.parametrize("cls", CLASSES)
@settings(max_examples=30)
@given(st.data())
def test_a_payload_survives_its_bytes(cls: type[Payload], data: st.DataObject) -> None:
    payload = data.draw(payloads_of(cls))
    assert decode(encode(payload)) == payload


@given(payloads)
def test_any_payload_can_be_written_as_json(payload: Payload) -> None:
    assert json.loads(json.dumps(to_json(payload))) == to_json(payload)


def test_an_exit_is_read_from_what_containerd_sends() -> None:
    message = api.TaskExit(
        container_id="web",
        id="ps-1",
        pid=25889,
        exit_status=137,
        exited_at=Timestamp(seconds=1_700_000_000, nanos=1),
    )
    assert decode(AnyValue("containerd.events.TaskExit", bytes(message))) == TaskExit(
        "web", "ps-1", 25889, 137, 1_700_000_000_000_000_001
    )


def test_go_s_zero_time_is_no_time() -> None:
    message = api.TaskDelete(container_id="web", exited_at=Timestamp(seconds=-62_135_596_800))
    assert decode(AnyValue("containerd.events.TaskDelete", bytes(message))) == TaskDelete(
        "web", exited_at_ns=None
    )


def test_nested_messages_become_words() -> None:
    message = api.TaskCreate(
        container_id="web",
        bundle="/run/b",
        rootfs=[MountMessage(type="bind", source="/a", target="/", options=["ro"])],
        io=api.TaskIo(stdout="/fifo/out", terminal=True),
        pid=7,
    )
    assert decode(AnyValue("containerd.events.TaskCreate", bytes(message))) == TaskCreate(
        "web",
        "/run/b",
        (Mount("bind", "/a", "/", ("ro",)),),
        TaskIO(stdout="/fifo/out", terminal=True),
        "",
        7,
    )


def test_options_of_a_runtime_keep_their_bytes() -> None:
    options = Any(type_url="containerd.runc.v1.Options", value=b"\x08\x01")
    runtime = api.ContainerCreateRuntime(name="io.containerd.runc.v2", options=options)
    assert decode(
        AnyValue("containerd.events.ContainerCreate", bytes(api.ContainerCreate(id="web", runtime=runtime)))
    ) == ContainerCreate(
        "web", runtime=Runtime("io.containerd.runc.v2", AnyValue("containerd.runc.v1.Options", b"\x08\x01"))
    )


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        pytest.param(TaskOOM("web"), api.TaskOom(container_id="web"), id="TaskOOM"),
        pytest.param(
            SnapshotCommit("k", "n", "overlayfs"),
            api.SnapshotCommit(key="k", name="n", snapshotter="overlayfs"),
            id="SnapshotCommit",
        ),
        pytest.param(TaskExit("web"), api.TaskExit(container_id="web"), id="an absent time is not sent"),
    ],
)
def test_a_payload_is_written_as_the_schema_has_it(payload: Payload, message: api.TaskOom) -> None:
    assert encode(payload) == AnyValue(message.__proto_name__, bytes(message))


def test_image_events_have_the_package_of_the_images_service() -> None:
    assert encode(ImageUpdate("busybox", {"a": "b"})).type_url == "containerd.services.images.v1.ImageUpdate"


def test_a_prefix_before_the_type_is_passed_over() -> None:
    value = encode(TaskStart("web", 7))
    assert decode(AnyValue("type.googleapis.com/" + value.type_url, value.value)) == TaskStart("web", 7)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(AnyValue("example.Thing", b"\x08\x01"), id="unknown type"),
        pytest.param(AnyValue("containerd.events.TaskExit", b"\xff"), id="broken bytes"),
        pytest.param(AnyValue("containerd.events.TaskExit", b"\x0a\x01\xff"), id="a text that is none"),
        pytest.param(AnyValue("", b""), id="no type"),
    ],
)
def test_what_cannot_be_read_keeps_its_bytes(value: AnyValue) -> None:
    assert decode(value) == UnknownEvent(value.type_url, value.value)


@given(st.sampled_from([*events.TYPE_URLS.values()]), st.binary(max_size=30))
def test_no_bytes_break_the_reader(type_url: str, value: bytes) -> None:
    assert decode(AnyValue(type_url, value)) is not None


def test_an_event_without_payload_is_unknown() -> None:
    assert decode(None) == UnknownEvent("", b"")


@pytest.mark.parametrize("payload", [TaskStart("web", -1), TaskStart("web", 2**32), TaskStart("a\ud800", 1)])
def test_what_the_wire_cannot_carry_is_refused(payload: Payload) -> None:
    with pytest.raises(InvalidArgumentError, match=r"this is no containerd\.events\.TaskStart"):
        encode(payload)


@pytest.mark.parametrize("payload", [None, {}, AnyValue("a", b"")])
def test_what_is_no_payload_is_refused(payload: object) -> None:
    with pytest.raises(TypeError, match="is no payload of an event"):
        encode(cast("Payload", payload))


def test_json_is_written_as_in_2017() -> None:
    assert (
        json.dumps(to_json(TaskStart("bb", 25889)), separators=(",", ":"))
        == '{"container_id":"bb","pid":25889}'
    )


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        pytest.param(
            TaskExit("bb", "bb", 7, 137, 1_498_260_090_271_802_153),
            {
                "container_id": "bb",
                "id": "bb",
                "pid": 7,
                "exit_status": 137,
                "exited_at": "2017-06-23T23:21:30.271802153Z",
            },
            id="time",
        ),
        pytest.param(
            TaskCreate("bb", "/b", (Mount("bind", "/a", options=("ro",)),), TaskIO("", "/o", terminal=True)),
            {
                "container_id": "bb",
                "bundle": "/b",
                "rootfs": [{"type": "bind", "source": "/a", "options": ["ro"]}],
                "io": {"stdout": "/o", "terminal": True},
            },
            id="nested",
        ),
        pytest.param(ImageUpdate("x", {"k": "v"}), {"name": "x", "labels": {"k": "v"}}, id="labels"),
        pytest.param(
            ContainerCreate("a", runtime=Runtime("r", AnyValue("t", b"\0"))),
            {"id": "a", "runtime": {"name": "r", "options": {"type_url": "t", "value": "AA=="}}},
            id="runtime options",
        ),
        pytest.param(UnknownEvent("t", b"\xff"), {"type_url": "t", "value": "/w=="}, id="unknown"),
        pytest.param(
            UnknownEvent("google.protobuf.Empty", b""), {"type_url": "google.protobuf.Empty"}, id="empty"
        ),
    ],
)
def test_json_leaves_out_what_is_absent(payload: Payload, plain: dict[str, object]) -> None:
    assert to_json(payload) == plain


def test_an_event_as_json_has_its_time_its_place_and_its_type() -> None:
    assert to_json(Event(1_498_260_090_271_802_153, "bb", "/tasks/oom", TaskOOM("web"))) == {
        "timestamp": "2017-06-23T23:21:30.271802153Z",
        "namespace": "bb",
        "topic": "/tasks/oom",
        "type": "containerd.events.TaskOOM",
        "event": {"container_id": "web"},
    }
    unknown = to_json(Event(1, "bb", "/x", UnknownEvent("example.Thing", b"\xff")))
    assert unknown["type"] == "example.Thing"
    assert unknown["event"] == {"type_url": "example.Thing", "value": "/w=="}


def test_a_gap_as_json_says_what_is_missing_and_why() -> None:
    assert to_json(Gap(0, 1, ConnectionLostError("containerd went away"))) == {
        "gap": {
            "since": "1970-01-01T00:00:00.000000000Z",
            "until": "1970-01-01T00:00:00.000000001Z",
            "error": "containerd went away",
        }
    }


def test_the_timestamp_is_aware_and_in_utc() -> None:
    event = Event(1_498_260_090_271_802_153, "x", "/tasks/oom", TaskOOM("bb"))
    assert event.timestamp == datetime(2017, 6, 23, 23, 21, 30, 271802, UTC)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_799 * 10**9, "0001-01-01T00:00:01.000000000Z"),
    ],
)
def test_times_are_written_with_nine_digits(ns: int, text: str) -> None:
    assert rfc3339(ns) == text
