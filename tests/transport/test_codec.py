"""The codec against Google's protobuf: both ways, and what is kept and present."""

from __future__ import annotations

import inspect
import struct

import betterproto
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.events import TaskExit
from containerd_aio._api.containerd.services.containers.v1 import Container, ContainerRuntime
from containerd_aio._api.containerd.services.images.v1 import DeleteImageRequest
from containerd_aio._api.containerd.types import Descriptor, Mount
from containerd_aio._api.containerd.v1.types import Process, Status
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Empty, Timestamp
from containerd_aio._api.io.containerd.cgroups.v1 import CpuUsage
from containerd_aio._api.io.containerd.cgroups.v2 import PsiData
from containerd_aio._transport.codec import Codec, DecodeError, EncodeError, decode, encode
from containerd_aio._transport.decoder import decoder
from containerd_aio._transport.encoder import encoder
from tests.proto.everything import Colour, Everything
from tests.proto.reference import Value, message_classes, ours, reference, reference_class
from tests.transport.agreement import (
    accepts,
    any_message,
    check_agreement,
    everything,
    unhurried,
    varint,
)

# Both ways, against protobuf


@unhurried
@given(any_message)
def test_protobuf_reads_what_is_encoded_here(pair: tuple[type[Message], Value]) -> None:
    cls, value = pair
    assert reference_class(cls).FromString(encode(ours(cls, value))) == reference(cls, value)


@unhurried
@given(any_message)
def test_what_protobuf_writes_is_decoded_here(pair: tuple[type[Message], Value]) -> None:
    cls, value = pair
    assert decode(cls, reference(cls, value).SerializeToString()) == ours(cls, value)


@unhurried
@given(any_message)
def test_a_message_survives_the_way_there_and_back(pair: tuple[type[Message], Value]) -> None:
    cls, value = pair
    message = ours(cls, value)
    assert decode(cls, encode(message)) == message
    assert encode(decode(cls, encode(message))) == encode(message)


@pytest.mark.parametrize("cls", message_classes(), ids=lambda cls: cls.__proto_name__)
def test_every_class_compiles(cls: type[Message]) -> None:
    assert encode(decode(cls, b"")) == b""


@unhurried
@given(everything, everything)
def test_bytes_that_are_joined_are_messages_that_are_merged(first: Value, second: Value) -> None:
    """The last scalar counts, lists and maps grow, sub-messages are merged: as protobuf has it."""
    data = encode(ours(Everything, first)) + encode(ours(Everything, second))
    assert check_agreement(Everything, data)


@unhurried
@given(everything)
def test_every_cut_through_a_message_is_judged_as_protobuf_judges_it(value: Value) -> None:
    """A prefix that ends between two fields is a message; any other is refused."""
    data = encode(ours(Everything, value))
    for length in range(len(data)):
        assert check_agreement(Everything, data[:length]) == accepts(Everything, data[:length])


# What is kept


@unhurried
@given(everything, st.binary(max_size=10))
def test_unknown_fields_are_sent_on_as_they_came(value: Value, content: bytes) -> None:
    known = encode(ours(Everything, value))
    unknown = (
        b"\xc0\x3e\x07" + b"\xc2\x3e" + varint(len(content)) + content + b"\xc5\x3e1234" + b"\xc9\x3e12345678"
    )
    message = decode(Everything, unknown[:3] + known + unknown[3:])
    assert encode(message) == known + unknown
    assert message != ours(Everything, value)


def test_unknown_enum_values_are_kept() -> None:
    process = decode(Process, encode(Process(status=Status.try_value(99))))
    assert process.status.value == 99
    assert process.status.name is None  # of which betterproto's stand-in for type checkers knows nothing
    assert isinstance(process.status, Status)
    assert decode(Process, encode(process)) == process
    assert decode(Process, encode(Process(status=Status.PAUSED))).status is Status.PAUSED


def test_empty_keys_and_values_of_maps_are_kept() -> None:
    assert decode(Container, encode(Container(labels={"": ""}))).labels == {"": ""}
    assert decode(Container, b"\x12\x00").labels == {"": ""}
    assert decode(Container, b"\x52\x00").extensions == {"": ProtoAny()}
    assert decode(Everything, b"\xda\x01\x00").paints == {"": Colour.NONE}


def test_an_entry_may_have_its_value_first_and_twice() -> None:
    assert decode(Container, b"\x12\x09\x12\x01a\x0a\x01k\x12\x01b").labels == {"k": "b"}


def test_a_message_that_comes_twice_in_an_entry_is_merged() -> None:
    data = b"\x52\x0e\x0a\x01k\x12\x03\x0a\x01t\x12\x04\x12\x02vv"
    assert check_agreement(Container, data)
    assert decode(Container, data).extensions == {"k": ProtoAny(type_url="t", value=b"vv")}


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16383, 16384, 2_097_151, 2_097_152])
def test_values_of_every_size_come_back(size: int) -> None:
    message = Container(id="x" * size, labels={"k": "v" * size}, spec=ProtoAny(value=b"y" * size))
    assert decode(Container, encode(message)) == message
    assert accepts(Container, encode(message))


