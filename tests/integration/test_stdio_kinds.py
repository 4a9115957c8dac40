"""Each kind of stdio on a real shim: what is connected arrives, byte for byte, and what is not is /dev/null."""

from __future__ import annotations

import errno
import io
import itertools
import os
import pty
import tty
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.text import TextReceiveStream

from containerd_aio import (
    FailedPreconditionError,
    InvalidArgumentError,
    Process,
    StartFailedError,
    attach,
    inherit,
    log_binary,
    log_file,
    log_uri,
    null,
    pipes,
    streams,
)
from containerd_aio.stdio import Stdio
from tests.integration.conftest import Shared

pytestmark = pytest.mark.integration

ALL_BYTES = bytes(range(256))
SPEAK = ["sh", "-c", "read line; echo out $line; echo err $line >&2"]


async def whole(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([chunk async for chunk in stream])


async def ended(process: Process) -> int:
    """Start it, wait for its end, delete it, and return its code."""
    exited = process.wait()
    await process.start()
    with anyio.fail_after(60):
        code = (await exited).code
    await process.delete()
    return code


SILENT = "read line && exit 1; echo out && echo err >&2"


async def test_a_task_that_is_connected_to_nothing_reads_the_end_and_may_write(shared: Shared) -> None:
    async with (
        await shared.client.new_container(
            "quiet", image=shared.image, args=["sh", "-c", SILENT]
        ) as container,
        await container.new_task() as task,
    ):
        assert (task.stdin, task.stdout, task.stderr) == (None, None, None)
        assert await ended(task) == 0


async def test_an_exec_that_is_connected_to_nothing_reads_the_end_and_may_write(shared: Shared) -> None:
    """The shim's own /dev/null, which an exec would inherit, is open for reading only: echo fails there."""
    async with await shared.host.exec("quiet", ["sh", "-c", SILENT], stdio=null()) as process:
        assert (process.stdin, process.stdout, process.stderr) == (None, None, None)
        assert await ended(process) == 0


@pytest.mark.parametrize(
    "chosen",
    [set(names) for n in range(4) for names in itertools.combinations(("stdin", "stdout", "stderr"), n)],
)
async def test_each_subset_of_pipes_is_connected_and_the_rest_goes_nowhere(
    shared: Shared, chosen: set[str]
) -> None:
    names = ("stdin", "stdout", "stderr")
    stdio = pipes(stdin="stdin" in chosen, stdout="stdout" in chosen, stderr="stderr" in chosen)
    script = "read line; echo out $line && echo err $line >&2"
    async with await shared.host.exec("some", ["sh", "-c", script], stdio=stdio) as process:
        exited = process.wait()
        assert {name for name in names if getattr(process, name) is not None} == chosen
        await process.start()
        if process.stdin is not None:
            await process.stdin.send(b"line\n")
            await process.stdin.aclose()
        line = b"line" if "stdin" in chosen else b""
        assert (await exited).code == 0
        await process.delete()
        if "stdout" in chosen:
            assert (await whole(process.stdout)).strip() == (b"out " + line).strip()
        if "stderr" in chosen:
            assert (await whole(process.stderr)).strip() == (b"err " + line).strip()
        assert process.stdio.complete


async def test_all_256_bytes_pass_in_both_directions_megabytes_of_them(shared: Shared) -> None:
    data = ALL_BYTES * 16384  # 4 MiB
    async with await shared.host.exec("cat", ["cat"], stdio=pipes(stdin=True)) as process:
        exited = process.wait()
        await process.start()
        assert process.stdin is not None
        stdin = process.stdin

        async def feed() -> None:
            await stdin.send(data)
            await stdin.aclose()

        async with anyio.create_task_group() as group:
            group.start_soon(feed)
            assert await whole(process.stdout) == data
        assert (await exited).code == 0
        assert await process.delete() is not None
        assert process.stdio.complete


async def test_anyios_text_and_buffered_streams_fit_on_stdout(shared: Shared) -> None:
    script = "printf 'h\\303\\251llo\\nw\\303\\266rld\\n'"
    async with await shared.host.exec("text", ["sh", "-c", script], stdio=pipes()) as process:
        await process.start()
        assert process.stdout is not None
        assert (
            "".join([text async for text in TextReceiveStream(process.stdout)]) == "h\u00e9llo\nw\u00f6rld\n"
        )
    async with await shared.host.exec("lines", ["sh", "-c", script], stdio=pipes()) as process:
        await process.start()
        assert process.stdout is not None
        buffered = BufferedByteReceiveStream(process.stdout)
        assert await buffered.receive_until(b"\n", 100) == "h\u00e9llo".encode()
        assert await buffered.receive_exactly(3) == "w\u00f6".encode()


# -- inherit ---------------------------------------------------------------------------------------------------


async def test_inherit_copies_from_and_to_a_pipe_without_making_it_non_blocking(shared: Shared) -> None:
    ours_in, writer = os.pipe()
    reader, ours_out = os.pipe()
    os.write(writer, b"typed\n")
    os.close(writer)
    stdio = inherit(descriptors=(ours_in, ours_out, ours_out))
    async with await shared.host.exec("own", SPEAK, stdio=stdio) as process:
        assert await ended(process) == 0
    assert all(os.get_blocking(descriptor) for descriptor in (ours_in, ours_out))
    for descriptor in (ours_in, ours_out):
        os.close(descriptor)
    assert sorted(os.read(reader, 100).splitlines()) == [b"err typed", b"out typed"]
    os.close(reader)


async def test_inherit_copies_from_and_to_regular_files_at_their_offset(
    shared: Shared, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(b"skipped\n" + ALL_BYTES * 4096)
    (tmp_path / "out").write_bytes(b"kept\n")
    source = os.open(tmp_path / "in", os.O_RDONLY)
    sink = os.open(tmp_path / "out", os.O_WRONLY | os.O_APPEND)
    os.lseek(source, 8, os.SEEK_SET)
    stdio = inherit(descriptors=(source, sink, sink))
    async with await shared.host.exec("files", ["cat"], stdio=stdio) as process:
        assert await ended(process) == 0
    os.close(source)
    os.close(sink)
    assert (tmp_path / "out").read_bytes() == b"kept\n" + ALL_BYTES * 4096


async def test_inherit_takes_dev_null(shared: Shared) -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    stdio = inherit(descriptors=(descriptor, descriptor, descriptor))
    async with await shared.host.exec("null", ["cat"], stdio=stdio) as process:
        assert await ended(process) == 0
    os.close(descriptor)


async def test_inherit_copies_from_and_to_a_terminal_that_the_process_knows_nothing_of(
    shared: Shared,
) -> None:
    window, terminal = pty.openpty()
    tty.setraw(terminal)
    os.write(window, b"typed\n")
    stdio = inherit(descriptors=(terminal, terminal, terminal))
    async with await shared.host.exec("plain", SPEAK, stdio=stdio) as process:
        assert await ended(process) == 0
    shown = b""
    while shown.count(b"\n") < 2:
        shown += os.read(window, 100)
    assert sorted(shown.splitlines()) == [b"err typed", b"out typed"]
    os.close(window)
    os.close(terminal)


# -- streams ---------------------------------------------------------------------------------------------------


async def test_streams_copies_from_and_to_binary_files(shared: Shared, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        stdio = streams(io.BytesIO(ALL_BYTES * 4096), out, io.BytesIO())
        async with await shared.host.exec("files", ["cat"], stdio=stdio) as process:
            assert await ended(process) == 0
    assert (tmp_path / "out").read_bytes() == ALL_BYTES * 4096


async def test_streams_copies_from_and_to_streams_of_anyio(shared: Shared) -> None:
    give_in, stdin = anyio.create_memory_object_stream[bytes](1)
    stdout, out = anyio.create_memory_object_stream[bytes](10)
    stderr, err = anyio.create_memory_object_stream[bytes](10)
    async with await shared.host.exec("memory", SPEAK, stdio=streams(stdin, stdout, stderr)) as process:
        await give_in.send(b"sent\n")
        await give_in.aclose()
        assert await ended(process) == 0
    assert (out.receive_nowait(), err.receive_nowait()) == (b"out sent\n", b"err sent\n")
    for stream in (stdin, stdout, out, stderr, err):
        stream.close()


# -- logs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
async def test_a_log_file_keeps_an_output_that_goes_on_when_the_other_has_ended(
    shared: Shared, tmp_path: Path, closed: str
) -> None:
    script = {
        "stdout": "echo out; exec >&-; usleep 200000; echo err >&2",
        "stderr": "echo err >&2; exec 2>&-; usleep 200000; echo out",
    }[closed]
    stdio = log_file(tmp_path / "log")
    async with await shared.host.exec(f"log-{closed}", ["sh", "-c", script], stdio=stdio) as process:
        assert await ended(process) == 0
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["err", "out"]


@pytest.mark.parametrize("name", ["plain.log", "with space, ? and %41.log"])
async def test_log_file_gets_stdout_and_stderr_appended(shared: Shared, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"before\n")
    script = "for i in $(seq 50); do echo out $i; echo err $i >&2; done"
    async with (
        await shared.client.new_container(
            "logged", image=shared.image, args=["sh", "-c", script]
        ) as container,
        await container.new_task(stdio=log_file(path)) as task,
    ):
        assert await ended(task) == 0
    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert [line for line in lines if line.startswith("out")] == [f"out {n + 1}" for n in range(50)]
    assert [line for line in lines if line.startswith("err")] == [f"err {n + 1}" for n in range(50)]


LOGGER = """#!/bin/sh
trap "" TERM  # which it is sent when the task is deleted
echo "$CONTAINER_NAMESPACE $CONTAINER_ID $*" > {directory}/asked
exec 6> {directory}/done
cat <&3 5>&- > {directory}/out &
cat <&4 5>&- > {directory}/err &
exec 5>&-
wait
"""


@pytest.mark.parametrize("form", ["log_binary", "log_uri"])
async def test_a_logging_program_gets_both_outputs_and_its_arguments(
    shared: Shared, tmp_path: Path, form: str
) -> None:
    os.mkfifo(tmp_path / "done")
    done = os.open(tmp_path / "done", os.O_RDONLY | os.O_NONBLOCK)
    program = tmp_path / "logger"
    program.write_text(LOGGER.format(directory=tmp_path))
    program.chmod(0o755)
    stdio: Stdio = (
        log_binary(program, {"to": "a b"}) if form == "log_binary" else log_uri(f"binary://{program}?to=a+b")
    )
    async with (
        await shared.client.new_container(
            "logged", image=shared.image, args=["sh", "-c", "echo out; echo err >&2"]
        ) as container,
        await container.new_task(stdio=stdio) as task,
    ):
        assert await ended(task) == 0
    with anyio.fail_after(60):
        await anyio.wait_readable(done)  # hung up by the program's end
    os.close(done)
    assert (tmp_path / "asked").read_text().split() == [shared.client.namespace, "logged", "to", "a", "b"]
    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "err").read_text() == "err\n"


async def test_log_uri_names_a_file(shared: Shared, tmp_path: Path) -> None:
    uri = (tmp_path / "log").as_uri()
    async with (
        await shared.client.new_container("logged", image=shared.image, args=["echo", "out"]) as container,
        await container.new_task(stdio=log_uri(uri)) as task,
    ):
        assert await ended(task) == 0
    assert (tmp_path / "log").read_text() == "out\n"


async def test_a_log_file_that_cannot_be_made_is_told_with_the_reason(shared: Shared, tmp_path: Path) -> None:
    """Directories that are missing are made by the shim."""
    (tmp_path / "file").touch()
    async with await shared.client.new_container("logged", image=shared.image, args=["true"]) as container:
        with pytest.raises(StartFailedError, match="not a directory"):
            await container.new_task(stdio=log_file(tmp_path / "file" / "log"))


# -- attach ----------------------------------------------------------------------------------------------------


async def test_attach_takes_over_where_another_client_left_off(shared: Shared, tmp_path: Path) -> None:
    script = "echo first; read line; echo second $line; echo problem >&2; exit 3"
    async with await shared.client.new_container(
        "kept", image=shared.image, args=["sh", "-c", script]
    ) as container:
        task = await container.new_task(stdio=pipes(stdin=True))
        await task.start()
        assert task.stdout is not None
        assert await task.stdout.receive() == b"first\n"
        await task.stdio.aclose(unlink=False)  # gone, as after a crash

        async with await container.task(stdio=attach(stdin=True)) as again:
            exited = again.wait()
            assert again.stdin is not None
            await again.stdin.send(b"more\n")
            assert (await exited).code == 3
            await again.delete()
            assert await whole(again.stdout) == b"second more\n"
            assert await whole(again.stderr) == b"problem\n"
            assert again.stdio.complete


async def test_inherit_and_streams_serve_a_task_that_exists_too(shared: Shared) -> None:
    async with await shared.client.new_container("kept", image=shared.image, args=["cat"]) as container:
        task = await container.new_task(stdio=pipes(stdin=True))
        await task.start()
        await task.stdio.aclose(unlink=False)
        out = io.BytesIO()
        stdio = streams(io.BytesIO(b"through streams\n"), out)
        async with await container.task(stdio=stdio) as again:
            assert (await again.wait()).code == 0, "the end of our stream was the end of its input"
            await again.delete()
        assert out.getvalue() == b"through streams\n"


async def test_attach_to_a_process_that_logs_to_a_file_has_no_streams(shared: Shared, tmp_path: Path) -> None:
    async with (
        await shared.client.new_container("logged", image=shared.image, args=["sleep", "3600"]) as container,
        await container.new_task(stdio=log_file(tmp_path / "log")) as task,
    ):
        await task.start()
        async with await container.task(stdio=attach(stdin=True)) as again:
            assert (again.stdin, again.stdout, again.stderr) == (None, None, None)


async def test_attach_is_for_what_exists(shared: Shared) -> None:
    async with await shared.client.new_container("new", image=shared.image, args=["true"]) as container:
        with pytest.raises(InvalidArgumentError, match="takes pipes"):
            await container.new_task(stdio=attach())


async def test_attaching_to_a_task_that_has_ended_finds_the_end(shared: Shared) -> None:
    """Nobody held its FIFOs open any more: what it had said is gone with the client that left."""
    script = "read line; echo too late; exit 4"
    async with await shared.client.new_container(
        "over", image=shared.image, args=["sh", "-c", script]
    ) as container:
        task = await container.new_task(stdio=pipes(stdin=True))
        exited = task.wait()
        await task.start()
        assert task.stdin is not None
        await task.stdin.aclose()
        await exited
        await task.stdio.aclose(unlink=False)
        async with await container.task(stdio=attach(stdin=True)) as again:
            with anyio.fail_after(60):
                assert await whole(again.stdout) == b""
                assert again.stdin is not None
                with pytest.raises(anyio.BrokenResourceError):
                    await again.stdin.send(b"too late")
                assert (await again.wait()).code == 4
                await again.delete()


# -- what a sink refuses, and terminals ------------------------------------------------------------------------


class FullDisk(io.RawIOBase):
    """A file that takes one write."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if self.written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert isinstance(data, (bytes, memoryview))
        self.written = bytes(data)
        return len(self.written)


async def test_a_file_that_takes_no_more_does_not_hold_the_process_up_and_is_told(shared: Shared) -> None:
    script = "head -c 4000000 /dev/zero; exit 5"
    disk = FullDisk()
    async with await shared.host.exec("disk", ["sh", "-c", script], stdio=streams(None, disk)) as process:
        exited = process.wait()
        await process.start()
        with anyio.fail_after(60):
            assert (await exited).code == 5
        with pytest.raises(OSError, match="No space left"):
            await process.delete()
        assert not process.stdio.complete
        assert len(disk.written) > 0


@pytest.mark.parametrize("kind", ["task", "exec"])
async def test_a_terminal_has_its_size_from_the_first_and_can_be_resized_while_it_runs(
    shared: Shared, kind: str
) -> None:
    stdio = pipes(stdin=True, terminal=True, size=(132, 50))
    args = ["sh", "-c", "stty size; read line; stty size"]
    async with await shared.client.new_container("sized", image=shared.image, args=args) as container:
        made = (
            await container.new_task(stdio=stdio)
            if kind == "task"
            else await shared.host.exec("sized", args, stdio=stdio)
        )
        async with made as process:
            assert process.stdin is not None
            assert process.stdout is not None
            await process.start()
            shown = b""
            while not shown.endswith(b"\n"):  # which the terminal may give by itself
                shown += await process.stdout.receive()
            assert shown == b"50 132\r\n"
            await process.resize(99, 33)
            await process.stdin.send(b"\n")
            assert (await whole(process.stdout)).strip() == b"33 99"
            assert (await process.wait()).code == 0
            if kind == "exec":  # of a task 1.6 takes it, and does nothing
                with pytest.raises(FailedPreconditionError, match=r"cannot be resized.*stopped"):
                    await process.resize(80, 24)
