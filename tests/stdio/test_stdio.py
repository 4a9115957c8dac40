"""A description of stdio is a value: it can be kept, compared and used again, and nothing is open in it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from containerd_aio.stdio import log_file, null, pipes
from tests.stdio.shim import running


def test_equal_descriptions_are_equal() -> None:
    assert pipes(stdin=True) == pipes(stdin=True) != pipes()
    assert {null(): 1}[null()] == 1


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        log_file("/x").terminal = True  # type: ignore[misc]


async def test_it_can_be_used_again(fifo_dir: str) -> None:
    stdio = pipes()
    for _ in range(2):
        async with running(stdio, fifo_dir) as (opened, shim):
            await shim.write(b"x")
            assert opened.stdout is not None
            assert await opened.stdout.receive() == b"x"
