"""Archives on stdin and stdout."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator

import pytest

from containerd_aio.cli.archives import check_piped_out, piped_in
from containerd_aio.errors import InvalidArgumentError


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_a_person_neither_types_an_archive_nor_reads_one(
    terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(terminal, "r+b", buffering=0, closefd=False) as file:
        monkeypatch.setattr(sys, "stdin", file)
        monkeypatch.setattr(sys, "stdout", file)
        with pytest.raises(InvalidArgumentError, match="pipe one in, or name a file"):
            piped_in()
        with pytest.raises(InvalidArgumentError, match="pipe it on, or name a file"):
            check_piped_out()


async def test_stdin_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"an archive")
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        async with piped_in() as stream:
            assert [chunk async for chunk in stream] == [b"an archive"]
        assert os.fstat(reading)
