"""What containerd refuses without a class of failure, explained.

containerd's state machine answers UNKNOWN and a text (containerd 1.6 to 2.3). The status is asked for once, and
the error names it; the text itself is not looked at.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from containerd_aio.errors import ContainerdError, FailedPreconditionError, StartFailedError, UnknownError
from containerd_aio.types import ProcessState, Status

UNENDED: Final = frozenset({ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.PAUSING})
DELETABLE: Final = frozenset({ProcessState.CREATED, ProcessState.STOPPED})


@asynccontextmanager
async def state_named(
    what: str,
    name: str,
    status: Callable[[], Awaitable[Status]],
    *,
    allowed: frozenset[ProcessState] = UNENDED,
) -> AsyncGenerator[None]:
    """Block with a call that the process's state may forbid; ``allowed`` are the states that do not.

    :raises FailedPreconditionError: if containerd refused it in another state, which the message names
    """
    try:
        yield
    except UnknownError as error:
        state = (await status()).state
        if state in allowed:
            raise
        raise FailedPreconditionError(
            f"{what}: {name} is {state}",
            method=error.method,
            subject=error.subject,
            server_message=error.server_message,
        ) from error


def start_failed(key: object, error: ContainerdError) -> StartFailedError:
    """Return the error of a process that the runtime refused, with the runtime's reason."""
    reason = error.server_message.removesuffix(": unknown")
    return StartFailedError(
        f"{key} could not be started: {reason}",
        method=error.method,
        subject=error.subject,
        server_message=error.server_message,
    )