def test_map_entries_go_out_in_the_order_of_the_dictionary() -> None:
    one, other = {"b": "1", "a": "2"}, {"a": "2", "b": "1"}
    assert encode(Container(labels=one)) != encode(Container(labels=other))
    assert list(decode(Container, encode(Container(labels=one))).labels) == ["b", "a"]


def test_numbers_are_read_packed_and_one_by_one() -> None:
    one_by_one = b"\x20\x01\x20\xac\x02"
    assert decode(CpuUsage, one_by_one).per_cpu == [1, 300]
    assert encode(decode(CpuUsage, one_by_one)) == b"\x22\x03\x01\xac\x02"
    assert decode(CpuUsage, b"\x22\x01\x01" + one_by_one + b"\x22\x01\x05").per_cpu == [1, 1, 300, 5]


def test_times_are_exact_to_the_nanosecond() -> None:
    exit_event = TaskExit(exited_at=Timestamp(seconds=-62135596800, nanos=999_999_999))
    assert decode(TaskExit, encode(exit_event)).exited_at == Timestamp(
        seconds=-62135596800, nanos=999_999_999
    )


def test_nan_and_negative_zero_are_sent() -> None:
    data = encode(PsiData(avg10=float("nan"), avg60=-0.0))
    assert data == b"\x09" + struct.pack("<d", float("nan")) + b"\x11" + struct.pack("<d", -0.0)
    assert decode(PsiData, data) == PsiData(avg10=float("nan"), avg60=-0.0)


# What is there, and what is not


def test_a_present_empty_message_is_sent() -> None:
    assert encode(Container(runtime=ContainerRuntime())) == b"\x22\x00"
    assert encode(Container(created_at=Timestamp())) == b"\x42\x00"
    assert encode(Container()) == b""


def test_presence_is_decoded_exactly() -> None:
    container = decode(Container, b"\x42\x00")
    assert (container.is_set("created_at"), container.is_set("updated_at")) == (True, False)
    assert betterproto.serialized_on_wire(container.created_at)
    assert not betterproto.serialized_on_wire(container.updated_at)
    assert encode(container) == b"\x42\x00"


def test_reading_an_absent_message_does_not_send_it() -> None:
    container = Container(id="web")
    assert (container.runtime.options.type_url, container.labels, container.created_at.seconds) == ("", {}, 0)
    assert encode(container) == encode(Container(id="web"))


def test_changing_what_was_read_sends_it() -> None:
    container = Container()
    container.runtime.options.type_url = "x"
    container.labels["a"] = "b"
    assert encode(container) == b"\x12\x06\x0a\x01a\x12\x01b\x22\x05\x12\x03\x0a\x01x"
    touched = Container()
    touched.runtime.name = ""
    assert encode(touched) == b"\x22\x00"


def test_an_optional_message_is_sent_unless_it_is_none() -> None:
    assert encode(DeleteImageRequest(name="i")) == b"\x0a\x01i"
    assert encode(DeleteImageRequest(name="i", target=None)) == b"\x0a\x01i"
    assert encode(DeleteImageRequest(name="i", target=Descriptor())) == b"\x0a\x01i\x1a\x00"
    assert decode(DeleteImageRequest, b"\x0a\x01i").target is None
    assert decode(DeleteImageRequest, b"\x1a\x00").target == Descriptor()


def test_an_optional_scalar_is_sent_even_if_it_is_zero() -> None:
    data = encode(Everything(maybe_int=0, maybe_string=""))
    assert check_agreement(Everything, data)
    assert (decode(Everything, data).maybe_int, decode(Everything, b"").maybe_int) == (0, None)


# As a part of grpclib, and for who debugs it


def test_grpclib_gets_bytes_and_messages() -> None:
    codec = Codec()
    assert codec.__content_subtype__ == "proto"
    assert codec.decode(codec.encode(Mount(type="bind"), Mount), Mount) == Mount(type="bind")
    assert codec.decode(b"", Empty) == Empty()


def test_a_call_with_another_message_than_its_own_is_refused() -> None:
    with pytest.raises(EncodeError, match="the call takes Mount, got Empty"):
        Codec().encode(Empty(), Mount)


def test_errors_are_value_errors() -> None:
    assert issubclass(DecodeError, ValueError)
    assert issubclass(EncodeError, ValueError)


def test_the_source_of_what_was_compiled_can_be_read() -> None:
    assert "state['pid']" in inspect.getsource(decoder(TaskExit))
    assert "field = 'pid'" in inspect.getsource(encoder(TaskExit))
