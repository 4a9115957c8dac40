"""What the tests of the codec share: Google's opinion, and messages of all classes to ask it about."""

from __future__ import annotations

from google.protobuf.message import DecodeError as ReferenceDecodeError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from containerd_aio._api._message import Message
from containerd_aio._api.containerd.services.containers.v1 import Container
from containerd_aio._api.containerd.services.images.v1 import DeleteImageRequest
from containerd_aio._api.containerd.services.tasks.v1 import CreateTaskRequest
from containerd_aio._api.containerd.types import Envelope
from containerd_aio._api.io.containerd.cgroups.v1 import MemoryStat
from containerd_aio._transport.codec import DecodeError, decode, encode
from tests.proto.everything import Everything
from tests.proto.reference import message_classes, reference_class, values_of

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
    there, back = (reference_class(cls).FromString(each) for each in (data, encode(message)))
    # As text too: a number that is none (NaN) is not equal to itself.
    assert there == back or str(there) == str(back)
    return True


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
