"""The payloads, held against the schema."""

from __future__ import annotations

import dataclasses

import pytest

from containerd_aio._api._message import Message
from containerd_aio._api.containerd import events as api
from containerd_aio._api.containerd.services.images.v1 import ImageCreate, ImageDelete, ImageUpdate
from containerd_aio.events import PAYLOADS, TYPE_URLS

_NESTED = {"containerd.events.TaskIO", "containerd.events.ContainerCreate.Runtime"}
MESSAGES: dict[str, type[Message]] = {
    message.__proto_name__: message
    for message in [*vars(api).values(), ImageCreate, ImageDelete, ImageUpdate]
    if isinstance(message, type) and issubclass(message, Message) and message is not Message
    if message.__proto_name__ not in _NESTED
}


def test_every_event_of_the_schema_has_a_payload() -> None:
    assert set(PAYLOADS) == set(MESSAGES)


def test_types_and_names_are_inverse() -> None:
    assert {cls: url for url, cls in PAYLOADS.items()} == TYPE_URLS


@pytest.mark.parametrize("type_url", MESSAGES)
def test_a_payload_has_the_fields_of_its_message_in_their_order(type_url: str) -> None:
    of_payload = [field.name.removesuffix("_ns") for field in dataclasses.fields(PAYLOADS[type_url])]
    assert of_payload == [field.name for field in dataclasses.fields(MESSAGES[type_url])]
