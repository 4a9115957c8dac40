"""What belongs to the ends of a process's FIFOs, and what becomes of it when there is no more to show."""

from __future__ import annotations

from contextlib import ExitStack

import anyio

from containerd_aio.stdio.ends import Ends
from containerd_aio.stdio.pump import Pump


async def copied(_: Pump) -> None:
    await anyio.lowlevel.checkpoint()


async def test_there_is_nothing_more_to_show_when_all_of_it_is_copied() -> None:
    pump = Pump(copied, name="output")
    ends = Ends(ExitStack(), outputs=[pump])
    assert not ends.nothing_to_show
    pump.start()
    await pump.finished.wait()
    assert ends.nothing_to_show
    await pump.aclose()


async def test_where_nothing_is_copied_there_was_never_anything_to_show() -> None:
    assert not Ends(ExitStack()).nothing_to_show


async def test_no_more_to_show_ends_what_is_typed_only_at_a_terminal() -> None:
    async def typed(_: Pump) -> None:
        await anyio.sleep_forever()

    keys = Pump(typed, name="input")
    keys.start()
    Ends(ExitStack(), input=keys).no_more_to_show()
    await anyio.wait_all_tasks_blocked()
    assert not keys.finished.is_set()
    await keys.aclose()
    assert keys.finished.is_set()


async def test_the_keys_to_leave_are_told() -> None:
    ends = Ends(ExitStack())
    ends.detach()
    assert ends.detached.is_set()
