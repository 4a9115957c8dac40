"""Bytes that are no message and values that do not fit: one clear error for each way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.services.containers.v1 import Container
from containerd_aio._api.containerd.services.tasks.v1 import CreateTaskRequest, KillRequest
from containerd_aio._api.containerd.types import Envelope, Mount
from containerd_aio._api.containerd.v1.types import Process
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import FieldMask, Timestamp
from containerd_aio._api.io.containerd.cgroups.v1 import CpuUsage
from containerd_aio._api.io.containerd.cgroups.v2 import PsiData
from containerd_aio._transport.codec import DecodeError, EncodeError, decode, encode
from tests.proto.everything import Colour, Everything
from tests.proto.reference import Value, ours
from tests.transport.agreement import (
    accepts,
    any_class,
    check_agreement,
    everything,
    unhurried,
    varint,
)

# Bytes that nobody wrote


@unhurried
@given(any_class, st.binary(max_size=64))
@example(Everything, b"\x09\0\0\0\0\0\0\xf8\x7f")  # NaN
def test_arbitrary_bytes_are_refused_or_mean_the_same(cls: type[Message], data: bytes) -> None:
    check_agreement(cls, data)


@st.composite
def field_like(draw: st.DrawFn) -> bytes:
    """A tag and a value of the kind that the tag says; both may be of no class."""
    number = draw(st.integers(1, 33) | st.integers(0, 2**29 - 1))
    wire = draw(st.sampled_from([0, 0, 1, 2, 2, 2, 5, 5, 3, 4, 6, 7]))
    if wire in (1, 5):
        return varint(number << 3 | wire) + draw(st.binary(min_size=8 if wire == 1 else 4, max_size=8))
    if wire != 2:
        return varint(number << 3 | wire) + varint(draw(st.integers(0, 2**64 - 1) | st.integers(0, 300)))
    content = draw(st.binary(max_size=8) | st.lists(field_like(), max_size=3).map(b"".join))
    return varint(number << 3 | wire) + varint(len(content)) + content


@unhurried
@given(any_class, st.lists(field_like(), max_size=6).map(b"".join))
def test_bytes_that_look_like_fields_are_refused_or_mean_the_same(cls: type[Message], data: bytes) -> None:
    check_agreement(cls, data)


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 13, 17, 29])
@unhurried
@given(st.integers(0, 2**64 - 1))
def test_a_number_of_64_bits_means_the_same_in_fields_of_fewer(number: int, value: int) -> None:
    assert check_agreement(Everything, varint(number << 3) + varint(value))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 129, 16383, 16384, 2**31 - 1, 2**31, 2**32 - 1])
def test_numbers_of_every_size_come_back(value: int) -> None:
    assert decode(KillRequest, encode(KillRequest(signal=value))).signal == value
    assert check_agreement(Everything, encode(Everything(sints=[value, -value], a_uint64=value << 32)))


@unhurried
@given(everything, st.data())
def test_a_damaged_message_is_refused_or_means_the_same(value: Value, data: st.DataObject) -> None:
    damaged = bytearray(encode(ours(Everything, value)))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(start + 3, len(damaged))))
        damaged[start:end] = data.draw(st.binary(max_size=3))
    check_agreement(Everything, bytes(damaged))


@pytest.mark.parametrize(
    ("cls", "data", "complaint"),
    [
        pytest.param(
            Container, b"\x0a\x05ab", "Container.id: the bytes end in the middle of it", id="cut text"
        ),
        pytest.param(Container, b"\x0a", "Container.id: the bytes end", id="cut size"),
        pytest.param(KillRequest, b"\x18", "KillRequest.signal: the bytes end", id="cut number"),
        pytest.param(KillRequest, b"\x18\x80", "KillRequest.signal: the bytes end", id="cut varint"),
        pytest.param(PsiData, b"\x09\0\0\0", "PSIData.avg10: the bytes end", id="cut double"),
        pytest.param(Container, b"\x0a\x01\xff", "Container.id: not UTF-8", id="not UTF-8"),
        pytest.param(Container, b"\x0a\x03\xed\xa0\x80", "Container.id: not UTF-8", id="surrogate"),
        pytest.param(Container, b"\x12\x03\x0a\x01\xff", "Container.labels: not UTF-8", id="label not UTF-8"),
        pytest.param(KillRequest, b"\x18" + b"\x80" * 10 + b"\0", "more than 10 bytes", id="overlong"),
        pytest.param(KillRequest, b"\x18" + b"\xff" * 9 + b"\x02", "more than 64 bits", id="overflow"),
        pytest.param(KillRequest, b"\x00\x00", "KillRequest: field number 0", id="field number 0"),
        pytest.param(KillRequest, b"\x80\x00", "padded with zeros", id="padded tag"),
        pytest.param(KillRequest, b"\xff\xff\xff\xff\x1f\0", "more than 29 bits", id="far tag"),
        pytest.param(
            KillRequest, b"\x0d\0\0\0\0", "KillRequest.container_id: it has wire type 5", id="wire type"
        ),
        pytest.param(KillRequest, b"\x1a\x01\x01", "KillRequest.signal: it has wire type 2", id="no list"),
        pytest.param(Container, b"\x12\x02\x08\x01", "Container.labels: an entry has more", id="entry"),
        pytest.param(Container, b"\x12\x02\x18\x01", "Container.labels: an entry has more", id="third field"),
        pytest.param(KillRequest, b"\x2b\x2c", "field 5>: wire type 3 (groups", id="group"),
        pytest.param(KillRequest, b"\x2f", "field 5>: wire type 7", id="no wire type"),
        pytest.param(KillRequest, b"\x0a\xff\xff\xff\xff\x0f", "more than 2 GiB", id="size"),
        pytest.param(KillRequest, b"\x0a\x81\x80\x80\x80\x80\x00a", "more than 2 GiB", id="padded size"),
        pytest.param(KillRequest, b"\x32\x02a", "field 6>: the bytes end", id="cut unknown"),
        pytest.param(KillRequest, b"\x35\0\0\0", "field 6>: the bytes end", id="cut unknown number"),
        pytest.param(Everything, b"\xca\x01\x02\x08\x80\x01", "names: the bytes end", id="cut entry"),
        pytest.param(CpuUsage, b"\x22\x02\x01\x80", "CPUUsage.per_cpu: the bytes end", id="cut packed"),
        pytest.param(Envelope, b"\x0a\x02\x08\x80\x18", "Timestamp.seconds: the bytes end", id="inner"),
        pytest.param(
            Everything, b"\xfa\xff\xff\xff\x0f\0", "Everything.far: it has wire type 2", id="last number"
        ),
    ],
)
def test_what_is_no_message_is_refused_by_name(cls: type[Message], data: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(cls, data)
    assert complaint in str(caught.value)


def test_an_inner_number_may_not_run_into_the_bytes_after_it() -> None:
    """``0a 01 08`` is a Timestamp of one byte, whose number would be the next field's tag."""
    data = b"\x0a\x01\x08" + b"\x12\x01n"
    assert not accepts(Envelope, data)
    with pytest.raises(DecodeError):
        decode(Envelope, data)


