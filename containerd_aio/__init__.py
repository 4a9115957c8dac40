"""An asyncio client for containerd: run, watch and exec into containers, with ``await``.

The way of a call: ``client`` → ``container`` → ``task`` → ``process`` → ``services`` → ``_transport``.
The way of an exit: ``_transport`` → ``_exits`` (watcher, table, record) → the Future that ``wait()`` returned.
"""

from containerd_aio.client import Client
from containerd_aio.container import Container
from containerd_aio.errors import (
    AbortedError,
    AlreadyExistsError,
    CancelledByServerError,
    ClientClosedError,
    ConflictError,
    ConnectionLostError,
    ContainerdError,
    DataLossError,
    DeadlineExceededError,
    EventsLostError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    NotModifiedError,
    OutOfRangeError,
    OutputTooLargeError,
    PermissionDeniedError,
    ProcessFailedError,
    ProcessLostError,
    ResourceExhaustedError,
    StartFailedError,
    UnauthenticatedError,
    UnavailableError,
    UnknownError,
)
from containerd_aio.filters import where
from containerd_aio.image import Image
from containerd_aio.process import Process
from containerd_aio.stdio import attach, inherit, log_binary, log_file, log_uri, null, pipes, streams
from containerd_aio.task import Task
from containerd_aio.types import (
    Chunk,
    Completed,
    ExitStatus,
    Metrics,
    ProcessInfo,
    ProcessState,
    RuncOptions,
    Status,
)

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "CancelledByServerError",
    "Chunk",
    "Client",
    "ClientClosedError",
    "Completed",
    "ConflictError",
    "ConnectionLostError",
    "Container",
    "ContainerdError",
    "DataLossError",
    "DeadlineExceededError",
    "EventsLostError",
    "ExitStatus",
    "FailedPreconditionError",
    "Image",
    "InternalError",
    "InvalidArgumentError",
    "Metrics",
    "NotFoundError",
    "NotImplementedByServerError",
    "NotModifiedError",
    "OutOfRangeError",
    "OutputTooLargeError",
    "PermissionDeniedError",
    "Process",
    "ProcessFailedError",
    "ProcessInfo",
    "ProcessLostError",
    "ProcessState",
    "ResourceExhaustedError",
    "RuncOptions",
    "StartFailedError",
    "Status",
    "Task",
    "UnauthenticatedError",
    "UnavailableError",
    "UnknownError",
    "attach",
    "inherit",
    "log_binary",
    "log_file",
    "log_uri",
    "null",
    "pipes",
    "streams",
    "where",
]
