"""What the kinds refuse, and what they pass on."""

from __future__ import annotations

import io
import os

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio import Stdio, attach, inherit, null, pipes, streams
from tests.stdio.shim import PROCESS_ID


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: pipes(stdout=False, terminal=True), id="pipes"),
        pytest.param(lambda: inherit(stdout=False, terminal=True), id="inherit"),
        pytest.param(lambda: streams(io.BytesIO(), terminal=True), id="streams"),
    ],
)
def test_a_terminal_without_stdout_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(InvalidArgumentError, match="a terminal needs stdout"):
        make()


@pytest.mark.parametrize("size", [(0, 24), (80, 0), (65536, 1), (1, -1)])
def test_a_size_that_no_terminal_has_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidArgumentError, match="a terminal cannot have"):
        pipes(terminal=True, size=size)
    with pytest.raises(InvalidArgumentError, match="a terminal cannot have"):
        streams(None, io.BytesIO(), terminal=True, size=size)


def test_only_a_terminal_has_a_size() -> None:
    with pytest.raises(InvalidArgumentError, match="give terminal=True"):
        pipes(size=(80, 24))
    assert pipes(terminal=True, size=(80, 24)).terminal_size() == (80, 24)
    assert pipes(terminal=True).terminal_size() is None
    assert null().terminal_size() is None


def test_keys_that_are_none_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="'ctrl-ä' is neither"):
        inherit(detach_keys="ctrl-ä")


def test_a_terminal_gives_up_stderr() -> None:
    assert streams(None, io.BytesIO(), io.BytesIO(), terminal=True).terminal
    assert inherit(terminal=True).terminal
    assert not pipes().terminal


@pytest.mark.parametrize(
    ("stdio", "uses"),
    [
        pytest.param(null(), False, id="null"),
        pytest.param(streams(), False, id="no streams"),
        pytest.param(inherit(stdin=False, stderr=False), True, id="inherit"),
        pytest.param(streams(io.BytesIO()), True, id="streams"),
        pytest.param(attach(), True, id="attach"),
    ],
)
def test_it_tells_whether_fifos_are_needed(stdio: Stdio, uses: bool) -> None:
    """They need a containerd on this host."""
    assert stdio.uses_fifos is uses


async def test_a_descriptor_that_is_not_open_is_told_before_anything_is_made(fifo_dir: str) -> None:
    closed = os.dup(0)
    os.close(closed)
    with pytest.raises(InvalidArgumentError, match=f"descriptor {closed} is not open"):
        await inherit(descriptors=(0, 1, closed)).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    assert os.listdir(fifo_dir) == []