def nested(levels: int) -> bytes:
    """So many messages, each but the first in the one before."""
    data = b""
    for _ in range(levels - 1):
        data = b"\x92\x01" + varint(len(data)) + data
    return data


def test_messages_are_decoded_a_hundred_deep_and_no_deeper() -> None:
    assert accepts(Everything, nested(100))
    assert encode(decode(Everything, nested(100))) == nested(100)
    with pytest.raises(DecodeError, match="nested too deep"):
        decode(Everything, nested(101))
    with pytest.raises(DecodeError, match="nested too deep"):
        decode(Everything, nested(20_000))


def test_an_inner_value_may_not_run_into_the_bytes_after_it() -> None:
    for data in (b"\x12\x03\x0a\x03k\x12\x01v", b"\x22\x02\x0a\x05runcx", b"\x12\x05\x0a\x01k\x12\x03vvv"):
        assert not accepts(Container, data)
        with pytest.raises(DecodeError):
            decode(Container, data)


def test_maps_count_as_a_level_of_their_own() -> None:
    data = b""
    for _ in range(49):
        data = b"\x12" + varint(len(data)) + data
        data = b"\xe2\x01" + varint(len(data)) + data
    assert check_agreement(Everything, data)
    assert encode(decode(Everything, data)).startswith(b"\xe2\x01")
    outer = b"\x12" + varint(len(data)) + data
    assert not check_agreement(Everything, b"\xe2\x01" + varint(len(outer)) + outer)
    with pytest.raises(EncodeError, match="nested too deep"):
        encode(Everything(family={0: decode(Everything, data)}))


def test_many_unknown_fields_take_linear_time() -> None:
    data = b"\x98\x06\x01" * 300_000
    assert encode(decode(KillRequest, data)) == data
    child = b"\x92\x01\x03\xf8\x3e\x01"  # of which all others are merged into the first
    assert encode(decode(Everything, child * 300_000)) == b"\x92\x01" + varint(900_000) + child[3:] * 300_000


# Values that do not fit

