"""Opening and attaching: what containerd is told, and that nothing stays of an opening that fails."""

from __future__ import annotations

import io
import os
import resource
import socket
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from containerd_aio.errors import InvalidArgumentError, NotFoundError
from containerd_aio.stdio import Stdio, attach, inherit, null, pipes, streams
from containerd_aio.types import ProcessRecord, ProcessState, Status
from tests.stdio.conftest import descriptors, exists
from tests.stdio.shim import PROCESS_ID, Shim, created, running


def record(
    stdin: str = "",
    stdout: str = "",
    stderr: str = "",
    *,
    terminal: bool = False,
    state: ProcessState = ProcessState.RUNNING,
) -> ProcessRecord:
    """What containerd reports of a process with these streams."""
    return ProcessRecord(
        container_id="web",
        exec_id="",
        pid=1,
        status=Status(state),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        terminal=terminal,
    )


@pytest.mark.parametrize(
    ("stdio", "names"),
    [
        pytest.param(null(), ("", "", ""), id="nothing"),
        pytest.param(pipes(stdout=False, stderr=False), ("", "", ""), id="no pipes"),
        pytest.param(pipes(), ("", "web-1-stdout", "web-1-stderr"), id="outputs"),
        pytest.param(pipes(stderr=False), ("", "web-1-stdout", "null"), id="stdout alone"),
        pytest.param(pipes(stdout=False), ("", "null", "web-1-stderr"), id="stderr alone"),
        pytest.param(
            pipes(stdin=True, stdout=False, stderr=False), ("web-1-stdin", "null", "null"), id="stdin alone"
        ),
        pytest.param(pipes(stdin=True, terminal=True), ("web-1-stdin", "web-1-stdout", ""), id="terminal"),
    ],
)
async def test_containerd_is_told_what_its_shim_can_open(
    fifo_dir: str, stdio: Stdio, names: tuple[str, str, str]
) -> None:
    """The shim takes an empty path for an output only where all three are empty."""
    opened = await stdio.open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    paths = (opened.stdin_path, opened.stdout_path, opened.stderr_path)
    assert tuple(os.path.basename(path) for path in paths) == names
    assert opened.terminal == stdio.terminal
    assert stdio.uses_fifos == any(names)
    assert (opened.stdin is not None, opened.stdout is not None, opened.stderr is not None) == tuple(
        name.startswith("web") for name in names
    )
    await opened.aclose()


@pytest.mark.parametrize(("for_exec", "output"), [(False, ""), (True, os.devnull)])
async def test_an_exec_that_is_connected_to_nothing_gets_a_pipe_to_nowhere(
    for_exec: bool, output: str
) -> None:
    """Its /dev/null would be the shim's, which is open for reading only."""
    opened = await null().open(process_id=PROCESS_ID, for_exec=for_exec)
    assert (opened.stdin_path, opened.stdout_path, opened.stderr_path) == ("", output, output)
    await opened.aclose()


async def test_nobody_is_waited_for_at_the_input_of_a_process_that_has_ended(fifo_dir: str) -> None:
    async with created(pipes(stdin=True), fifo_dir) as (first, shim):
        shim.gone()
        asked = record(stdin=first.stdin_path, stdout=first.stdout_path, state=ProcessState.STOPPED)
        again = await attach(stdin=True).attach(asked)
        first.close_stdin()
        with anyio.fail_after(30):
            await again.started()
        assert again.stdin is not None
        with pytest.raises(anyio.BrokenResourceError):
            await again.stdin.send(b"too late")
        await again.aclose(unlink=False)


async def test_one_description_serves_many_processes(fifo_dir: str) -> None:
    stdio = pipes()
    async with running(stdio, fifo_dir) as (first, _), running(stdio, fifo_dir) as (second, shim):
        await shim.write(b"second's")
        assert second.stdout is not None
        assert await second.stdout.receive() == b"second's"
        assert first.stdout_path != second.stdout_path


async def test_an_illegal_id_opens_nothing(fifo_dir: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"the process id '\.\./x' is not an identifier"):
        await pipes().open(process_id="../x", fifo_dir=fifo_dir)
    assert not exists(fifo_dir)


