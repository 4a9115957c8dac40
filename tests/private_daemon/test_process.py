"""A child whose end is an event."""

from __future__ import annotations

import os
import subprocess

import anyio
import pytest

from containerd_aio.private_daemon._process import ChildProcess


def start(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def child(*command: str) -> ChildProcess:
    return ChildProcess(subprocess.Popen(command, stdin=subprocess.DEVNULL))


async def test_its_end_is_an_event_with_a_reason() -> None:
    process = child("sh", "-c", "exit 3")
    with anyio.fail_after(60):
        await process.wait()
    assert not process.running
    assert process.status == "ended with code 3"


async def test_a_killed_one_says_so() -> None:
    process = child("sleep", "1000")
    assert process.running
    assert process.status == "still runs"
    assert not process.killed
    process.kill()
    assert process.killed
    with anyio.fail_after(60):
        await process.wait()
    assert process.status == "killed by SIGKILL"
    process.kill()  # nothing to hit any more


async def test_end_asks_first() -> None:
    process = child("sleep", "1000")
    with anyio.fail_after(60):
        await process.end(grace=60)
    assert process.status == "killed by SIGTERM"
    assert not process.killed
    await process.end(grace=60)


@pytest.mark.parametrize("blocking", [False, True])
async def test_end_kills_one_that_hears_nothing(blocking: bool) -> None:
    popen = start("sh", "-c", "trap '' TERM; echo ready; read line")
    assert popen.stdin is not None
    assert popen.stdout is not None
    with popen.stdin, popen.stdout:
        assert popen.stdout.readline() == b"ready\n"
        process = ChildProcess(popen)
        with anyio.fail_after(60):
            if blocking:
                process.end_blocking(grace=0.01)
                process.close()
            else:
                await process.end(grace=0.01)
    assert not process.running
    assert process.status == "killed by SIGKILL"


async def test_close_after_a_blocking_end_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    process = child("sleep", "1000")
    process.end_blocking(grace=60)
    process.close()
    process.close()
    with anyio.fail_after(60):
        await process.wait()
    assert os.listdir("/proc/self/fd") == before


async def test_without_a_descriptor_left_the_child_is_not_left_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(pid: int, flags: int = 0) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with start("cat") as popen:
        with pytest.raises(OSError, match="Too many open files"):
            ChildProcess(popen)
        assert popen.returncode == -9
