"""The ends of a process's output on a real shim: complete, or cut off in a known time, and never without a word."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteReceiveStream

from containerd_aio import NotFoundError, Process, StartFailedError, inherit, pipes
from containerd_aio._process import ending
from containerd_aio.stdio import stall
from containerd_aio.stdio.receive import KEPT_BYTES
from tests.integration.conftest import Shared

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


async def digest(stream: ByteReceiveStream | None, *, slowly: bool = False) -> tuple[int, str]:
    assert stream is not None
    sha, size = hashlib.sha256(), 0
    async for chunk in stream:
        sha.update(chunk)
        size += len(chunk)
        if slowly:
            await anyio.sleep(0.001)
    return size, sha.hexdigest()


async def whole(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([chunk async for chunk in stream])


async def ended(process: Process) -> int:
    with anyio.fail_after(60):
        return (await process.wait()).code


@pytest.fixture(scope="module")
async def numbered(shared: Shared) -> bytes:
    """What ``cat /tmp/numbered`` writes, 16 MiB: each line has its number, so that a hole or a swap would show."""
    data = b"".join(b"%015d\n" % number for number in range(MIB))
    await shared.host.run(["sh", "-c", "cat > /tmp/numbered"], input=data, check=True)
    return data


def digest_of(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("slowly", [False, True], ids=["as it comes", "slowly"])
async def test_64_mib_are_complete_32_on_each_stream_at_once(
    shared: Shared, numbered: bytes, slowly: bool
) -> None:
    script = "(cat /tmp/numbered /tmp/numbered) & cat /tmp/numbered /tmp/numbered >&2; wait"
    async with await shared.host.exec("both", ["sh", "-c", script], stdio=pipes()) as process:
        await process.start()
        got: dict[str, tuple[int, str]] = {}

        async def read(name: str, stream: ByteReceiveStream | None) -> None:
            got[name] = await digest(stream, slowly=slowly)

        async with anyio.create_task_group() as group:
            group.start_soon(read, "stdout", process.stdout)
            group.start_soon(read, "stderr", process.stderr)
        assert await ended(process) == 0
        await process.delete()
        assert got == dict.fromkeys(("stdout", "stderr"), digest_of(numbered * 2))
        assert process.stdio.complete


async def test_a_single_byte_on_each_stream_is_there_after_the_delete(shared: Shared) -> None:
    script = "printf o; printf e >&2"
    async with await shared.host.exec("byte", ["sh", "-c", script], stdio=pipes()) as process:
        await process.start()
        await ended(process)
        await process.delete()
        assert (await whole(process.stdout), await whole(process.stderr)) == (b"o", b"e")
        assert process.stdio.complete


async def test_what_the_pipes_still_hold_is_readable_after_the_delete(
    shared: Shared, numbered: bytes
) -> None:
    size = 256 * 1024 if os.geteuid() == 0 else 32 * 1024
    script = f"head -c {size} /tmp/numbered; tail -c {size} /tmp/numbered >&2"
    async with await shared.host.exec("held", ["sh", "-c", script], stdio=pipes()) as process:
        await process.start()
        await ended(process)
        await process.delete()
        assert await whole(process.stdout) == numbered[:size]
        assert await whole(process.stderr) == numbered[-size:]
        assert process.stdio.complete


async def test_a_reader_that_stops_holds_the_process_up_and_whoever_waits_is_told_why(
    shared: Shared,
    numbered: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """wait() is pending: the process has not ended. Reading on lets it end."""
    monkeypatch.setattr(stall, "PATIENCE", 0.05)
    async with await shared.host.exec("full", ["cat", "/tmp/numbered"], stdio=pipes()) as process:
        exited = process.wait()
        await process.start()
        async with said(caplog):
            assert not exited.done()
        assert process.stdio.full == ("stdout",)
        assert not exited.done()
        [record] = [record for record in caplog.records if record.name == "containerd_aio.stdio"]
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith(
            "exec 'full' of container 'host' is waited for, but cannot go on"
        )
        assert await digest(process.stdout) == digest_of(numbered)
        with anyio.fail_after(60):
            assert (await exited).code == 0


async def test_leaving_the_block_of_a_process_that_nobody_reads_takes_no_time(shared: Shared) -> None:
    with anyio.fail_after(60):
        async with await shared.host.exec("yes", ["yes"], stdio=pipes()) as process:
            await process.start()
    kept = await whole(process.stdout)
    assert kept.replace(b"y\n", b"") in (b"", b"y"), "what was written before it was killed"
    assert len(kept) <= KEPT_BYTES


async def test_what_our_own_output_takes_only_after_the_delete_is_not_lost(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``| less``. Delete is answered, and its process's output was bounded by that once."""
    monkeypatch.setattr(ending, "LAST_OUTPUT_SECONDS", 0.05)
    last = 100_000  # 575 KiB: the pipe, our FIFO and what is under way hold 640
    reader, writer = os.pipe()
    stdio = inherit(stdin=False, descriptors=(0, writer, writer))
    async with (
        await shared.host.exec("paged", ["seq", str(last)], stdio=stdio) as process,
        anyio.create_task_group() as group,
    ):
        await process.start()
        await ended(process)
        group.start_soon(process.delete)
        with anyio.fail_after(60), pytest.raises(NotFoundError):
            while True:
                await process.status()
        await shared.host.run(["true"])
        shown = b""
        with anyio.fail_after(60):
            while not shown.endswith(b"\n%d\n" % last):
                await anyio.wait_readable(reader)
                shown += os.read(reader, 65536)
    assert shown == b"".join(b"%d\n" % number for number in range(1, last + 1))
    assert process.stdio.complete
    os.close(reader)
    os.close(writer)


