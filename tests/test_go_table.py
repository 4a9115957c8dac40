"""The table of the Go client's tests: what it names exists, and nothing of theirs about processes is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
TABLE = HERE / "integration" / "README.md"


class Row(NamedTuple):
    go: list[str]
    here: list[str]
    note: str


def rows() -> list[Row]:
    found = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("| `"):
            go, here, note = (cell.strip() for cell in line.strip("|").split("|"))
            found.append(Row(re.findall("`([^`]+)`", go), re.findall("`([^`]+)`", here), note))
    return found


ROWS = rows()

# Of tasks, processes, their streams, checkpoints and events, in containerd's integration/client (main, August 2026).
CORE = """
TestNewTaskWithRuntimeOption
TestCheckpointRestorePTY TestCheckpointRestore TestCheckpointRestoreNewContainer TestCheckpointLeaveRunning
TestCheckpointRestoreWithImagePath TestCheckpointOnPauseStatus
TestContainerStart TestContainerStartWithAbsRuntimePath TestContainerOutput TestContainerWait TestContainerExec
TestContainerLargeExecArgs TestContainerPids TestContainerCloseIO TestDeleteRunningContainer TestContainerKill
TestKillContainerDeletedByRunc TestContainerNoBinaryExists TestContainerExecNoBinaryExists TestWaitStoppedTask
TestWaitStoppedProcess TestTaskForceDelete TestProcessForceDelete TestContainerExitedAtSet
TestDeleteContainerExecCreated TestContainerMetrics TestDeletedContainerMetrics TestContainerExecLargeOutputWithTTY
TestShortRunningTaskPid TestRegressionIssue4769 TestRegressionIssue6429 TestDaemonRestart
TestContainerKillInitKillsChildWhenNotHostPid TestTaskResize TestContainerNoSTDIN TestTaskSpec TestContainerPTY
TestTaskUpdate TestDaemonReconnectsToShimIOPipesOnRestart TestContainerAttach TestContainerAttachProcess
TestContainerLoadUnexistingProcess TestContainerKillAll TestDaemonRestartWithRunningShim
TestContainerRuntimeOptionsv2 TestContainerKillInitPidHost TestIssue9103 TestIssue10589
TestDaemonRuntimeRoot TestRestartMonitor BenchmarkContainerCreate BenchmarkContainerStart
"""


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The names of a module's functions."""
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.go[0])
def test_what_is_named_exists(row: Row) -> None:
    for name in row.here:
        file, _, function = name.partition("::")
        path = (HERE / "integration" / file) if "/" not in file else HERE / file
        assert path.exists(), f"there is no {path}"
        assert function in functions_of(path), f"there is no {function} in {file}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.go[0])
def test_what_has_no_counterpart_has_a_reason(row: Row) -> None:
    assert row.here or row.note


def test_each_of_theirs_is_named_once() -> None:
    names = [name for row in ROWS for name in row.go]
    assert sorted(names) == sorted(set(names))


def test_all_of_tasks_and_processes_have_their_counterpart() -> None:
    tried = {name for row in ROWS if row.here for name in row.go}
    assert [name for name in CORE.split() if name not in tried] == []
