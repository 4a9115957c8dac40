"""Everything this library raises.

* ``ContainerdError``                        ``.method``, ``.subject``, ``.server_message``

  * one class for each gRPC status that a daemon can answer with:
    ``CancelledByServerError``, ``UnknownError``, ``InvalidArgumentError`` (a ``ValueError``),
    ``DeadlineExceededError`` (a ``TimeoutError``), ``NotFoundError`` (a ``LookupError``),
    ``AlreadyExistsError``, ``PermissionDeniedError`` (a ``PermissionError``), ``ResourceExhaustedError``,
    ``FailedPreconditionError`` (with ``ConflictError`` and ``NotModifiedError`` under it), ``AbortedError``,
    ``OutOfRangeError``, ``NotImplementedByServerError`` (a ``NotImplementedError``), ``InternalError``,
    ``UnavailableError``, ``DataLossError``, ``UnauthenticatedError``
  * ``ConnectionLostError`` (a ``ConnectionError``)   containerd went away, or never was there
  * ``ClientClosedError``                    the client was closed under the call
  * ``ProcessLostError``                     how a process ended can no longer be learned
  * ``StartFailedError``                     the runtime could not start the process
  * ``CheckpointFailedError``                CRIU could not take the state of a task
  * ``EventsLostError``                      the reader lagged and events were dropped
  * ``OutputTooLargeError``                  ``run()`` met more output than it may keep
  * ``ProcessFailedError``                   raised only by ``check()``: ``.exit_status``, ``.stderr``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar, overload

if TYPE_CHECKING:
    from containerd_aio.types.process import ExitStatus

_Kind = TypeVar("_Kind", bound="ContainerdError")


class ContainerdError(Exception):
    """Base of every error that this library raises.

    ``method`` is the RPC that failed (``containerd.services.tasks.v1.Tasks/Get``), ``subject`` the thing it
    was about (``task 'web'``), ``server_message`` what containerd said, unchanged. Each is empty where there
    is none: errors that are found before any RPC have no method.
    """

    def __init__(
        self, message: str, *, method: str = "", subject: str = "", server_message: str = ""
    ) -> None:
        super().__init__(message)
        self.method = method
        self.subject = subject
        self.server_message = server_message

    @overload
    def reworded(self, message: str) -> Self: ...

    @overload
    def reworded(self, message: str, kind: type[_Kind]) -> _Kind: ...

    def reworded(self, message: str, kind: type[ContainerdError] | None = None) -> ContainerdError:
        """Return an error of the same class, or of another ``kind``, that says ``message`` instead.

        It knows what this one knows: the call, its subject, containerd's answer, and the notes. This one is its
        cause. ``kind`` is a class that is made as this one is, so not ``ProcessFailedError``.
        """
        told = self._with_message(message) if kind is None else kind(message)
        told.method, told.subject, told.server_message = self.method, self.subject, self.server_message
        for note in getattr(self, "__notes__", ()):
            told.add_note(note)
        told.__cause__ = self
        return told

    def _with_message(self, message: str) -> Self:
        return type(self)(message)


class CancelledByServerError(ContainerdError):
    """containerd gave the call up (gRPC status CANCELLED). A cancellation of yours is never this."""


class UnknownError(ContainerdError):
    """containerd failed without naming a class of failure (UNKNOWN); its message tells why."""


class InvalidArgumentError(ContainerdError, ValueError):
    """An argument is not acceptable; found here before any RPC, or by containerd."""


class DeadlineExceededError(ContainerdError, TimeoutError):
    """containerd did not answer in time (``Client(rpc_timeout=...)``, or its own deadline)."""


class NotFoundError(ContainerdError, LookupError):
    """The named object does not exist."""


class AlreadyExistsError(ContainerdError):
    """An object of that name exists."""


class PermissionDeniedError(ContainerdError, PermissionError):
    """containerd refuses this caller."""


class ResourceExhaustedError(ContainerdError):
    """A limit is reached: of the daemon, or of the size of a message (16 MiB)."""


class FailedPreconditionError(ContainerdError):
    """The object is in a state that forbids the call; the message names the state and the way out."""


class ConflictError(FailedPreconditionError):
    """The object was changed by somebody else."""


class NotModifiedError(FailedPreconditionError):
    """Nothing had to be changed."""


class AbortedError(ContainerdError):
    """The call was aborted, usually by a concurrent one."""


class OutOfRangeError(ContainerdError):
    """An offset or size lies outside of the object."""


class NotImplementedByServerError(ContainerdError, NotImplementedError):
    """This containerd does not know the call, or lacks the plugin for it."""


class InternalError(ContainerdError):
    """containerd, or what lies between it and this client, broke the protocol or met a bug of its own."""


class UnavailableError(ContainerdError):
    """containerd answers, but cannot serve this call now (a locked ingest, a plugin still loading)."""


class DataLossError(ContainerdError):
    """Stored data is damaged."""


class UnauthenticatedError(ContainerdError):
    """containerd, or a registry behind it, wants credentials."""


class ConnectionLostError(ContainerdError, ConnectionError):
    """containerd went away during the call, or could not be reached.

    Where the call was under way, its outcome is unknown: containerd may or may not have done the work.
    """


class ClientClosedError(ContainerdError):
    """The client was closed before, or while, the call ran."""


class ProcessLostError(ContainerdError):
    """How the process ended can no longer be learned; no exit code is made up for it."""


class StartFailedError(ContainerdError):
    """The runtime could not create or start the process: no such binary, no permission."""


class CheckpointFailedError(ContainerdError):
    """The state of a task could not be taken: CRIU is missing, or gave up; the message has its reason.

    The task is as it was, unless the message says that it has ended.
    """


class EventsLostError(ContainerdError):
    """The reader of a subscription lagged too far behind; the stream was given up."""


class OutputTooLargeError(ContainerdError):
    """A captured process wrote more than ``max_output`` bytes; it was killed."""


class ProcessFailedError(ContainerdError):
    """A process ended with another code than 0, and ``check()`` was asked for."""

    def __init__(self, message: str, *, exit_status: ExitStatus, stderr: bytes = b"") -> None:
        super().__init__(message)
        self.exit_status = exit_status
        self.stderr = stderr

    def _with_message(self, message: str) -> Self:
        return type(self)(message, exit_status=self.exit_status, stderr=self.stderr)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_process_failed, (self.args[0], self.exit_status, self.stderr), self.__dict__


def _rebuild_process_failed(message: str, exit_status: ExitStatus, stderr: bytes) -> ProcessFailedError:
    return ProcessFailedError(message, exit_status=exit_status, stderr=stderr)
