"""Which HTTP status an error is, and how much of it is told."""

from __future__ import annotations

import inspect
import logging

import pytest

from containerd_aio import errors
from containerd_aio.contrib._http import status_of, told
from containerd_aio.errors import ContainerdError
from containerd_aio.types import ExitStatus

STATUSES = {
    "AbortedError": 409,
    "AlreadyExistsError": 409,
    "ClientClosedError": 503,
    "ConflictError": 409,
    "ConnectionLostError": 503,
    "DeadlineExceededError": 504,
    "EventsLostError": 503,
    "FailedPreconditionError": 409,
    "InvalidArgumentError": 422,
    "NotFoundError": 404,
    "NotImplementedByServerError": 501,
    "NotModifiedError": 409,
    "OutOfRangeError": 422,
    "OutputTooLargeError": 422,
    "ResourceExhaustedError": 503,
    "StartFailedError": 422,
    "UnavailableError": 503,
}
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ContainerdError) and value.__module__ == errors.__name__
]


def error_of(kind: type[ContainerdError]) -> ContainerdError:
    if kind is errors.ProcessFailedError:
        return errors.ProcessFailedError("it says why", exit_status=ExitStatus(1))
    return kind("it says why")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_a_new_one_is_containerds_fault(kind: type[ContainerdError]) -> None:
    assert status_of(error_of(kind)) == STATUSES.get(kind.__name__, 502)


def test_an_error_of_the_users_own_has_that_of_its_class() -> None:
    class NoSuchJobError(errors.NotFoundError):
        pass

    assert status_of(NoSuchJobError("job 7")) == 404


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_only_what_the_request_can_mend_is_told_in_full_and_the_rest_is_logged(
    kind: type[ContainerdError], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "containerd_aio.contrib"):
        status, body = told(error_of(kind))
    if status < 500:
        assert body == {"detail": "it says why"}
        assert not caplog.records
    else:
        assert body == {"detail": status.phrase}
        assert "it says why" in caplog.text
