"""Where an archive's bytes come from, and how they are decompressed and bounded."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._tar.source import PIECE, ArchiveBytes, ArchiveSource, open_source
from containerd_aio.errors import InvalidArgumentError

DATA = os.urandom(1000) + b"compressible " * 100


async def read(source: ArchiveSource, *, max_size: int = 1 << 30) -> bytes:
    """All bytes of an archive, decompressed."""
    async with open_source(source) as chunks:
        archive = ArchiveBytes(chunks, max_size=max_size)
        content = b""
        while piece := await archive.receive():
            content += piece
        return content


class Stream:
    """A stream that gives these chunks."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = list(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture(params=["plain", "gzip"])
def packed(request: pytest.FixtureRequest) -> bytes:
    return DATA if request.param == "plain" else gzip.compress(DATA)


async def test_bytes_of_every_kind_are_read(packed: bytes) -> None:
    assert await read(packed) == DATA
    assert await read(bytearray(packed)) == DATA
    assert await read(memoryview(packed)) == DATA


async def test_a_path_is_read(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(packed)
    assert await read(tmp_path / "archive") == DATA
    assert await read(str(tmp_path / "archive")) == DATA


async def test_a_binary_file_object_is_read_and_left_open(packed: bytes) -> None:
    file = io.BytesIO(packed)
    assert await read(file) == DATA
    assert not file.closed


@pytest.mark.parametrize("size", [1, 3, 1000, 100_000])
async def test_a_stream_is_read_in_whatever_pieces_it_comes(packed: bytes, size: int) -> None:
    assert await read(Stream(split(packed, size))) == DATA


async def test_an_anyio_stream_is_read(packed: bytes) -> None:
    send, receive = anyio.create_memory_object_stream[bytes](100)
    async with send:
        for chunk in split(packed, 500):
            await send.send(chunk)
    stream: MemoryObjectReceiveStream[bytes] = receive
    async with stream:
        assert await read(stream) == DATA


async def test_an_empty_chunk_is_not_the_end(packed: bytes) -> None:
    assert await read(Stream([b"", packed[:5], b"", packed[5:], b""])) == DATA


async def test_exactly_so_many_bytes_are_given_and_fewer_only_at_the_end() -> None:
    async with open_source(Stream(split(DATA, 7))) as chunks:
        archive = ArchiveBytes(chunks, max_size=1 << 20)
        assert await archive.receive_exactly(512) == DATA[:512]
        assert await archive.receive_exactly(len(DATA)) == DATA[512:]
        assert await archive.receive_exactly(512) == b""


async def test_gzip_of_several_members_with_padding_is_read() -> None:
    packed = gzip.compress(DATA[:500]) + gzip.compress(DATA[500:]) + b"\0" * 512
    for size in (1, 100, len(packed)):
        assert await read(Stream(split(packed, size))) == DATA


def test_gzip_by_the_command_is_read() -> None:
    packed = subprocess.run(["gzip", "-c"], input=DATA, capture_output=True, check=True).stdout
    assert anyio.run(read, packed) == DATA


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh91AY", "bzip2"), (b"PK\x03\x04", "zip")],
)
async def test_other_compressions_are_refused_by_name(head: bytes, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"compressed with {name}"):
        await read(head + b"\0" * 100)
    with pytest.raises(InvalidArgumentError, match=f"compressed with {name}"):
        await read(Stream(split(head, 1)))


async def test_an_empty_source_is_refused() -> None:
    for source in (b"", Stream([]), Stream([b"", b""])):
        with pytest.raises(InvalidArgumentError, match="the archive is empty"):
            await read(source)


@given(st.integers(1, 200))
async def test_truncated_gzip_is_refused(missing: int) -> None:
    with pytest.raises(InvalidArgumentError, match="truncated: its gzip compression does not end"):
        await read(gzip.compress(DATA)[:-missing])


