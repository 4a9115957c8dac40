"""The kernel is asked about the right process only."""

from __future__ import annotations

import os
import subprocess
import sys

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
