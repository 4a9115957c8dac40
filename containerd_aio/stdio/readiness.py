"""Waiting until a descriptor may be read or written: the event loop's readers and writers as an ``await``."""

from __future__ import annotations

import asyncio


class Readiness:
    """Tells when a descriptor is ready, to any number of tasks.

    The descriptor is watched only while somebody waits; it must not be closed before ``stop()``.
    """

    def __init__(self, descriptor: int, *, write: bool = False) -> None:
        self._descriptor = descriptor
        self._write = write
        self._waiters: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # the one that watches now

    async def wait(self) -> None:
        """Wait until the descriptor is ready, at its end, or ``stop()`` is called.

        Cancelling takes nothing from the descriptor: reading is the caller's part.

        :raises PermissionError: if this kind of file cannot be watched (regular files, ``/dev/null``)
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._watch(loop)
        waiter = loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._unwatch()

    def stop(self) -> None:
        """Wake all who wait, and watch no longer."""
        self._unwatch()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._write:
            loop.add_writer(self._descriptor, self.stop)
        else:
            loop.add_reader(self._descriptor, self.stop)
        self._loop = loop

    def _unwatch(self) -> None:
        if self._loop is None:
            return
        if self._write:
            self._loop.remove_writer(self._descriptor)
        else:
            self._loop.remove_reader(self._descriptor)
        self._loop = None
