"""The cleanup at the end of a block: what fails in it is told, however the block has ended."""

from __future__ import annotations

import asyncio
from types import TracebackType

import anyio
import anyio.lowlevel
import pytest

from containerd_aio._transport.completion import cleaned_up


class Block:
    """A block whose cleanup takes a turn of the event loop, and fails if it is told to."""

    def __init__(self, name: str = "it", *, fails: bool = True) -> None:
        self._name = name
        self._fails = fails
        self.cleaned_up = False

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await cleaned_up(self._cleanup, error, f"{self._name} could not be removed")

    async def _cleanup(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.cleaned_up = True
        if self._fails:
            raise OSError("it is busy")


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


async def test_without_an_error_what_fails_is_raised() -> None:
    with pytest.raises(OSError, match="it is busy"):
        async with Block():
            pass


async def test_with_an_error_what_fails_is_a_note_on_it() -> None:
    with pytest.raises(RuntimeError) as raised:
        async with Block():
            raise RuntimeError("the user's")
    assert notes(raised.value) == ["it could not be removed: it is busy"]


async def test_what_fails_again_is_noted_once() -> None:
    block = Block()
    with pytest.raises(RuntimeError) as raised:
        async with block, block:
            raise RuntimeError("the user's")
    assert notes(raised.value) == ["it could not be removed: it is busy"]


@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
async def test_what_fails_after_a_cancellation_by_a_scope_is_noted_on_what_goes_on(fails: bool) -> None:
    """The scope cancels once more at the end of the cleanup."""
    blocks = Block("the task", fails=fails), Block("the container", fails=fails)
    seen: list[str] | None = None
    with anyio.CancelScope() as scope:
        try:
            async with blocks[1], blocks[0]:
                scope.cancel()
                await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            seen = notes(error)
            raise
    assert scope.cancelled_caught
    assert all(block.cleaned_up for block in blocks)
    told = ["the task could not be removed: it is busy", "the container could not be removed: it is busy"]
    assert seen == (told if fails else [])


async def test_what_fails_is_noted_also_where_the_task_is_cancelled_in_the_middle() -> None:
    block = Block()
    seen: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with block:
                asyncio.get_running_loop().call_soon(task.cancel)
        except asyncio.CancelledError as error:
            seen.extend(notes(error))
            raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())
    assert block.cleaned_up
    assert seen == ["it could not be removed: it is busy"]
