"""grpclib's failures, and the daemon's statuses, as errors of this library: here and nowhere else.

The gRPC status decides the class. Only where containerd gives one status to several things does the text count;
all texts that are looked at stand in ``_TEXTS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from h2.exceptions import H2Error

from containerd_aio import errors
from containerd_aio._transport.address import Address
from containerd_aio._transport.codec import DecodeError, EncodeError
from containerd_aio._transport.details import detail_texts
from containerd_aio._transport.protocol import NotProcessedError
from containerd_aio.errors import ContainerdError

_BY_STATUS: Final[Mapping[Status, type[ContainerdError]]] = {
    Status.OK: errors.InternalError,  # an error that claims success: somebody broke the protocol
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

# containerd sends "conflict" and "not modified" as FAILED_PRECONDITION (errdefs' errgrpc), and what it cannot
# classify as UNKNOWN; 1.x puts ": unknown" behind that. Each line: status, text, where it stands, class.
_TEXTS: Final[tuple[tuple[Status, str, str, type[ContainerdError]], ...]] = (
    (Status.FAILED_PRECONDITION, "conflict", "end", errors.ConflictError),
    (Status.FAILED_PRECONDITION, "not modified", "end", errors.NotModifiedError),
    # The server's clock may strike before ours.
    (Status.UNKNOWN, "context deadline exceeded", "end", errors.DeadlineExceededError),
    # Events.Subscribe gives everything UNKNOWN; a filter that it cannot read is the caller's fault.
    (
        Status.UNKNOWN,
        "subscription error: failed parsing subscription filters",
        "start",
        errors.InvalidArgumentError,
    ),
)

_CALL_FAILURES: Final = (
    GRPCError,
    StreamTerminatedError,
    ProtocolError,
    H2Error,
    OSError,
    DecodeError,
    EncodeError,
    UnicodeError,
    ContainerdError,
)


class Translation:
    """A block round each operation of a call: grpclib's errors leave it as ours, chained to their cause.

    ``method`` is the RPC, ``subject`` what it is about (``task 'web'``), ``limit`` the deadline in seconds.
    """

    __slots__ = ("address", "limit", "method", "subject")

    def __init__(self, address: Address, method: str, subject: str, limit: float | None = None) -> None:
        self.address = address
        self.method = method
        self.subject = subject
        self.limit = limit

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(exc, _CALL_FAILURES):
            raise self.translate(exc) from exc

    def translate(self, exc: Exception) -> ContainerdError:
        """Return the error of ours that ``exc`` is, one of the failures that a call can meet."""
        match exc:
            case GRPCError():
                return self._of_status(exc)
            case ContainerdError():
                return self._error(type(exc), str(exc))
            case NotProcessedError():
                return self._error(
                    errors.ConnectionLostError, f"{exc}; {self.address} has not begun with the call"
                )
            case StreamTerminatedError():
                return self._lost(str(exc))
            case TimeoutError():
                waited = "" if self.limit is None else f" in {self.limit:g} s (rpc_timeout)"
                return self._error(errors.DeadlineExceededError, f"containerd gave no answer{waited}")
            case EncodeError() | UnicodeEncodeError():
                return self._error(errors.InvalidArgumentError, f"the request cannot be encoded: {exc}")
            case DecodeError() | UnicodeError():
                return self._error(errors.InternalError, f"the answer cannot be decoded: {exc}")
            case _:
                return self._lost(f"{type(exc).__name__}: {exc}")

    def _of_status(self, exc: GRPCError) -> ContainerdError:
        message = exc.message or ""
        texts = [message or exc.status.name, *detail_texts(exc.details, message)]
        if exc.status is Status.UNIMPLEMENTED and self.address.path is None:
            texts.append(
                "containerd's own TCP port serves CRI only: a TLS proxy in front of its socket is meant"
            )
        return self._error(_class_of(exc.status, message), "; ".join(texts), server_message=message)

    def _lost(self, reason: str) -> ContainerdError:
        return self._error(
            errors.ConnectionLostError,
            f"{reason}; the call was under way at {self.address}, so its outcome is unknown",
        )

    def _error(self, cls: type[ContainerdError], text: str, *, server_message: str = "") -> ContainerdError:
        call = self.method.rpartition(".")[2]
        where = f"{call} of {self.subject}" if self.subject else call
        return cls(
            f"{where}: {text}", method=self.method, subject=self.subject, server_message=server_message
        )


def _class_of(status: Status, message: str) -> type[ContainerdError]:
    text = message.removesuffix(": unknown")
    for when, words, where, cls in _TEXTS:
        if status is not when:
            continue
        if where == "start" and text.startswith(words):
            return cls
        if where == "end" and (text == words or text.endswith(f": {words}")):
            return cls
    return _BY_STATUS[status]
