"""Stdin on a real shim: what is sent arrives, nobody is flooded, and the end comes when it is closed."""

from __future__ import annotations

import io
import os

import anyio
import pytest
from anyio.abc import ByteReceiveStream

from containerd_aio import Process, attach, pipes, streams
from tests.integration.conftest import Shared

pytestmark = pytest.mark.integration

MIB = 1024 * 1024


async def whole(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([chunk async for chunk in stream])


async def code(process: Process) -> int:
    with anyio.fail_after(60):
        return (await process.wait()).code


async def test_what_is_sent_before_start_is_read(shared: Shared) -> None:
    async with await shared.host.exec("early", ["cat"], stdio=pipes(stdin=True)) as process:
        assert process.stdin is not None
        await process.stdin.send(b"early, ")
        await process.start()
        await process.stdin.send(b"late")
        await process.stdin.aclose()
        assert await whole(process.stdout) == b"early, late"
        assert await code(process) == 0


@pytest.mark.parametrize("kind", ["task", "exec"])
async def test_stdin_that_is_closed_before_start_ends_at_once(shared: Shared, kind: str) -> None:
    """CloseIO can be told only once the process is started."""
    stdio = pipes(stdin=True)
    async with await shared.client.new_container("cat", image=shared.image, args=["cat"]) as container:
        made = (
            await container.new_task(stdio=stdio)
            if kind == "task"
            else await shared.host.exec("cat", ["cat"], stdio=stdio)
        )
        async with made as process:
            assert process.stdin is not None
            await process.stdin.send(b"all there is")
            await process.stdin.aclose()
            await process.start()
            assert await whole(process.stdout) == b"all there is"
            assert await code(process) == 0


async def test_close_io_ends_the_input_as_well(shared: Shared) -> None:
    async with await shared.host.exec("closed", ["cat"], stdio=pipes(stdin=True)) as process:
        await process.start()
        assert process.stdin is not None
        await process.stdin.send(b"sent")
        await process.close_io()
        await process.close_io()
        assert await whole(process.stdout) == b"sent"
        assert await code(process) == 0
        with pytest.raises(anyio.ClosedResourceError):
            await process.stdin.send(b"more")


@pytest.mark.parametrize("kind", ["task", "exec"])
async def test_close_io_before_the_start_is_the_end_of_what_was_sent(shared: Shared, kind: str) -> None:
    """Of an exec the shim would take it, and do nothing: it has opened no stdin yet."""
    stdio = pipes(stdin=True)
    async with await shared.client.new_container("cat", image=shared.image, args=["cat"]) as container:
        made = (
            await container.new_task(stdio=stdio)
            if kind == "task"
            else await shared.host.exec("cat", ["cat"], stdio=stdio)
        )
        async with made as process:
            assert process.stdin is not None
            await process.stdin.send(b"all there is")
            await process.close_io()
            with pytest.raises(anyio.ClosedResourceError):
                await process.stdin.send(b"more")
            await process.start()
            assert await code(process) == 0
            assert await whole(process.stdout) == b"all there is"


async def test_a_process_that_does_not_read_holds_the_sender_who_can_be_cancelled(shared: Shared) -> None:
    async with await shared.host.exec(
        "deaf", ["sh", "-c", "read line; wc -c"], stdio=pipes(stdin=True)
    ) as process:
        await process.start()
        assert process.stdin is not None
        sent = 0
        with anyio.move_on_after(0.5):
            while True:
                await process.stdin.send(bytes(4096))
                sent += 4096
        # What was taken: the FIFO, the shim's buffer, the pipe to the process; nothing of it here.
        assert sent < 2 * MIB
        await process.kill()
        with anyio.fail_after(60):
            await code(process)


async def test_a_sender_that_waits_goes_on_when_the_process_reads(shared: Shared) -> None:
    script = "read go < /tmp/go; sha256sum"
    await shared.host.run(["mkfifo", "/tmp/go"], check=True)
    data = os.urandom(4 * MIB)
    async with await shared.host.exec("slow", ["sh", "-c", script], stdio=pipes(stdin=True)) as process:
        await process.start()
        assert process.stdin is not None
        stdin = process.stdin
        done = anyio.Event()

        async def feed() -> None:
            await stdin.send(data)
            await stdin.aclose()
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(feed)
            await anyio.wait_all_tasks_blocked()
            assert not done.is_set()
            await shared.host.run(["sh", "-c", "echo > /tmp/go"], check=True)
            hashed = await whole(process.stdout)
        referee = await shared.host.run(["sha256sum"], input=data)
        assert hashed == referee.stdout


async def test_a_process_that_ends_without_reading_breaks_the_stream(shared: Shared) -> None:
    async with await shared.host.exec("done", ["true"], stdio=pipes(stdin=True)) as process:
        await process.start()
        assert process.stdin is not None
        assert await code(process) == 0
        with anyio.fail_after(60), pytest.raises(anyio.BrokenResourceError):
            while True:
                await process.stdin.send(bytes(65536))
        await process.stdin.aclose()


async def test_a_sender_that_waits_is_told_when_the_process_ends(shared: Shared) -> None:
    async with await shared.host.exec("killed", ["sleep", "3600"], stdio=pipes(stdin=True)) as process:
        await process.start()
        stdin = process.stdin
        assert stdin is not None

        async def send() -> None:
            with pytest.raises(anyio.BrokenResourceError):
                await stdin.send(bytes(8 * MIB))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                await process.kill()


async def test_output_that_ends_first_does_not_cut_the_input(shared: Shared) -> None:
    """Other clients stop the input when the output ends."""
    script = "exec >&- 2>&-; sha256sum > /tmp/sum"
    data = os.urandom(2 * MIB)
    async with await shared.host.exec(
        "mute", ["sh", "-c", script], stdio=streams(io.BytesIO(data), io.BytesIO())
    ) as process:
        await process.start()
        assert await code(process) == 0
    summed = await shared.host.run(["cat", "/tmp/sum"])
    assert summed.stdout == (await shared.host.run(["sha256sum"], input=data)).stdout


async def test_closing_the_input_of_a_process_that_has_ended_is_no_error(shared: Shared) -> None:
    async with await shared.host.exec("gone", ["true"], stdio=pipes(stdin=True)) as process:
        await process.start()
        assert process.stdin is not None
        assert await code(process) == 0
        await process.stdin.aclose()
        await process.delete()
        await process.stdin.aclose()


async def test_a_client_that_lets_go_leaves_the_input_open(shared: Shared) -> None:
    async with await shared.client.new_container("kept", image=shared.image, args=["cat"]) as container:
        task = await container.new_task(stdio=pipes(stdin=True))
        await task.start()
        await task.stdio.aclose(unlink=False)
        for word in (b"one", b"two"):
            async with await container.task(stdio=attach(stdin=True)) as again:
                assert again.stdin is not None
                assert again.stdout is not None
                await again.stdin.send(word)
                assert await again.stdout.receive() == word
        async with await container.task(stdio=attach(stdin=True)) as again:
            assert again.stdin is not None
            await again.stdin.aclose()
            assert await code(again) == 0


# -- a terminal ------------------------------------------------------------------------------------------------


async def test_the_end_of_what_is_typed_at_a_terminal_loses_no_output(shared: Shared) -> None:
    """CloseIO would: the shim hangs the terminal up when its input ends."""
    stdio = pipes(stdin=True, terminal=True, size=(80, 24))
    script = "stty size; cat; sleep 0.2; seq 20000"
    async with await shared.host.exec("typed", ["sh", "-c", script], stdio=stdio) as process:
        await process.start()
        assert process.stdin is not None
        await process.stdin.send(b"half a line")
        await process.stdin.aclose()
        shown = await whole(process.stdout)
        assert await code(process) == 0
        assert b"24 80\r\n" in shown
        assert shown.count(b"half a line") == 2, "the echo, and what cat has read"
        assert shown.endswith(b"\r\n19999\r\n20000\r\n")


async def test_what_was_typed_and_ended_before_start_is_read_with_its_end(shared: Shared) -> None:
    async with await shared.host.exec("typed", ["cat"], stdio=pipes(stdin=True, terminal=True)) as process:
        assert process.stdin is not None
        await process.stdin.send(b"typed\n")
        await process.stdin.aclose()
        await process.start()
        assert (await whole(process.stdout)).count(b"typed\r\n") == 2
        assert await code(process) == 0


async def test_a_shell_at_a_terminal_that_is_typed_nothing_more_ends(shared: Shared) -> None:
    """Once it shows its prompt: before, it may take Ctrl-D for a key, since it changes the terminal's mode."""
    stdio = pipes(stdin=True, terminal=True)
    async with await shared.host.exec("shell", ["sh"], stdio=stdio, env={"PS1": "> "}) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.start()
        shown = b""
        while not shown.endswith(b"> \x1b[6n"):
            shown += await process.stdout.receive()
        await process.stdin.aclose()
        await whole(process.stdout)
        assert await code(process) == 0
