"""What containerd refuses without a class of failure: the state is asked for once, and named with the way out."""

from __future__ import annotations

import pytest

from containerd_aio._refusal import limits_refused, start_failed, state_named
from containerd_aio.errors import (
    ConnectionLostError,
    ContainerdError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
    UnknownError,
)
from containerd_aio.types import ProcessState, Status

RUNNING = frozenset({ProcessState.RUNNING})


class Process:
    """A process in a state, or one that cannot be asked for it."""

    def __init__(self, answer: ProcessState | ContainerdError) -> None:
        self.answer = answer
        self.asked = 0

    async def status(self) -> Status:
        self.asked += 1
        if isinstance(self.answer, ContainerdError):
            raise self.answer
        return Status(self.answer)


def refused(kind: type[ContainerdError] = UnknownError) -> ContainerdError:
    return kind(
        "Tasks/Pause: no: unknown", method="Tasks/Pause", subject="task 'web'", server_message="no: unknown"
    )


@pytest.mark.parametrize("kind", [UnknownError, FailedPreconditionError])
async def test_a_state_that_forbids_it_is_named_with_the_way_out(kind: type[ContainerdError]) -> None:
    process = Process(ProcessState.CREATED)
    with pytest.raises(FailedPreconditionError) as error:
        async with state_named("it cannot be paused", "task 'web'", process.status, allowed=RUNNING):
            raise refused(kind)
    assert str(error.value) == "it cannot be paused: task 'web' is created; start() it first"
    assert (error.value.method, error.value.subject) == ("Tasks/Pause", "task 'web'")
    assert error.value.server_message == "no: unknown"
    assert type(error.value.__cause__) is kind
    assert process.asked == 1


async def test_a_call_may_know_a_better_way_or_none() -> None:
    process = Process(ProcessState.RUNNING)
    with pytest.raises(FailedPreconditionError, match="^no: it is running; wait$"):
        async with state_named(
            "no", "it", process.status, allowed=frozenset(), ways={ProcessState.RUNNING: "wait"}
        ):
            raise refused()
    with pytest.raises(FailedPreconditionError, match="^no: it is running$"):
        async with state_named("no", "it", process.status, allowed=frozenset()):
            raise refused()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ProcessState.RUNNING, id="a state that allows it"),
        pytest.param(ProcessState.UNKNOWN, id="no state"),
        pytest.param(ConnectionLostError("away"), id="no answer"),
    ],
)
async def test_what_no_state_explains_is_told_as_it_is(answer: ProcessState | ContainerdError) -> None:
    failure = refused()
    with pytest.raises(UnknownError) as error:
        async with state_named("no", "it", Process(answer).status, allowed=RUNNING):
            raise failure
    assert error.value is failure


async def test_that_it_is_gone_says_more() -> None:
    with pytest.raises(NotFoundError, match="^gone$"):
        async with state_named("no", "it", Process(NotFoundError("gone")).status):
            raise refused()


async def test_nothing_is_asked_for_where_nothing_was_refused() -> None:
    process = Process(ProcessState.CREATED)
    async with state_named("no", "it", process.status):
        pass
    for error in (UnavailableError("later"), NotFoundError("gone"), ValueError("a bug")):
        with pytest.raises(type(error)) as raised:
            async with state_named("no", "it", process.status):
                raise error
        assert raised.value is error
    assert process.asked == 0


def test_the_runtimes_reason_is_passed_on_without_containerds_suffix() -> None:
    error = UnknownError("x", method="m", subject="s", server_message="runc: no such file\n: unknown")
    assert str(start_failed("exec 'ps'", error)) == "exec 'ps' could not be started: runc: no such file"
    assert (
        str(limits_refused("task 'web'", error)) == "task 'web' cannot have these limits: runc: no such file"
    )
    assert limits_refused("task 'web'", error).method == "m"
