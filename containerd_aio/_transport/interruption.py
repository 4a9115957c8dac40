"""Wake the tasks that wait on a call, and leave their cancellation count as it was.

grpclib wakes a blocked call by ``task.cancel()`` (``grpclib.utils.Wrapper``) and never calls ``uncancel()``. After
such an error was caught, ``task.cancelling()`` stays at 1, and every enclosing ``anyio.fail_after()``,
``anyio.move_on_after()`` and ``asyncio.timeout()`` then lets a bare ``CancelledError`` out instead of doing its
work; and a cancellation from outside that comes at the same moment is swallowed. Here each ``cancel()`` is paid
back, and a cancellation by somebody else wins over the interruption.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from grpclib.utils import Wrapper


class Interruption(Wrapper):
    """A block that ``cancel(error)`` ends, for every task that is in it and for all that enter it later.

    Tasks enter it round each wait (``with interruption: await …``); the block then raises ``error``. The first
    error stays: a stream that was told "GOAWAY" is not told "connection lost" a moment later.
    """

    def __init__(self) -> None:
        super().__init__()
        self._inside: dict[asyncio.Task[Any], int] = {}
        self._woken: set[asyncio.Task[Any]] = set()

    def cancel(self, error: Exception) -> None:
        """End the block with ``error``; does nothing the second time."""
        if self._error is not None:
            return
        self._error = error
        running = asyncio.current_task()
        for task in self._inside:
            # The task that runs now is not waiting: it meets the error where it leaves the block.
            if task is not running:
                task.cancel()
                self._woken.add(task)

    def __enter__(self) -> None:
        if self._error is not None:
            raise self._error
        task = asyncio.current_task()
        assert task is not None
        self._inside[task] = task.cancelling()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        cancelling_before = self._inside.pop(task)
        if self._error is None:
            return
        if task in self._woken:
            self._woken.discard(task)
            task.uncancel()
        if exc_type is asyncio.CancelledError and task.cancelling() > cancelling_before:
            return  # somebody else cancelled the task too: that must go on
        raise self._error
