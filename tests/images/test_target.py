"""Where an archive goes: a file that is whole or as it was, any binary file, a stream."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from anyio.abc import ByteSendStream

from containerd_aio._images.target import open_target
from containerd_aio.errors import InvalidArgumentError


class Collected(ByteSendStream):
    """A stream that keeps what was sent."""

    def __init__(self) -> None:
        self.data = b""

    async def send(self, item: bytes) -> None:
        self.data += item

    async def aclose(self) -> None: ...


class Sluggish(io.RawIOBase):
    """A file that takes three bytes at a time."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self.data += bytes(data[:3])
        return min(3, len(data))


async def test_a_file_is_there_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    async with open_target(path) as write:
        await write(b"one ")
        assert not path.exists()
        await write(b"two")
    assert path.read_bytes() == b"one two"
    assert os.listdir(tmp_path) == ["a.tar"]


async def test_an_old_file_stays_until_then_and_where_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        async with open_target(os.fspath(path)) as write:
            await write(b"new")
            assert path.read_bytes() == b"old"
            raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.tar"]
    async with open_target(path) as write:
        await write(b"new")
    assert path.read_bytes() == b"new"


async def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    async with open_target(tmp_path / "link") as write:
        await write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


async def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    """A checkpoint holds the memory of processes."""
    async with open_target(tmp_path / "a.tar"):
        pass
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("/dev/null", "is not a file", id="a device"),
        pytest.param("/", "is not a file", id="a directory"),
        pytest.param("/no/such/directory/a.tar", "cannot write the archive", id="no directory"),
        pytest.param("/dev/null/a.tar", "cannot write the archive", id="below a file"),
        pytest.param("a\0b", "cannot write the archive", id="no path"),
        pytest.param("/tmp/" + 300 * "a", "cannot write the archive", id="too long"),
    ],
)
async def test_a_path_of_no_file_is_refused(path: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        async with open_target(path):
            pass


async def test_a_binary_file_and_a_stream_take_the_bytes() -> None:
    buffer, sluggish, stream = io.BytesIO(), Sluggish(), Collected()
    for target in (buffer, sluggish, stream):
        async with open_target(target) as write:  # type: ignore[arg-type]
            await write(b"one ")
            await write(b"two")
    assert (buffer.getvalue(), sluggish.data, stream.data) == (b"one two", b"one two", b"one two")
    assert not buffer.closed
