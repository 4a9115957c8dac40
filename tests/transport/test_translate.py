"""Errors: which class each failure becomes, and what its message says."""

from __future__ import annotations

import ssl

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from h2.exceptions import NoAvailableStreamIDError

from containerd_aio import errors
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio._api.google.rpc import Status as RpcStatus
from containerd_aio._transport.address import Address
from containerd_aio._transport.codec import DecodeError, EncodeError, encode
from containerd_aio._transport.translate import Translation
from containerd_aio.errors import ContainerdError

METHOD = "containerd.services.tasks.v1.Tasks/Get"
SOCKET = Address.parse("/run/c.sock")
TCP = Address.parse("tcp://proxy:443")


def translated(
    failure: Exception, *, about: str = "task 'web'", limit: float | None = None, address: Address = SOCKET
) -> ContainerdError:
    """What leaves the block when ``failure`` is raised in it."""
    with pytest.raises(ContainerdError) as caught, Translation(address, METHOD, about, limit):
        raise failure
    assert caught.value.__cause__ is failure
    assert caught.value.method == METHOD
    assert caught.value.subject == about
    return caught.value


CLASSES = {
    Status.OK: errors.InternalError,
    Status.CANCELLED: errors.CancelledByServerError,
    Status.UNKNOWN: errors.UnknownError,
    Status.INVALID_ARGUMENT: errors.InvalidArgumentError,
    Status.DEADLINE_EXCEEDED: errors.DeadlineExceededError,
    Status.NOT_FOUND: errors.NotFoundError,
    Status.ALREADY_EXISTS: errors.AlreadyExistsError,
    Status.PERMISSION_DENIED: errors.PermissionDeniedError,
    Status.RESOURCE_EXHAUSTED: errors.ResourceExhaustedError,
    Status.FAILED_PRECONDITION: errors.FailedPreconditionError,
    Status.ABORTED: errors.AbortedError,
    Status.OUT_OF_RANGE: errors.OutOfRangeError,
    Status.UNIMPLEMENTED: errors.NotImplementedByServerError,
    Status.INTERNAL: errors.InternalError,
    Status.UNAVAILABLE: errors.UnavailableError,
    Status.DATA_LOSS: errors.DataLossError,
    Status.UNAUTHENTICATED: errors.UnauthenticatedError,
}


@pytest.mark.parametrize("status", Status)
def test_every_status_is_one_class(status: Status) -> None:
    error = translated(GRPCError(status, "why: so"))
    assert type(error) is CLASSES[status]
    assert str(error) == "Tasks/Get of task 'web': why: so"
    assert error.server_message == "why: so"


def test_no_two_statuses_share_a_class() -> None:
    real = [cls for status, cls in CLASSES.items() if status is not Status.OK]
    assert len(set(real)) == len(real) == 16


@pytest.mark.parametrize("message", [None, ""])
def test_without_a_message_the_status_is_named(message: str | None) -> None:
    error = translated(GRPCError(Status.ABORTED, message))
    assert str(error) == "Tasks/Get of task 'web': ABORTED"
    assert error.server_message == ""


def test_without_a_subject_the_method_is_named() -> None:
    assert str(translated(GRPCError(Status.ABORTED, "no"), about="")) == "Tasks/Get: no"


@pytest.mark.parametrize(
    ("status", "message", "cls"),
    [
        (Status.FAILED_PRECONDITION, "image x changed: conflict", errors.ConflictError),
        (Status.FAILED_PRECONDITION, "conflict", errors.ConflictError),
        (Status.FAILED_PRECONDITION, "image x: not modified", errors.NotModifiedError),
        (Status.FAILED_PRECONDITION, "not modified", errors.NotModifiedError),
        (Status.FAILED_PRECONDITION, "a conflict of interests", errors.FailedPreconditionError),
        (Status.FAILED_PRECONDITION, "image no-conflict", errors.FailedPreconditionError),
        (Status.FAILED_PRECONDITION, "conflict: x", errors.FailedPreconditionError),
        (Status.UNKNOWN, "image x: conflict", errors.UnknownError),
        (
            Status.UNKNOWN,
            "subscription error: failed parsing subscription filters: filters: parse error: invalid argument",
            errors.InvalidArgumentError,
        ),
        (Status.UNKNOWN, "subscription error: exchange closed", errors.UnknownError),
        (Status.UNKNOWN, "subscription error: context deadline exceeded", errors.DeadlineExceededError),
        (Status.UNKNOWN, "context deadline exceeded: unknown", errors.DeadlineExceededError),
        (Status.UNKNOWN, "failed to start: context deadline exceeded", errors.DeadlineExceededError),
        (Status.UNKNOWN, "context deadline exceeded in the plugin", errors.UnknownError),
        (Status.NOT_FOUND, "x: not modified", errors.NotFoundError),
    ],
)
def test_the_texts_that_count(status: Status, message: str, cls: type[ContainerdError]) -> None:
    error = translated(GRPCError(status, message))
    assert type(error) is cls
    assert error.server_message == message


