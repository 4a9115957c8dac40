"""Messages and words: nothing is lost, and the absent is told from the empty."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._api.containerd import types as api
from containerd_aio._api.containerd.services.containers.v1 import Container
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Timestamp
from containerd_aio._transport.codec import decode, encode
from containerd_aio._transport.convert import (
    any_from,
    descriptor_from,
    mount_from,
    platform_from,
    timestamp_ns,
    to_any,
    to_descriptor,
    to_mount,
    to_timestamp,
)
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, Descriptor, Mount, Platform

SECOND = 1_000_000_000
YEAR_1 = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
LAST_SECOND = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())

texts = st.text(max_size=5)


@given(st.integers((YEAR_1 + 1) * SECOND, LAST_SECOND * SECOND + SECOND - 1))
def test_a_time_goes_in_and_comes_out_to_the_nanosecond(ns: int) -> None:
    message = to_timestamp(ns)
    assert 0 <= message.nanos < SECOND
    assert timestamp_ns(decode(Timestamp, encode(message))) == ns


def test_the_beginning_of_1970_is_a_time_and_an_absent_one_is_none() -> None:
    sent = decode(
        Container, encode(Container(id="x", created_at=to_timestamp(0), updated_at=to_timestamp(None)))
    )
    assert timestamp_ns(sent.created_at) == 0
    assert timestamp_ns(sent.updated_at) is None
    assert not sent.is_set("updated_at")


@pytest.mark.parametrize("nanos", [0, 999_999_999])
def test_the_year_1_is_none(nanos: int) -> None:
    """Go's zero time: containerd says "no time" by it."""
    assert timestamp_ns(Timestamp(seconds=YEAR_1, nanos=nanos)) is None


@pytest.mark.parametrize("seconds", [YEAR_1 - 1, LAST_SECOND + 1, 2**63 - 1, -(2**63)])
def test_a_time_out_of_range_is_none(seconds: int) -> None:
    assert timestamp_ns(Timestamp(seconds=seconds)) is None


@pytest.mark.parametrize("ns", [(YEAR_1 * SECOND) - 1, (LAST_SECOND + 1) * SECOND])
def test_a_time_out_of_range_is_not_sent(ns: int) -> None:
    with pytest.raises(InvalidArgumentError, match="years 1 to 9999"):
        to_timestamp(ns)


@given(
    st.builds(
        Descriptor,
        media_type=texts,
        digest=texts,
        size=st.integers(0, 2**63 - 1),
        annotations=st.dictionaries(texts, texts, max_size=3),
    )
)
def test_a_descriptor_goes_in_and_comes_out(descriptor: Descriptor) -> None:
    assert descriptor_from(decode(api.Descriptor, encode(to_descriptor(descriptor)))) == descriptor


def test_a_descriptor_loses_its_platform() -> None:
    """containerd's message has no room for it."""
    descriptor = Descriptor("m", "d", 1, platform=Platform("linux", "amd64"))
    assert descriptor_from(to_descriptor(descriptor)) == Descriptor("m", "d", 1)


@given(st.builds(Mount, texts, texts, texts, st.lists(texts, max_size=3).map(tuple)))
def test_a_mount_goes_in_and_comes_out(mount: Mount) -> None:
    assert mount_from(decode(api.Mount, encode(to_mount(mount)))) == mount


@given(st.builds(Platform, texts, texts, texts, texts, st.lists(texts, max_size=3).map(tuple)))
def test_a_platform_comes_out(platform: Platform) -> None:
    message = api.Platform(
        os=platform.os,
        architecture=platform.architecture,
        variant=platform.variant,
        os_version=platform.os_version,
        os_features=list(platform.os_features),
    )
    assert platform_from(decode(api.Platform, encode(message))) == platform


@given(st.builds(AnyValue, st.text(min_size=1, max_size=5), st.binary(max_size=5)))
def test_a_value_goes_in_and_comes_out(value: AnyValue) -> None:
    message = decode(Container, encode(Container(spec=to_any(value))))
    assert any_from(message.spec) == value


def test_no_value_is_not_sent() -> None:
    message = Container(id="x", spec=to_any(None))
    assert encode(message) == encode(Container(id="x"))
    assert any_from(decode(Container, encode(message)).spec) is None


def test_an_empty_value_that_came_is_none() -> None:
    assert any_from(ProtoAny()) is None


def test_a_value_without_a_type_is_not_sent() -> None:
    with pytest.raises(InvalidArgumentError, match="name of its type"):
        to_any(AnyValue("", b"x"))
