"""Whose root a process has, and where an overlay is mounted; overlays are tried on the real daemon."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from containerd_aio._copying.reach import UnreachableError, mounted_root, root_of_process
from containerd_aio.types import Mount

HERE = [Mount("bind", "/", options=("rbind", "rw"))]


@pytest.fixture
def held() -> Iterator[ExitStack]:
    before = os.listdir("/proc/self/fd")
    with ExitStack() as held:
        yield held
    assert os.listdir("/proc/self/fd") == before


def test_a_process_that_has_the_root_is_believed(held: ExitStack) -> None:
    root = root_of_process(held, os.getpid(), HERE)
    assert os.path.samestat(os.fstat(root.descriptor), os.stat("/"))
    assert root.owners.uids.to_host(5) == 5
    assert os.stat("/proc").st_dev in root.pseudo
    node = root.directories.open(("etc", "passwd"))
    assert node is not None
    with node:
        assert not node.is_directory


def test_one_that_has_another_is_not(held: ExitStack) -> None:
    """A pid of another pid namespace names a stranger, and that of a virtual machine somebody of the host."""
    with pytest.raises(
        UnreachableError, match=f"process {os.getpid()} has a root that is not the container's"
    ):
        root_of_process(held, os.getpid(), [Mount("bind", "/usr")])


def test_one_that_is_gone_is_not(held: ExitStack) -> None:
    done = subprocess.Popen(["true"])
    with pytest.raises(UnreachableError, match="is not to be seen here"):
        done.wait()
        root_of_process(held, done.pid, HERE)
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(UnreachableError):
        root_of_process(held, zombie.pid, HERE)
    zombie.wait()


def test_an_overlay_that_is_mounted_nowhere_is_not_found(held: ExitStack) -> None:
    assert (
        mounted_root(
            held, [Mount("overlay", "overlay", options=("upperdir=/none", "lowerdir=/usr"))], writing=True
        )
        is None
    )
    assert mounted_root(held, HERE, writing=False) is None