@pytest.mark.parametrize(
    ("failure", "cls"),
    [
        (StreamTerminatedError("the connection was lost"), errors.ConnectionLostError),
        (ConnectionRefusedError(111, "refused"), errors.ConnectionLostError),
        (ConnectionResetError(104, "reset"), errors.ConnectionLostError),
        (FileNotFoundError(2, "no such file"), errors.ConnectionLostError),
        (PermissionError(13, "denied"), errors.ConnectionLostError),
        (ProtocolError("request is already sent"), errors.ConnectionLostError),
        (NoAvailableStreamIDError("no more streams"), errors.ConnectionLostError),
        (ssl.SSLError(1, "bad record"), errors.ConnectionLostError),
        (TimeoutError(), errors.DeadlineExceededError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), errors.InternalError),
        (DecodeError("cut off"), errors.InternalError),
        (UnicodeEncodeError("utf-8", "\udc80", 0, 1, "bad"), errors.InvalidArgumentError),
        (EncodeError("out of range"), errors.InvalidArgumentError),
    ],
)
def test_every_failure_of_a_call_has_its_class(failure: Exception, cls: type[ContainerdError]) -> None:
    error = translated(failure)
    assert type(error) is cls
    assert str(error).startswith("Tasks/Get of task 'web': ")


def test_a_lost_connection_tells_that_the_outcome_is_unknown() -> None:
    assert str(translated(StreamTerminatedError("the connection was lost"))) == (
        "Tasks/Get of task 'web': the connection was lost;"
        " the call was under way at /run/c.sock, so its outcome is unknown"
    )


def test_a_deadline_tells_how_long_it_was() -> None:
    assert str(translated(TimeoutError(), limit=30.0)) == (
        "Tasks/Get of task 'web': containerd gave no answer in 30 s (rpc_timeout)"
    )


def test_our_own_error_gets_the_name_of_the_call() -> None:
    error = translated(errors.ClientClosedError("the client is closed"))
    assert type(error) is errors.ClientClosedError
    assert str(error) == "Tasks/Get of task 'web': the client is closed"


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(AttributeError, match="^bug$"), Translation(SOCKET, METHOD, ""):
        raise AttributeError("bug")


@pytest.mark.parametrize(("address", "hinted"), [(TCP, True), (SOCKET, False)])
def test_over_tcp_an_unknown_method_hints_at_the_cri_port(address: Address, hinted: bool) -> None:
    error = translated(GRPCError(Status.UNIMPLEMENTED, "unknown service"), address=address)
    assert ("serves CRI only" in str(error)) is hinted
    assert error.server_message == "unknown service"


# --- details


def details(*inner: ProtoAny, message: str = "") -> bytes:
    return encode(RpcStatus(code=5, message=message, details=list(inner)))


def joined(message: str, *inner: ProtoAny, prefix: str = "type.googleapis.com/") -> ProtoAny:
    return ProtoAny(type_url=f"{prefix}google.rpc.Status", value=details(*inner, message=message))


def with_details(data: bytes) -> str:
    error = translated(GRPCError(Status.NOT_FOUND, "image x: not found", data))
    assert type(error) is errors.NotFoundError
    assert error.server_message == "image x: not found"
    return str(error).removeprefix("Tasks/Get of task 'web': ")


def test_joined_errors_are_told_too() -> None:
    data = details(joined("disk full"), joined("no lease", prefix=""), message="image x: not found")
    assert with_details(data) == "image x: not found; disk full; no lease"


def test_what_the_message_says_is_not_said_again() -> None:
    data = details(joined("not found"), joined("disk full"), joined("disk full"))
    assert with_details(data) == "image x: not found; disk full"


def test_details_may_nest() -> None:
    inner = joined("inner")
    nested = ProtoAny(
        type_url="type.googleapis.com/google.protobuf.Any", value=encode(joined("outer", inner))
    )
    assert with_details(details(nested)) == "image x: not found; outer; inner"


def test_a_registrys_answer_is_told() -> None:
    answer = ProtoAny(
        type_url="github.com/containerd/containerd/v2/core/remotes/errors/ErrUnexpectedStatus",
        value=b'{"status":"403 Forbidden","statusCode":403,"body":"e30=","requestURL":"https://r/v2/x",'
        b'"requestMethod":"GET"}',
    )
    assert (
        with_details(details(answer)) == "image x: not found; GET https://r/v2/x: HTTP status 403 Forbidden"
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xff", id="garbage"),
        pytest.param(details(ProtoAny(type_url="x/google.rpc.Status", value=b"\xff")), id="garbage-inside"),
        pytest.param(details(ProtoAny(type_url="foreign.Type", value=b"\xff")), id="foreign-type"),
        pytest.param(details(ProtoAny(type_url="a/ErrUnexpectedStatus", value=b"{}")), id="keys-missing"),
        pytest.param(details(ProtoAny(type_url="a/ErrUnexpectedStatus", value=b"[1]")), id="another-json"),
    ],
)
def test_details_that_cannot_be_read_are_left_out(data: bytes) -> None:
    assert with_details(data) == "image x: not found"


def test_what_can_be_read_before_the_garbage_is_told() -> None:
    broken = ProtoAny(type_url="x/google.rpc.Status", value=b"\xff")
    assert with_details(details(joined("disk full"), broken)) == "image x: not found; disk full"


def test_deep_nesting_ends() -> None:
    deep = joined("deepest")
    for level in range(50):
        deep = joined(f"level {level}", deep)
    text = with_details(details(deep))
    assert "level 49" in text
    assert "deepest" not in text


def test_a_flood_is_cut() -> None:
    text = with_details(details(*(joined(f"error {n} " + "x" * 5000) for n in range(100))))
    assert "error 0 " in text
    assert "error 99 " not in text
    assert len(text) < 20_000
