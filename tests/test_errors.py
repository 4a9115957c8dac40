"""The errors: their family, what else they are, and that they survive copying and pickling."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from containerd_aio import errors
from containerd_aio.errors import ContainerdError, ProcessFailedError
from containerd_aio.types import ExitStatus


def family(cls: type[ContainerdError]) -> Iterator[type[ContainerdError]]:
    """The class and those under it, as far as this module has them."""
    if cls.__module__ == errors.__name__:
        yield cls
    for child in cls.__subclasses__():
        yield from family(child)


PLAIN = [cls for cls in family(ContainerdError) if cls is not ProcessFailedError]


def example(cls: type[ContainerdError]) -> ContainerdError:
    if cls is ProcessFailedError:
        return ProcessFailedError("it failed", exit_status=ExitStatus(3, 17), stderr=b"oops")
    return cls(
        "Tasks/Get of task 'web': no", method="a.B/C", subject="task 'web'", server_message="no: not found"
    )


@pytest.mark.parametrize("cls", [*PLAIN, ProcessFailedError])
@pytest.mark.parametrize(
    "again",
    [
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda error: pickle.loads(pickle.dumps(error)), id="pickle"),
    ],
)
def test_a_copy_says_the_same(cls: type[ContainerdError], again: object) -> None:
    assert callable(again)
    error = example(cls)
    error.add_note("while cleaning up")
    twin = again(error)
    assert type(twin) is cls
    assert twin is not error
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
    assert twin.__notes__ == ["while cleaning up"]


@pytest.mark.parametrize("cls", PLAIN)
def test_an_error_without_a_call_names_none(cls: type[ContainerdError]) -> None:
    error = cls("bad filter")
    assert str(error) == "bad filter"
    assert (error.method, error.subject, error.server_message) == ("", "", "")


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.NotFoundError, LookupError),
        (errors.InvalidArgumentError, ValueError),
        (errors.DeadlineExceededError, TimeoutError),
        (errors.PermissionDeniedError, PermissionError),
        (errors.NotImplementedByServerError, NotImplementedError),
        (errors.ConnectionLostError, ConnectionError),
        (errors.ConflictError, errors.FailedPreconditionError),
        (errors.NotModifiedError, errors.FailedPreconditionError),
    ],
)
def test_an_error_is_what_python_calls_it(cls: type[ContainerdError], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


@pytest.mark.parametrize("cls", [*PLAIN, ProcessFailedError])
def test_a_reworded_error_is_the_same_in_other_words(cls: type[ContainerdError]) -> None:
    error = example(cls)
    error.add_note("while cleaning up")
    told = error.reworded("there is no 'web'; `ps` shows those that are")
    assert str(told) == "there is no 'web'; `ps` shows those that are"
    assert type(told) is cls
    assert vars(told) == vars(error)
    assert told.__cause__ is error


@pytest.mark.parametrize("cls", [*PLAIN, ProcessFailedError])
def test_an_error_may_be_reworded_to_one_of_another_kind(cls: type[ContainerdError]) -> None:
    error = example(cls)
    told = error.reworded("it could not be started", errors.StartFailedError)
    assert str(told) == "it could not be started"
    assert type(told) is errors.StartFailedError
    assert (told.method, told.subject) == (error.method, error.subject)
    assert told.server_message == error.server_message
    assert told.__cause__ is error


def test_a_note_on_a_reworded_error_is_not_on_the_first_one() -> None:
    error = errors.NotFoundError("gone")
    error.add_note("of both")
    told = error.reworded("it is gone")
    told.add_note("of the second")
    assert error.__notes__ == ["of both"]
    assert told.__notes__ == ["of both", "of the second"]


def test_no_error_is_a_cancellation() -> None:
    assert all(issubclass(cls, Exception) for cls in family(ContainerdError))


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    documented = errors.__doc__ or ""
    assert [cls.__name__ for cls in family(ContainerdError) if f"``{cls.__name__}``" not in documented] == []


def test_a_failed_process_tells_its_status_and_its_stderr() -> None:
    error = ProcessFailedError("it failed", exit_status=ExitStatus(3), stderr=b"oops")
    assert error.exit_status == ExitStatus(3)
    assert error.stderr == b"oops"
