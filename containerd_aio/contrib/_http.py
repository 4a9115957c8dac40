"""What a client of the service is told of an error: an HTTP status and a text.

4xx is what the request can mend, and tells the whole message: it names the thing, its state and the way out. 5xx
is containerd's or ours: the message, with its paths and addresses, goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from containerd_aio.errors import (
    AbortedError,
    AlreadyExistsError,
    ClientClosedError,
    ConnectionLostError,
    ContainerdError,
    DeadlineExceededError,
    EventsLostError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedByServerError,
    OutOfRangeError,
    OutputTooLargeError,
    ResourceExhaustedError,
    StartFailedError,
    UnavailableError,
)

_log: Final = logging.getLogger("containerd_aio.contrib")

_UNPROCESSABLE: Final = HTTPStatus(422)  # its name is another one from Python 3.13 on

_STATUSES: Final[Mapping[type[BaseException], HTTPStatus]] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    AlreadyExistsError: HTTPStatus.CONFLICT,
    FailedPreconditionError: HTTPStatus.CONFLICT,
    AbortedError: HTTPStatus.CONFLICT,
    InvalidArgumentError: _UNPROCESSABLE,
    OutOfRangeError: _UNPROCESSABLE,
    StartFailedError: _UNPROCESSABLE,
    OutputTooLargeError: _UNPROCESSABLE,
    NotImplementedByServerError: HTTPStatus.NOT_IMPLEMENTED,
    ConnectionLostError: HTTPStatus.SERVICE_UNAVAILABLE,
    ClientClosedError: HTTPStatus.SERVICE_UNAVAILABLE,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    ResourceExhaustedError: HTTPStatus.SERVICE_UNAVAILABLE,
    EventsLostError: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceededError: HTTPStatus.GATEWAY_TIMEOUT,
    ContainerdError: HTTPStatus.BAD_GATEWAY,  # the others: containerd failed, or refuses this service
}


def status_of(error: ContainerdError) -> HTTPStatus:
    """Return the HTTP status for an error, that of the nearest class above it in the table."""
    return next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)


def told(error: ContainerdError) -> tuple[HTTPStatus, dict[str, str]]:
    """Return the status and the JSON body that answer a request; what the body must not tell is logged."""
    status = status_of(error)
    if status < 500:
        return status, {"detail": str(error)}
    _log.error("answered with %d: %s", status, error, exc_info=error)
    return status, {"detail": status.phrase}
