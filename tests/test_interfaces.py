"""The README's table of the Go client's interfaces: each name here is there, and each row has its test.

The names are those of the two files that this library began with, containerd's ``task.go`` and ``process.go`` of
2017, and of today's ``Task``, ``Process`` and ``pkg/cio``.
"""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import containerd_aio

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text()


class Row(NamedTuple):
    go: list[str]
    here: list[str]
    tests: list[str]


def rows() -> list[Row]:
    section = README.partition("\n## From Go\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        if line.startswith("| `"):
            go, here, tests = (re.findall("`([^`]+)`", cell) for cell in line.strip("|").split("|"))
            found.append(Row(go, here, tests))
    return found


ROWS = rows()

# Of the interfaces `Task` and `Process` of 2017 and of today, what goes with them, and their options.
TASK_2017 = "Pid Delete Kill Pause Resume Start Status Wait Exec Pids CloseIO Resize IO Checkpoint Update"
PROCESS_2017 = "ID Pid Start Delete Kill Wait CloseIO Resize IO Status LoadProcess"
BESIDE_2017 = """
UnknownExitStatus TaskStatus WithStdinCloser CheckpointTaskInfo WithExit TaskInfo
ExitStatus Result ExitCode ExitTime Error
"""
TASK_TODAY = f"{TASK_2017} ID LoadProcess Metrics Spec"
OPTIONS_TODAY = """
WithStdinCloser WithProcessKill WithKillAll WithKillExecID WithRootFS WithTaskCheckpoint WithResources
WithAnnotations WithCheckpointName WithCheckpointImagePath WithRestoreImagePath WithRestoreWorkPath
WithRuntimePath WithTaskAPIEndpoint WithNoNewKeyring WithNoPivotRoot WithShimCgroup WithUIDOwner WithGIDOwner
"""
CIO_TODAY = """
NewCreator NewAttach WithStdio WithStreams WithTerminal WithFIFODir NullIO NewDirectIO Load LogURI LogFile BinaryIO
TerminalLogURI TerminalBinaryIO NewFIFOSetInDir
"""


@cache
def integration_tests() -> frozenset[str]:
    trees = [ast.parse(path.read_text()) for path in (HERE / "integration").glob("test_*.py")]
    return frozenset(
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def found_here(text: str) -> object:
    """What a name such as ``Task.kill(all)`` stands for; its parameters must exist."""
    name, _, parameters = text.removesuffix(")").partition("(")
    found: object = containerd_aio
    for part in name.split("."):
        found = getattr(found, part)
    if parameters:
        assert callable(found)
        known = inspect.signature(found).parameters
        for parameter in parameters.split(", "):
            assert parameter in known, f"{name}() has no {parameter}"
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.go[-1])
def test_each_name_is_there(row: Row) -> None:
    assert row.here
    for text in row.here:
        assert callable(found_here(text)) or not text.endswith(")")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.go[-1])
def test_each_row_is_tried_on_a_real_containerd(row: Row) -> None:
    assert row.tests
    assert [name for name in row.tests if name not in integration_tests()] == []


@pytest.mark.parametrize(
    "wanted",
    [TASK_2017, PROCESS_2017, BESIDE_2017, TASK_TODAY, OPTIONS_TODAY, CIO_TODAY],
    ids=["task.go", "process.go", "and what goes with them", "Task", "options", "cio"],
)
def test_nothing_of_theirs_is_left_out(wanted: str) -> None:
    named = {name for row in ROWS for name in row.go}
    assert [name for name in wanted.split() if name not in named] == []