async def test_closing_a_stream_lets_the_process_end(shared: Shared, numbered: bytes) -> None:
    async with await shared.host.exec("dropped", ["cat", "/tmp/numbered"], stdio=pipes()) as process:
        await process.start()
        assert process.stdout is not None
        await process.stdout.receive()
        await process.stdout.aclose()
        assert await ended(process) == 0
        await process.delete()
        assert process.stdio.complete, "nobody wanted it"


@asynccontextmanager
async def said(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Wait at the end of the block until something was logged by stdio."""
    logged = anyio.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.set()

    logger, listener = logging.getLogger("containerd_aio.stdio"), Listener()
    logger.addHandler(listener)
    try:
        yield
        with anyio.fail_after(60):
            await logged.wait()
    finally:
        logger.removeHandler(listener)


# -- processes left behind --------------------------------------------------------------------------------------


async def test_a_grandchild_that_holds_the_output_is_cut_off_when_the_shim_has_waited_for_it(
    shared: Shared,
) -> None:
    """2 s, and 10 s from containerd 1.7.29, 2.0.7, 2.1.5 and 2.2.0 on; then the shim closes the output."""
    script = "sleep 3600 & echo said"
    async with await shared.host.exec("parent", ["sh", "-c", script], stdio=pipes(stderr=False)) as process:
        await process.start()
        assert process.stdout is not None
        assert await process.stdout.receive() == b"said\n"
        assert await ended(process) == 0
        with anyio.fail_after(60):
            await process.delete()
        assert await whole(process.stdout) == b""
        assert not process.stdio.complete


async def test_a_grandchild_that_ends_in_time_is_heard_to_its_end(shared: Shared) -> None:
    await shared.host.run(["mkfifo", "/tmp/later"], check=True)
    script = "(read go < /tmp/later; echo later) & echo said"
    async with await shared.host.exec("patient", ["sh", "-c", script], stdio=pipes(stderr=False)) as process:
        await process.start()
        assert await ended(process) == 0
        go = os.open(f"/proc/{shared.host.pid}/root/tmp/later", os.O_RDWR)
        async with anyio.create_task_group() as group:
            group.start_soon(process.delete)
            await anyio.wait_all_tasks_blocked()
            os.write(go, b"\n")
        os.close(go)
        assert await whole(process.stdout) == b"said\nlater\n"
        assert process.stdio.complete


async def test_more_than_is_kept_is_cut_off_and_known_to_be(shared: Shared, numbered: bytes) -> None:
    """A grandchild writes more than 1 MiB, on when the process has ended, and nobody reads."""
    script = "cat /tmp/numbered & true"
    async with await shared.host.exec("flood", ["sh", "-c", script], stdio=pipes(stderr=False)) as process:
        await process.start()
        assert await ended(process) == 0
        with anyio.fail_after(60):
            await process.delete()
        assert not process.stdio.complete
        kept = await whole(process.stdout)
        assert len(kept) == KEPT_BYTES
        assert numbered.startswith(kept)


# -- processes that never ran -----------------------------------------------------------------------------------

REASONS: Mapping[str, tuple[list[str], str]] = {
    "no such binary": (["/no/such/binary"], "no such file or directory"),
    "not in PATH": (["nosuchbinary"], "executable file not found"),
    "not executable": (["/etc/passwd"], "permission denied"),
    "a directory": (["/etc"], "is a directory|permission denied"),
}


@pytest.mark.parametrize("kind", ["task", "exec"])
@pytest.mark.parametrize("why", REASONS)
async def test_a_process_that_cannot_start_tells_why_and_so_do_its_waits(
    shared: Shared, why: str, kind: str
) -> None:
    args, reason = REASONS[why]
    stdio = pipes(stdin=True)
    async with await shared.client.new_container("broken", image=shared.image, args=args) as container:
        if kind == "task":
            with pytest.raises(StartFailedError, match=f"(?i){reason}"):
                await container.new_task(stdio=stdio)
            return
        async with await shared.host.exec("broken", args, stdio=stdio) as process:
            exited = process.wait()
            with pytest.raises(StartFailedError, match=f"(?i){reason}"):
                await process.start()
            for wait in (exited, process.wait()):
                with anyio.fail_after(60), pytest.raises(StartFailedError, match=f"(?i){reason}"):
                    await wait
            assert await whole(process.stdout) == b""
            assert await whole(process.stderr) == b""
            assert process.stdin is not None
            with pytest.raises(anyio.ClosedResourceError):
                await process.stdin.send(b"for nobody")


async def test_an_exec_in_a_directory_that_is_missing_tells_so(shared: Shared) -> None:
    async with await shared.host.exec("lost", ["true"], cwd="/no/such/place", stdio=pipes()) as process:
        with pytest.raises(StartFailedError, match=r"(?i)/no/such/place.*no such file or directory"):
            await process.start()


# -- terminals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["task", "exec"])
async def test_megabytes_at_a_terminal_are_complete_to_the_last_number(shared: Shared, kind: str) -> None:
    last = 150_000  # 1 MB
    args = ["seq", str(last)]
    stdio = pipes(terminal=True)
    async with await shared.client.new_container("seq", image=shared.image, args=args) as container:
        made = (
            await container.new_task(stdio=stdio)
            if kind == "task"
            else await shared.host.exec("seq", args, stdio=stdio)
        )
        async with made as process:
            assert process.stderr is None
            await process.start()
            shown = await whole(process.stdout)
            assert await ended(process) == 0
            assert shown == b"".join(b"%d\r\n" % number for number in range(1, last + 1))