WRONG: list[tuple[Message, str]] = [
    (Container(id=1), "containerd.services.containers.v1.Container.id (string)"),  # type: ignore[arg-type]
    (Container(id=b"web"), "Container.id (string)"),  # type: ignore[arg-type]
    (Container(id=None), "Container.id (string)"),  # type: ignore[arg-type]
    (Container(id="\ud800"), "Container.id (string)"),
    (Container(labels={"a": 1}), "Container.labels (map<string, string>)"),  # type: ignore[dict-item]
    (Container(labels={None: "a"}), "Container.labels"),  # type: ignore[dict-item]
    (Container(labels=[("a", "b")]), "got list"),  # type: ignore[arg-type]
    (Container(labels=None), "got NoneType"),  # type: ignore[arg-type]
    (Container(runtime="runc"), "Container.runtime (ContainerRuntime): got str"),  # type: ignore[arg-type]
    (Container(runtime=None), "got NoneType"),  # type: ignore[arg-type]
    (Container(runtime=ProtoAny()), "got Any"),  # type: ignore[arg-type]
    (Container(extensions={"a": "b"}), "map<string, Any>): got str"),  # type: ignore[dict-item]
    (Container(spec=ProtoAny(value="text")), "Any.value (bytes): got str"),  # type: ignore[arg-type]
    (FieldMask(paths="labels"), "FieldMask.paths (repeated string): got str"),  # type: ignore[arg-type]
    (FieldMask(paths=[1]), "FieldMask.paths"),  # type: ignore[list-item]
    (CreateTaskRequest(rootfs=[Mount(), None]), "CreateTaskRequest.rootfs"),  # type: ignore[list-item]
    (KillRequest(signal=-1), "KillRequest.signal (uint32): -1 does not fit"),
    (KillRequest(signal=2**32), "does not fit"),
    (KillRequest(signal="TERM"), "KillRequest.signal (uint32)"),  # type: ignore[arg-type]
    (KillRequest(signal=9.0), "KillRequest.signal (uint32)"),  # type: ignore[arg-type]
    (KillRequest(all=1), "KillRequest.all (bool): got int"),  # type: ignore[arg-type]
    (CpuUsage(per_cpu=[2**64]), "does not fit"),
    (Timestamp(seconds=2**63), "Timestamp.seconds (int64)"),
    (Timestamp(nanos=2**31), "Timestamp.nanos (int32)"),
    (Timestamp(nanos=-(2**31) - 1), "does not fit"),
    (Process(status=2**31), "Process.status (Status)"),  # type: ignore[arg-type]
    (Process(status="RUNNING"), "Process.status (Status)"),  # type: ignore[arg-type]
    (Envelope(timestamp=Timestamp(seconds=2**63)), "Timestamp.seconds"),
    (PsiData(avg10="1"), "PSIData.avg10 (double)"),  # type: ignore[arg-type]
    (Everything(a_float=1e300), "Everything.a_float (float)"),
    (Everything(a_sint32=2**31), "does not fit"),
    (Everything(a_sint64=-(2**63) - 1), "does not fit"),
    (Everything(a_fixed32=-1), "Everything.a_fixed32 (fixed32)"),
    (Everything(a_sfixed64=2**63), "Everything.a_sfixed64 (sfixed64)"),
    (Everything(fixeds=[1, "2"]), "Everything.fixeds (repeated fixed32)"),  # type: ignore[list-item]
    (Everything(bools=[True, None]), "Everything.bools (repeated bool): got NoneType"),  # type: ignore[list-item]
    (Everything(maybe_int="1"), "Everything.maybe_int (int32)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("message", "complaint"), WRONG)
def test_what_does_not_fit_is_refused_by_name(message: Message, complaint: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode(message)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("data", [bytearray(b"ab"), memoryview(b"xabx")[1:3], memoryview(b"axxb")[::3]])
def test_bytes_may_be_any_buffer(data: Any) -> None:
    assert encode(ProtoAny(value=data)) == b"\x12\x02ab"
    assert decode(ProtoAny, bytearray(b"\x12\x02ab")).value == b"ab"
    assert decode(ProtoAny, memoryview(b"\x12\x02ab")).value == b"ab"


def test_a_message_in_itself_is_refused() -> None:
    snake = Everything()
    snake.child = snake
    with pytest.raises(EncodeError, match="nested too deep"):
        encode(snake)


def test_what_can_be_encoded_is_not_deeper_than_what_can_be_decoded() -> None:
    message = Everything()
    for _ in range(99):
        message = Everything(child=message)
    assert decode(Everything, encode(message)) == message
    with pytest.raises(EncodeError, match="nested too deep"):
        encode(Everything(child=message))


@pytest.mark.parametrize("value", ["text", None, Colour.RED])
def test_only_messages_are_encoded_and_decoded(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)
    with pytest.raises(TypeError):
        decode(type(value), b"")