@given(st.integers(0, len(gzip.compress(DATA, mtime=0)) - 1), st.integers(1, 255))
async def test_a_flipped_byte_in_gzip_is_refused_or_changes_nothing(at: int, flip: int) -> None:
    packed = bytearray(gzip.compress(DATA, mtime=0))
    packed[at] ^= flip
    with contextlib.suppress(InvalidArgumentError):
        # A flip in the magic number makes it a plain archive; the tar reader refuses that.
        assert await read(bytes(packed)) in (DATA, bytes(packed))


async def test_the_rest_of_a_compressed_archive_is_checked_on_request() -> None:
    packed = bytearray(gzip.compress(DATA))
    packed[-5] ^= 1  # the checksum, which comes in a piece of its own
    async with open_source(Stream([bytes(packed[:-8]), bytes(packed[-8:])])) as chunks:
        archive = ArchiveBytes(chunks, max_size=1 << 20)
        assert await archive.receive_exactly(100) == DATA[:100]
        with pytest.raises(InvalidArgumentError, match="gzip compression is damaged"):
            await archive.check_rest()


async def test_what_follows_in_a_plain_stream_stays_unread() -> None:
    stream = Stream([DATA, b"the next thing"])
    async with open_source(stream) as chunks:
        archive = ArchiveBytes(chunks, max_size=1 << 20)
        await archive.receive_exactly(len(DATA))
        await archive.check_rest()
    assert await anext(stream) == b"the next thing"


async def test_a_gzip_bomb_stops_at_the_bound_and_comes_in_small_pieces() -> None:
    """100 MiB of zeros in 100 kB: never more than a piece of it is in memory."""
    compressor = zlib.compressobj(9, wbits=31)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(100)) + compressor.flush()
    taken: list[int] = []

    async def swallow() -> None:
        async with open_source(bomb) as chunks:
            archive = ArchiveBytes(chunks, max_size=10 << 20)
            while piece := await archive.receive(1 << 30):
                taken.append(len(piece))

    with pytest.raises(InvalidArgumentError, match="more than 10485760 bytes; a larger one needs max_size="):
        await swallow()
    assert max(taken) <= PIECE
    assert sum(taken) == 10 << 20


@pytest.mark.parametrize("data", [bytes(20 << 20), gzip.compress(bytes(20 << 20))], ids=["plain", "gzip"])
async def test_an_archive_in_memory_lets_others_have_their_turn(data: bytes) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await read(data)
        group.cancel_scope.cancel()
    assert turns >= 20, "one for each MiB"


async def test_the_bound_counts_plain_bytes_too() -> None:
    assert await read(DATA, max_size=len(DATA)) == DATA
    with pytest.raises(InvalidArgumentError, match="more than"):
        await read(DATA, max_size=len(DATA) - 1)


async def test_a_path_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"cannot read the archive .*nowhere"):
        await read(tmp_path / "nowhere")
    with pytest.raises(InvalidArgumentError, match="cannot read the archive"):
        await read("a\0b")


async def test_a_directory_and_a_fifo_are_no_files(tmp_path: Path) -> None:
    """Opening a FIFO to read would block until a writer comes."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo"):
        with anyio.fail_after(60), pytest.raises(InvalidArgumentError, match="is not a file; give a stream"):
            await read(path)


async def test_a_file_opened_as_text_is_refused() -> None:
    text: object = io.StringIO("not bytes")
    with pytest.raises(InvalidArgumentError, match="open it in binary mode"):
        await read(text)  # type: ignore[arg-type]


async def test_an_error_of_the_stream_itself_goes_through() -> None:
    class Broken(Stream):
        async def __anext__(self) -> bytes:
            raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        await read(Broken([]))


class _Pipe(io.RawIOBase):
    """A file that has nothing to read until somebody lets it go on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.begun.set()
        self.let_go.wait(20)
        return b""


async def test_a_file_that_has_nothing_to_read_does_not_hold_up_who_is_cancelled() -> None:
    pipe = _Pipe()
    try:
        async with open_source(pipe) as chunks:  # type: ignore[arg-type]

            async def read() -> None:
                await anext(chunks)

            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    await anyio.to_thread.run_sync(pipe.begun.wait, 20)
                    scope.cancel()
        assert not pipe.let_go.is_set()
        assert scope.cancelled_caught
    finally:
        pipe.let_go.set()
