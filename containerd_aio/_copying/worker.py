"""Blocking calls on files, in a worker thread.

A call that was begun is let finish, also when its caller is cancelled: what it works on must not be closed under
it. One that does not come back (a FUSE or network filesystem of the container that does not answer) is left behind
after 15 s; it keeps its descriptors until the kernel lets it go, and they are closed then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from threading import Lock
from typing import TypeVar

from anyio import to_thread

from containerd_aio._transport.completion import cleaned_up, completed

T = TypeVar("T")


class Worker:
    """Runs calls in a thread, one after the other; ``held`` is closed when the last of them has ended."""

    def __init__(self) -> None:
        self.held = ExitStack()
        self._lock = Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Return what ``call()`` returns. If cancelled, that takes effect when it has returned (15 s at most)."""

        async def run() -> T:
            return await to_thread.run_sync(self._alone, call, abandon_on_cancel=True)

        return await completed(run)

    async def close(self) -> None:
        """Close what is held, when the last call has ended."""
        await to_thread.run_sync(self._alone, self.held.close, abandon_on_cancel=True)

    def _alone(self, call: Callable[[], T]) -> T:
        with self._lock:
            return call()


@asynccontextmanager
async def working() -> AsyncGenerator[Worker]:
    """Give a worker for the length of the block."""
    worker = Worker()
    error: BaseException | None = None
    try:
        yield worker
    except BaseException as problem:
        error = problem
        raise
    finally:
        await cleaned_up(worker.close, error, "what was open for the copy could not be closed")
