"""Payloads of events as plain fields; what they become above is tested with the events."""

from __future__ import annotations

import pytest

from containerd_aio._api.containerd import events as api
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio._transport.codec import encode
from containerd_aio._transport.eventcodec import fields_of, to_any
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue


def test_fields_have_the_schema_s_names_and_times_say_their_unit() -> None:
    message = api.SandboxExit(sandbox_id="pod", exit_status=3, exited_at=Timestamp(seconds=1, nanos=2))
    value = AnyValue("containerd.events.SandboxExit", encode(message))
    fields = {"sandbox_id": "pod", "exit_status": 3, "exited_at_ns": 1_000_000_002}
    assert fields_of(value) == fields
    assert to_any("containerd.events.SandboxExit", fields) == value


def test_an_absent_sub_message_is_told_from_an_empty_one() -> None:
    absent = AnyValue("containerd.events.TaskCreate", b"")
    empty = AnyValue("containerd.events.TaskCreate", encode(api.TaskCreate(io=api.TaskIo())))
    for value in (absent, empty):
        fields = fields_of(value)
        assert fields is not None
        assert to_any("containerd.events.TaskCreate", fields) == value


@pytest.mark.parametrize("type_url", ["", "example.Thing", "containerd.events.TaskIO"])
def test_other_types_are_not_known(type_url: str) -> None:
    assert fields_of(AnyValue(type_url, b"")) is None


def test_a_field_that_the_wire_cannot_carry_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"this is no containerd\.events\.ContentDelete"):
        to_any("containerd.events.ContentDelete", {"digest": 7})
