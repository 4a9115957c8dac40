"""What containerd refuses without a class of failure, explained.

containerd's state machine answers UNKNOWN and a text (containerd 1.6 to 2.3), here and there FAILED_PRECONDITION.
The status is asked for once, and the error names it and the way out; the text itself is not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from containerd_aio.errors import (
    ContainerdError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    StartFailedError,
    UnknownError,
)
from containerd_aio.types import ProcessState, Status

UNENDED: Final = frozenset({ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.PAUSING})
DELETABLE: Final = frozenset({ProcessState.CREATED, ProcessState.STOPPED})

_WAYS: Final = {
    ProcessState.CREATED: "start() it first",
    ProcessState.PAUSED: "resume() the task first",
    ProcessState.PAUSING: "wait until it is paused, and resume() the task",
    ProcessState.STOPPED: "it has ended: delete() it and make another",
}
"""The way out of a state that forbids something, where the call knows no better one."""


@asynccontextmanager
async def state_named(
    what: str,
    name: str,
    status: Callable[[], Awaitable[Status]],
    *,
    allowed: frozenset[ProcessState] = UNENDED,
    ways: Mapping[ProcessState, str] | None = None,
) -> AsyncGenerator[None]:
    """Block with a call that the process's state may forbid; ``allowed`` are the states that do not.

    ``ways`` are ways out of a state that suit this call better than the usual one.

    :raises FailedPreconditionError: if containerd refused it in another state, which the message names
    :raises NotFoundError: if there is no such process any more
    """
    try:
        yield
    except (UnknownError, FailedPreconditionError) as error:
        try:
            state = (await status()).state
        except NotFoundError:
            raise
        except ContainerdError:
            raise error from None
        if state in allowed or state is ProcessState.UNKNOWN:
            raise
        raise state_refused(what, name, state, ways=ways, answer=error) from error


def state_refused(
    what: str,
    name: str,
    state: ProcessState,
    *,
    ways: Mapping[ProcessState, str] | None = None,
    answer: ContainerdError | None = None,
) -> FailedPreconditionError:
    """Return the error for a call that a state forbids, with the way out; ``answer`` is what containerd said."""
    way = {**_WAYS, **(ways or {})}.get(state)
    message = f"{what}: {name} is {state}" + (f"; {way}" if way else "")
    if answer is None:
        return FailedPreconditionError(message, subject=name)
    return answer.reworded(message, FailedPreconditionError)


def reason_of(error: ContainerdError) -> str:
    """Return the runtime's own words in an answer of containerd's."""
    return error.server_message.removesuffix(": unknown").strip()


def start_failed(key: object, error: ContainerdError, *, more: str = "") -> StartFailedError:
    """Return the error of a process that the runtime refused, with the runtime's reason; ``more`` follows it."""
    return error.reworded(f"{key} could not be started: {reason_of(error)}{more}", StartFailedError)


def limits_refused(name: str, error: ContainerdError) -> InvalidArgumentError:
    """Return the error of limits that the kernel does not take, with the runtime's reason."""
    return error.reworded(f"{name} cannot have these limits: {reason_of(error)}", InvalidArgumentError)
