"""What is said of the programs in a PATH: each that is missing or broken, by its name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from containerd_aio import Client, ConnectionLostError
from containerd_aio._checkpoint.support import checkpoint_support, criu_support
from containerd_aio._exits.watcher import ExitWatcher
from containerd_aio._session import Session
from containerd_aio._transport.address import Address
from containerd_aio._transport.connection import Connection
from containerd_aio.services import Services
from containerd_aio.testing import FakeContainerd

RUNC = 'echo \'"org.opencontainers.runc.checkpoint.enabled": "true"\''
CRIU = '[ "$1" = check ] && echo "Looks good." || echo "Version: 4.1.1"'
GOOD = {"runc": RUNC, "criu": CRIU, "iptables-restore": "", "tar": ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path


def install(path: Path, programs: dict[str, str]) -> None:
    for name, script in programs.items():
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)


async def test_all_that_is_needed(path: Path) -> None:
    install(path, GOOD)
    support = await criu_support(str(path))
    assert support
    assert support.criu == "4.1.1"
    assert support.reason == f"{path}/criu 4.1.1 works on this kernel ({os.uname().release})"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("runc", "runc is not in containerd's PATH"),
        ("criu", "apt-get install criu"),
        ("iptables-restore", "apt-get install iptables"),
        ("tar", "tar is not in containerd's PATH"),
    ],
)
async def test_what_is_missing_is_named(path: Path, missing: str, words: str) -> None:
    install(path, {name: script for name, script in GOOD.items() if name != missing})
    support = await criu_support(str(path))
    assert support.supported is False
    assert words in support.reason


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("criu", 'echo "Version: 2.12"', "is version 2.12; runc needs 3.0 or later"),
        ("criu", "echo no such library >&2; exit 127", "criu does not run: no such library"),
        ("criu", "exit 1", "criu does not run: it ended with code 1"),
        (
            "criu",
            '[ "$1" != check ] && echo "Version: 3.17.1" && exit; echo "Error (criu/v.c:1): no vdso" >&2; exit 1',
            r"criu 3.17.1 does not work on this kernel .*: no vdso",
        ),
        (
            "criu",
            '[ "$1" != check ] && echo "Version: 3.17.1" && exit; echo killed; exit 9',
            r"does not work on this kernel .*: killed",
        ),
        (
            "runc",
            'echo \'"org.opencontainers.runc.checkpoint.enabled": "false"\'',
            "runc was built without checkpoints",
        ),
    ],
)
async def test_what_is_broken_says_why(path: Path, name: str, script: str, words: str) -> None:
    install(path, {**GOOD, name: script})
    support = await criu_support(str(path))
    assert support.supported is False
    assert re.search(words, support.reason)


async def test_a_program_that_cannot_be_run_is_told(path: Path) -> None:
    install(path, GOOD)
    (path / "criu").write_bytes(b"\x7fELF no program")
    support = await criu_support(str(path))
    assert support.supported is False
    assert "criu does not run" in support.reason


async def test_a_runc_that_knows_no_features_is_taken_for_good(path: Path) -> None:
    install(path, {**GOOD, "runc": "exit 1"})
    assert await criu_support(str(path))


async def test_a_daemon_that_is_gone_is_told(fake: FakeContainerd, client: Client) -> None:
    async with fake.down():
        with pytest.raises(ConnectionLostError):
            await client.checkpoint_support()


@pytest.mark.parametrize(
    ("fifo_dir", "pid", "words"),
    [
        pytest.param(None, None, "containerd is on another host", id="another host"),
        pytest.param("/fifo", None, "another pid or mount namespace", id="a pid that is not told"),
        pytest.param("/fifo", 2**22 + 1, "another pid or mount namespace", id="a pid that is not here"),
    ],
)
async def test_of_a_daemon_in_another_world_nothing_is_said(
    fake: FakeContainerd, fifo_dir: str | None, pid: int | None, words: str
) -> None:
    connection = Connection(Address.parse(fake.address))
    services = Services.of(connection.caller("default"))
    exits = ExitWatcher(services.events, services.tasks, "default")
    support = await checkpoint_support(Session(services, exits, "default", fifo_dir, lambda: pid))
    await connection.aclose()
    assert support.supported is None
    assert support.reason.startswith("it cannot be told")
    if os.geteuid() == 0 or fifo_dir is None:
        assert words in support.reason
