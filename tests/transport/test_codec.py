"""The codec, held against Google's protobuf, and against bytes and values that are none."""

from __future__ import annotations

import inspect
import struct
from typing import Any

import betterproto
import pytest
from google.protobuf.message import DecodeError as ReferenceDecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.events import TaskExit
from containerd_aio._api.containerd.services.containers.v1 import Container, ContainerRuntime
from containerd_aio._api.containerd.services.images.v1 import DeleteImageRequest
from containerd_aio._api.containerd.services.tasks.v1 import CreateTaskRequest, KillRequest
from containerd_aio._api.containerd.types import Descriptor, Envelope, Mount
from containerd_aio._api.containerd.v1.types import Process, Status
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.protobuf import Empty, FieldMask, Timestamp
from containerd_aio._api.io.containerd.cgroups.v1 import CpuUsage, MemoryStat
from containerd_aio._api.io.containerd.cgroups.v2 import PsiData
from containerd_aio._transport.codec import Codec, DecodeError, EncodeError, decode, encode
from containerd_aio._transport.decoder import decoder
from containerd_aio._transport.encoder import encoder
from tests.proto.everything import Colour, Everything
from tests.proto.reference import Value, message_classes, ours, reference, reference_class, values_of

# A shared machine may stall in any example.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Busy ones among the generated classes, tried more often than one in 259.
BUSY: list[type[Message]] = [
    Everything,
    Container,
    CreateTaskRequest,
    DeleteImageRequest,
    Envelope,
    MemoryStat,
]

any_class = st.sampled_from(BUSY) | st.sampled_from(message_classes())
any_message = any_class.flatmap(lambda cls: st.tuples(st.just(cls), values_of(cls)))
everything = values_of(Everything)


def accepts(cls: type[Message], data: bytes) -> bool:
    """Whether Google's protobuf takes these bytes."""
    try:
        reference_class(cls).FromString(data)
    except ReferenceDecodeError:
        return False
    return True


def check_agreement(cls: type[Message], data: bytes) -> bool:
    """What is decoded here must be what protobuf decodes; returns whether it was decoded."""
    try:
        message = decode(cls, data)
    except DecodeError:
        return False
    assert accepts(cls, data)
    assert reference_class(cls).FromString(encode(message)) == reference_class(cls).FromString(data)
    return True


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


# Bytes that nobody wrote


@unhurried
@given(any_class, st.binary(max_size=64))
@example(Everything, b"\x0f")
def test_arbitrary_bytes_are_refused_or_mean_the_same(cls: type[Message], data: bytes) -> None:
    check_agreement(cls, data)


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


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
