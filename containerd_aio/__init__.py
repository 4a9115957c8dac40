"""An asyncio client for containerd: run, watch and exec into containers, with ``await``.

The way of a call: ``client`` → ``container`` → ``task`` → ``process`` → ``services`` → ``_transport``.
The way of an exit: ``_transport`` → ``_exits`` (watcher, table, record) → the Future that ``wait()`` returned.

What a name stands for is imported when the name is first asked for: the command line shows its help, and heeds a
Ctrl-C, without waiting for all of it.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from containerd_aio.client import Client
    from containerd_aio.container import Container
    from containerd_aio.errors import (
        AbortedError,
        AlreadyExistsError,
        CancelledByServerError,
        CheckpointFailedError,
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
        CheckpointOptions,
        CheckpointSupport,
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
    "CheckpointFailedError",
    "CheckpointOptions",
    "CheckpointSupport",
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

if not TYPE_CHECKING:  # a checker would take every name for one of ours
    _MODULES = ("client", "container", "errors", "filters", "image", "process", "stdio", "task", "types")

    def __getattr__(name: str) -> object:
        if name in __all__:
            homes = (_import_module(f"{__name__}.{module}") for module in _MODULES)
            globals()[name] = value = next(vars(home)[name] for home in homes if name in vars(home))
            return value
        try:
            return _import_module(f"{__name__}.{name}")  # `import containerd_aio` alone has its modules, too
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