async def test_attach_is_not_for_a_new_process(fifo_dir: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a new one takes pipes\(\)"):
        await attach().open(process_id=PROCESS_ID, fifo_dir=fifo_dir)


async def test_a_cancelled_open_leaves_nothing(fifo_dir: str) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pipes(stdin=True).open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    assert scope.cancelled_caught
    assert not exists(fifo_dir)


@pytest.fixture
def few_descriptors() -> Generator[None]:
    """Let the soft limit be lowered by a test."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.usefixtures("few_descriptors")
@pytest.mark.parametrize("kind", ["pipes", "inherit", "inherit sockets", "streams"])
async def test_an_open_that_runs_out_of_descriptors_anywhere_leaves_nothing(fifo_dir: str, kind: str) -> None:
    """Whichever of its steps fails: each is made to."""
    left, right = socket.socketpair()
    with left, right:
        ends = (left.fileno(), right.fileno(), right.fileno())
        kinds = {
            "pipes": pipes(stdin=True),
            "inherit": inherit(),
            "inherit sockets": inherit(descriptors=ends),
            "streams": streams(io.BytesIO(), io.BytesIO()),
        }
        await open_with_ever_more_descriptors(kinds[kind], fifo_dir)


async def open_with_ever_more_descriptors(stdio: Stdio, fifo_dir: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    before = descriptors()
    failed = 0
    for limit in range(max(before) + 30):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            opened = await stdio.open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
        except OSError:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            assert descriptors() == before
            assert not exists(fifo_dir) or os.listdir(fifo_dir) == []
            failed += 1
        else:
            await opened.aclose()
            break
    assert failed > 4


async def test_attached_streams_go_on_where_the_first_client_left(fifo_dir: str) -> None:
    async with running(pipes(stdin=True), fifo_dir) as (first, shim):
        found = record(first.stdin_path, first.stdout_path, first.stderr_path)
        await first.aclose(unlink=False)
        await shim.write(b"while nobody read")
        second = await attach(stdin=True).attach(found)
        second.on_stdin_closed(shim.close_io)
        await second.started()
        assert second.stdout is not None
        assert second.stderr is not None
        assert second.stdin is not None
        assert (second.stdin_path, second.stdout_path) == (first.stdin_path, first.stdout_path)
        assert await second.stdout.receive() == b"while nobody read"
        await second.stdin.send(b"in")
        await second.stdin.aclose()
        assert await shim.read() == b"in"
        shim.end()
        with pytest.raises(anyio.EndOfStream):
            await second.stdout.receive()
        await second.aclose()
        assert os.listdir(fifo_dir) == []


async def test_a_cancelled_attach_leaves_everything_as_it_was(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (first, shim):
        before = descriptors()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await attach().attach(record("", first.stdout_path, first.stderr_path))
        assert scope.cancelled_caught
        assert descriptors() == before
        await shim.write(b"x")
        assert first.stdout is not None
        assert await first.stdout.receive() == b"x"


async def test_attached_after_the_exit_the_output_ends_at_once(fifo_dir: str) -> None:
    """No writer will come: that the FIFO is at its end must show all the same."""
    async with running(pipes(), fifo_dir) as (first, shim):
        await first.aclose(unlink=False)
        shim.end()
        second = await attach().attach(record("", first.stdout_path, first.stderr_path))
        await second.started()
        assert second.stdout is not None
        with anyio.fail_after(30), pytest.raises(anyio.EndOfStream):
            await second.stdout.receive()
        await second.aclose()


async def test_detaching_leaves_the_fifos_and_the_bytes_to_others(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (first, shim):
        second = await attach().attach(record("", first.stdout_path, first.stderr_path))
        await second.started()
        assert second.stdout is not None
        await second.stdout.aclose()
        await second.aclose(unlink=False)
        await shim.write(b"for the first")
        await anyio.wait_all_tasks_blocked()
        assert first.stdout is not None
        assert await first.stdout.receive() == b"for the first"


async def test_nothing_is_connected_by_null_and_the_fifos_are_removed_all_the_same(fifo_dir: str) -> None:
    async with running(pipes(stdin=True), fifo_dir) as (first, _):
        await first.aclose(unlink=False)
        loaded = await null().attach(record(first.stdin_path, first.stdout_path, first.stderr_path))
        await loaded.started()
        await loaded.drain(1)
        assert (loaded.stdin, loaded.stdout, loaded.stderr) == (None, None, None)
        await loaded.aclose()
        assert os.listdir(fifo_dir) == []


async def test_only_fifos_are_attached_to_and_removed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    for path in ("/dev/null", str(log), f"file://{log}", "binary:///bin/x?a=b", ""):
        opened = await attach(stdin=True).attach(record(path, path, path))
        assert (opened.stdin, opened.stdout, opened.stderr) == (None, None, None), path
        assert opened.stdout_path == path
        await opened.started()
        await opened.aclose()
    assert exists("/dev/null")
    assert log.exists()


async def test_a_reported_fifo_that_is_gone_is_told_and_what_was_opened_is_closed(fifo_dir: str) -> None:
    async with running(pipes(), fifo_dir) as (first, _):
        gone = first.stdout_path + "x"
        with pytest.raises(NotFoundError, match="stdoutx does not exist"):
            await attach(stdin=True).attach(record(first.stdout_path, first.stderr_path, gone))


async def test_a_terminal_has_one_output_also_when_attached(fifo_dir: str) -> None:
    async with running(pipes(terminal=True), fifo_dir) as (first, shim):
        second = await attach().attach(record("", first.stdout_path, first.stdout_path, terminal=True))
        await second.started()
        assert second.terminal
        assert second.stderr is None
        await shim.write(b"x")
        assert second.stdout is not None
        assert await second.stdout.receive() == b"x"
        await second.aclose(unlink=False)


async def test_a_path_that_serves_both_outputs_is_opened_once(fifo_dir: str) -> None:
    async with created(pipes(stderr=False), fifo_dir) as (first, _):
        second = await attach().attach(record("", first.stdout_path, first.stdout_path))
        assert second.stdout is not None
        assert second.stderr is None
        await second.aclose(unlink=False)


async def test_an_attached_process_that_is_not_started_does_not_end_early(fifo_dir: str) -> None:
    """The shim opens an exec's FIFOs in Start, not in Exec."""
    first = await pipes().open(process_id=PROCESS_ID, fifo_dir=fifo_dir)
    await first.aclose(unlink=False)
    second = await attach().attach(record("", first.stdout_path, first.stderr_path))
    assert second.stdout is not None
    with anyio.move_on_after(0.02) as scope:
        await second.stdout.receive()
    assert scope.cancelled_caught
    shim = Shim(second)
    await second.started()
    await shim.write(b"x")
    assert await second.stdout.receive() == b"x"
    shim.gone()
    await second.aclose()
