"""Background work: the only place that starts an asyncio task.

A task group round the user's block would not do: it turns the user's ``ValueError`` into an ``ExceptionGroup``,
and it dies with the user's cancel scope, so that a shielded wait in the user's cleanup would hang. So the work is
a task of its own that somebody owns, closes, and hears from when it crashes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import anyio

_log: Final = logging.getLogger("containerd_aio")


class Background:
    """A coroutine that runs beside its owner until it ends, crashes, or ``aclose()`` ends it."""

    def __init__(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        crashed: Callable[[BaseException], None],
    ) -> None:
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(
            self._supervised(run, name, crashed), name=f"containerd_aio: {name}", context=Context()
        )

    @classmethod
    def start(
        cls,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        crashed: Callable[[BaseException], None],
    ) -> Background:
        """Begin to run ``run()`` in an empty context, so that no lease or other variable of the caller sticks.

        If it ends by an exception other than its own cancellation, that is logged once and given to
        ``crashed``, which must not raise.
        """
        return cls(run, name=name, crashed=crashed)

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._task.done()

    def cancel(self) -> None:
        """Ask it to end, and do not wait for that; ``aclose()`` does."""
        self._closing = True
        self._task.cancel()

    async def aclose(self) -> None:
        """Cancel it and wait until it has ended; idempotent.

        The wait goes on if the caller is cancelled meanwhile, and its cancellation goes on after the wait.
        """
        if self._task is asyncio.current_task():
            raise RuntimeError("background work cannot wait for its own end")
        self._closing = True
        self._task.cancel()
        cancelled: asyncio.CancelledError | None = None
        with anyio.CancelScope(shield=True):
            while not self._task.done():
                try:
                    await asyncio.wait([self._task])
                except asyncio.CancelledError as exc:  # Task.cancel(), which no scope of anyio holds off
                    cancelled = exc
        if cancelled is not None:
            raise cancelled

    async def _supervised(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        crashed: Callable[[BaseException], None],
    ) -> None:
        try:
            await run()
        except asyncio.CancelledError as exc:
            if self._closing or cancelled_from_outside():
                raise
            error: BaseException = exc
        except Exception as exc:
            error = exc
        else:
            return
        _log.error("background work %r crashed", name, exc_info=error)
        crashed(error)


def cancelled_from_outside() -> bool:
    """Tell whether somebody has cancelled this task, as ``asyncio.run()`` does with all of them at its end.

    Else a ``CancelledError`` is of something that it awaits.

    Of a task with task groups inside this cannot be told for certain: anyio 4.16 gives one cancellation too many
    back where groups in a child of a group are cancelled with it.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
