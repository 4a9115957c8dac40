"""Keys to detach: what is typed passes, but for the keys, however it comes in pieces."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio.detach import DetachableSource, parse_detach_keys


class Typed(anyio.abc.ByteReceiveStream):
    """Pieces that were typed, then the end."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._pieces:
            raise anyio.EndOfStream
        return self._pieces.pop(0)

    async def aclose(self) -> None: ...


async def passed(keys: bytes, *pieces: bytes) -> tuple[bytes, bool]:
    """What of it is passed on, and whether the keys were found: then nothing more comes, and no end."""
    found = anyio.Event()
    source = DetachableSource(Typed(*pieces), keys, found.set)
    typed = b""
    async with anyio.create_task_group() as group:

        async def stop() -> None:
            await found.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()

        group.start_soon(stop)
        async for piece in source:
            assert piece
            typed += piece
        group.cancel_scope.cancel()
    return typed, found.is_set()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", b""),
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("ctrl-P", b"\x10"),
        ("ctrl-@,ctrl-[,ctrl-_,ctrl-\\", b"\x00\x1b\x1f\x1c"),
        ("a,~,ctrl-a", b"a~\x01"),
    ],
)
def test_keys_are_the_bytes_that_a_terminal_sends(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ctrl-pq", "ab", "a,,b", "\u00e9", ",", "alt-x"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="neither one character nor ctrl- and a letter"):
        parse_detach_keys(text)


@pytest.mark.parametrize(
    ("pieces", "typed", "found"),
    [
        pytest.param([b"plain"], b"plain", False, id="none"),
        pytest.param([b"a\x10\x11b"], b"a", True, id="in one piece"),
        pytest.param([b"a\x10", b"\x11b"], b"a", True, id="in two"),
        pytest.param([b"\x10", b"x"], b"\x10x", False, id="begun and left"),
        pytest.param([b"\x10", b"\x10", b"\x11"], b"\x10", True, id="begun twice"),
        pytest.param([b"a\x10"], b"a\x10", False, id="begun at the end"),
        pytest.param([b"\x11\x10"], b"\x11\x10", False, id="the other way round"),
    ],
)
async def test_the_keys_are_found_in_any_pieces(pieces: list[bytes], typed: bytes, found: bool) -> None:
    assert await passed(b"\x10\x11", *pieces) == (typed, found)


@given(
    keys=st.text("ab", min_size=1, max_size=4).map(str.encode),
    pieces=st.lists(st.text("ab", min_size=1, max_size=6).map(str.encode), max_size=6),
)
def test_however_it_is_cut_the_same_is_passed(keys: bytes, pieces: list[bytes]) -> None:
    before, found, _ = b"".join(pieces).partition(keys)
    assert anyio.run(passed, keys, *pieces) == (before, bool(found))
