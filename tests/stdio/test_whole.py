"""Whole outputs through a shim that is a process of its own, with the opens and the speed of a real one."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream, Process
from anyio.lowlevel import checkpoint

from containerd_aio.stdio import OpenStdio, inherit, pipes, streams
from tests.stdio.shim import PROCESS_ID
from tests.stdio.shim_process import pattern

SHIM = Path(__file__).with_name("shim_process.py")
MIB = 1024 * 1024


async def line(process: Process) -> bytes:
    """Read a line of what the shim says."""
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        text += await process.stdout.receive(1)
    return text[:-1]


@asynccontextmanager
async def shim_process(opened: OpenStdio, *args: str) -> AsyncGenerator[Process]:
    """A shim that has opened its ends; ended by itself, or killed, when the block is left."""
    async with await anyio.open_process([sys.executable, str(SHIM), *args], stderr=None) as process:
        try:
            assert await line(process) == b"started"
            await opened.started()
            yield process
        except BaseException:
            process.kill()
            raise


async def digest(stream: ByteReceiveStream | None, *, pause: bool = False) -> tuple[int, str]:
    assert stream is not None
    sha, size = hashlib.sha256(), 0
    async for chunk in stream:
        sha.update(chunk)
        size += len(chunk)
        if pause:
            await checkpoint()
    return size, sha.hexdigest()


@pytest.mark.parametrize("pause", [False, True], ids=["as it comes", "slowly"])
async def test_64_mib_arrive_whole(fifo_dir: str, pause: bool) -> None:
    opened = await pipes().open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    async with shim_process(opened, "write", str(64 * MIB), opened.stdout_path):
        assert await digest(opened.stdout, pause=pause) == (
            64 * MIB,
            hashlib.sha256(pattern(64 * MIB)).hexdigest(),
        )
    await opened.drain(5)
    assert opened.complete
    await opened.aclose()


async def test_two_outputs_at_once_arrive_whole(fifo_dir: str) -> None:
    opened = await pipes().open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    whole = (4 * MIB, hashlib.sha256(pattern(4 * MIB)).hexdigest())
    async with (
        shim_process(opened, "write", str(4 * MIB), opened.stdout_path, opened.stderr_path),
        anyio.create_task_group() as group,
    ):

        async def check(stream: ByteReceiveStream | None) -> None:
            assert await digest(stream) == whole

        group.start_soon(check, opened.stdout)
        group.start_soon(check, opened.stderr)
    await opened.aclose()


async def test_a_process_that_ended_before_anybody_read_loses_nothing(fifo_dir: str) -> None:
    opened = await pipes().open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    size = 480 * 1024 if os.geteuid() == 0 else 32 * 1024
    async with shim_process(opened, "write", str(size), opened.stdout_path) as process:
        await process.wait()
    await opened.drain(5)
    await opened.aclose()
    assert opened.complete
    assert await digest(opened.stdout) == (size, hashlib.sha256(pattern(size)).hexdigest())


async def test_a_grandchild_that_holds_the_output_is_cut_off(fifo_dir: str) -> None:
    opened = await pipes(stderr=False).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    async with shim_process(opened, "hold", opened.stdout_path) as process:
        grandchild = int(await line(process))
        await process.wait()
        with anyio.fail_after(30):
            await opened.drain(0.1)
    assert not opened.complete
    await opened.aclose()
    assert opened.stdout is not None
    assert b"".join([chunk async for chunk in opened.stdout]) == b"the parent's last words"
    os.kill(grandchild, signal.SIGKILL)


@pytest.mark.parametrize("close_io_first", [False, True])
async def test_input_arrives_whole_whichever_end_closes_first(fifo_dir: str, close_io_first: bool) -> None:
    opened = await pipes(stdin=True).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    data = pattern(4 * MIB)
    async with (
        shim_process(opened, "cat", opened.stdin_path, opened.stdout_path) as process,
        anyio.create_task_group() as group,
    ):

        async def close_io() -> None:
            assert process.stdin is not None
            await process.stdin.send(b"\n")

        async def feed() -> None:
            assert opened.stdin is not None
            if close_io_first:
                await close_io()
            else:
                opened.on_stdin_closed(close_io)
            await opened.stdin.send(data)
            await opened.stdin.aclose()

        group.start_soon(feed)
        assert await digest(opened.stdout) == (len(data), hashlib.sha256(data).hexdigest())
    await opened.aclose()


async def test_a_file_gets_all_of_the_output(fifo_dir: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        opened = await streams(None, file).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
        async with shim_process(opened, "write", str(8 * MIB), opened.stdout_path):
            pass
        await opened.drain(30)
        await opened.aclose()
        assert opened.complete
    assert (tmp_path / "out").read_bytes() == pattern(8 * MIB)


async def test_an_inherited_pipe_and_file_get_all_of_the_output(fifo_dir: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    file = os.open(tmp_path / "err", os.O_WRONLY | os.O_CREAT)
    stdio = inherit(stdin=False, descriptors=(0, writer, file))
    opened = await stdio.open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    async with shim_process(opened, "write", str(MIB), opened.stdout_path, opened.stderr_path):
        got = bytearray()
        while len(got) < MIB:
            await anyio.wait_readable(reader)
            got += os.read(reader, 65536)
    await opened.drain(30)
    await opened.aclose()
    assert bytes(got) == pattern(MIB)
    assert (tmp_path / "err").read_bytes() == pattern(MIB)
    for descriptor in (reader, writer, file):
        os.close(descriptor)


PROGRAM = """
import asyncio, os, sys
from containerd_aio.stdio import inherit

async def main(fifo_dir):
    opened = await inherit().open(process_id="web", fifo_dir=fifo_dir)
    shim_in = os.open(opened.stdin_path, os.O_RDONLY | os.O_NONBLOCK)
    out = os.open(opened.stdout_path, os.O_WRONLY)
    err = os.open(opened.stderr_path, os.O_WRONLY)
    closed = asyncio.Event()
    async def close_io():
        closed.set()
    opened.on_stdin_closed(close_io)
    await opened.started()
    await closed.wait()
    os.write(out, b"echo: " + os.read(shim_in, 100))
    os.write(err, b"done")
    for descriptor in (shim_in, out, err):
        os.close(descriptor)
    await opened.drain(5)
    await opened.aclose()
    assert opened.complete
    assert all(os.get_blocking(descriptor) for descriptor in (0, 1, 2))

asyncio.run(main(sys.argv[1]))
"""


async def test_a_programs_own_three_streams_are_inherited(fifo_dir: str) -> None:
    with anyio.fail_after(30):
        ended = await anyio.run_process(
            [sys.executable, "-W", "error", "-c", PROGRAM, fifo_dir], input=b"typed", check=False
        )
    assert (ended.stdout, ended.stderr, ended.returncode) == (b"echo: typed", b"done", 0)
