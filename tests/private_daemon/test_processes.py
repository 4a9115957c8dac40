"""Finding processes, and killing the right ones."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containerd_aio.private_daemon._processes import (
    RunningProcess,
    kill_and_wait,
    running_processes,
    with_descendants,
)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program that waits for its end, and ends it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, executable: str | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, executable=executable, stdin=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read(pid: int) -> RunningProcess:
    process = RunningProcess.read(pid)
    assert process is not None
    return process


def test_a_process_is_read_with_its_parent_and_arguments(start: Start) -> None:
    child = start("cat", "-", "")
    # the arguments are those of this program until exec
    process = read(child.pid)
    assert process.parent == os.getpid()
    assert process.started >= read(os.getpid()).started
    assert read(os.getpid()).arguments[0].endswith(os.path.basename(sys.executable).encode())


def test_a_name_with_spaces_and_parentheses_confuses_nothing(start: Start, tmp_path: Path) -> None:
    cat = shutil.which("cat")
    assert cat is not None
    odd = tmp_path / "a) R 1 (b"
    shutil.copy(cat, odd)
    process = read(start(str(odd)).pid)
    assert process.parent == os.getpid()


def test_a_process_that_ended_is_none_also_before_it_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert RunningProcess.read(child.pid) is None
    child.wait()
    assert RunningProcess.read(child.pid) is None


def test_this_process_runs() -> None:
    assert running_processes()[os.getpid()].command.startswith(os.fsdecode(read(os.getpid()).arguments[0]))


def test_descendants_come_before_those_who_made_them() -> None:
    tree = {2: 1, 3: 2, 4: 2, 5: 4, 6: 1, 7: 5}
    processes = {pid: RunningProcess(pid, 0, parent, ()) for pid, parent in tree.items()}
    found = [process.pid for process in with_descendants([2], processes)]
    assert sorted(found) == [2, 3, 4, 5, 7]
    for pid in found[:-1]:
        assert found.index(pid) < found.index(tree[pid])


def test_a_process_is_listed_once_and_one_that_is_gone_never() -> None:
    processes = {pid: RunningProcess(pid, 0, parent, ()) for pid, parent in {2: 1, 3: 2}.items()}
    assert [process.pid for process in with_descendants([3, 2, 99, 2], processes)] in ([3, 2], [2, 3])


def test_a_circle_of_parents_ends() -> None:
    # /proc is read process by process, so what is seen may never have been at once
    processes = {pid: RunningProcess(pid, 0, parent, ()) for pid, parent in {2: 3, 3: 2}.items()}
    assert {process.pid for process in with_descendants([2], processes)} == {2, 3}


def test_what_is_killed_has_ended_on_return(start: Start) -> None:
    children = [start("cat") for _ in range(3)]
    kill_and_wait([read(child.pid) for child in children], seconds=60)
    assert [child.poll() for child in children] == [-9, -9, -9]


def test_a_stranger_with_the_pid_of_one_that_is_gone_lives(start: Start) -> None:
    child = start("cat")
    stranger = dataclasses.replace(read(child.pid), started=0)
    kill_and_wait([stranger], seconds=60)
    assert child.poll() is None


def test_one_that_has_ended_is_passed_over() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    seen = read(child.pid)
    child.communicate()
    kill_and_wait([seen], seconds=60)
