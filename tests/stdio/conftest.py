"""What every test of stdio is held to: no descriptor and no FIFO may be left."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, and what they are open on."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the one that listed them
    return found


def exists(path: str | Path) -> bool:
    """Whether there is such a path."""
    return os.path.lexists(path)


@pytest.fixture
def fifo_dir(tmp_path: Path) -> str:
    """A directory for FIFOs that does not exist yet."""
    return str(tmp_path / "run" / "fifo")


@pytest.fixture(autouse=True)
def nothing_left(fifo_dir: str) -> Generator[None]:
    """Fail the test if it leaves a descriptor open or a FIFO behind."""
    before = descriptors()
    yield
    assert descriptors() == before
    assert not exists(fifo_dir) or os.listdir(fifo_dir) == []
