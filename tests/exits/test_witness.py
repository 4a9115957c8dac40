"""The kernel is asked about the right process only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator

import anyio
import pytest

from containerd_aio._exits.witness import Witness, supported

# Stands in for a shim: called like one, it starts a child, tells its pid, and ends with its input.
SHIM = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); sys.stdin.read(); p.kill(); print(p.wait())"


@pytest.mark.parametrize(
    ("namespace", "container_id", "found"),
    [("ns", "web", True), ("other", "web", False), ("ns", "other", False), ("web", "ns", False)],
)
def test_only_a_child_of_the_container_s_shim_is_watched(
    namespace: str, container_id: str, found: bool
) -> None:
    shim = subprocess.Popen(
        [sys.executable, "-c", SHIM, "-namespace", "ns", "-id", "web", "-address", "/run/x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with shim:
        assert shim.stdout is not None
        assert shim.stdin is not None
        witness = Witness.open(int(shim.stdout.readline()), namespace, container_id)
        assert (witness is not None) is found
        if witness is not None:
            assert witness.exit_code() is None
        shim.stdin.close()
        shim.wait()
        if witness is not None:
            assert witness.exit_code() == (137 if supported() else None)
            witness.close()
            witness.close()
            assert witness.exit_code() is None


def test_a_stranger_or_nobody_is_not_watched() -> None:
    before = os.listdir("/proc/self/fd")
    assert Witness.open(os.getpid(), "ns", "web") is None
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert Witness.open(gone.pid, "ns", "web") is None
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.fixture
def fresh_verdict() -> Iterator[None]:
    """What is known of the kernel is kept: forget it around the test."""
    supported.cache_clear()
    yield
    supported.cache_clear()


@pytest.mark.parametrize(
    ("release", "kept"),
    [
        ("6.18.44", True),
        ("6.15-rc3", True),
        ("7.0.0-generic", True),
        ("6.14.11-arch1-1", False),
        ("6.1.0-40-amd64", False),
        ("5.10", False),
    ],
)
@pytest.mark.usefixtures("fresh_verdict")
def test_only_linux_6_15_and_later_keep_the_status_of_what_is_gone(
    release: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", release, "#1", "x86_64")))
    assert supported() is kept


@pytest.mark.parametrize("error", [errno.ENOTTY, errno.ESRCH, errno.EINVAL])
def test_a_kernel_that_cannot_tell_gives_no_code(
    child: subprocess.Popen[bytes], error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("containerd_aio._exits.witness.fcntl.ioctl", refused)
    witness = Witness(os.pidfd_open(child.pid))
    child.kill()
    child.wait()
    assert witness.exit_code() is None
    witness.close()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def killed_and_not_reaped(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


async def test_the_end_of_a_process_is_waited_for_until_its_parent_knows_it(
    child: subprocess.Popen[bytes],
) -> None:
    """In between it is a zombie, of which the kernel tells strangers nothing."""
    witness = Witness(os.pidfd_open(child.pid))
    before = os.listdir("/proc/self/fd")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(witness.reaped)
            group.start_soon(witness.reaped)
            await anyio.wait_all_tasks_blocked()
            killed_and_not_reaped(child)
            assert witness.sees_it()
            assert witness.exit_code() is None
            child.wait()
    assert witness.exit_code() == (137 if supported() else None)
    witness.close()
    await witness.reaped()
    assert len(os.listdir("/proc/self/fd")) == len(before) - 1


async def test_a_wait_for_an_end_may_be_cancelled_and_outlive_its_witness(
    child: subprocess.Popen[bytes],
) -> None:
    before = os.listdir("/proc/self/fd")
    witness = Witness(os.pidfd_open(child.pid))
    async with anyio.create_task_group() as group:
        group.start_soon(witness.reaped)
        await anyio.wait_all_tasks_blocked()
        witness.close()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert len(os.listdir("/proc/self/fd")) == len(before)
