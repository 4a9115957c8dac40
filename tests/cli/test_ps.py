"""The rows of ``ps``."""

from __future__ import annotations

import json

import pytest

from containerd_aio.cli.ps import rows
from containerd_aio.types import ContainerInfo, ExitStatus, ProcessRecord, ProcessState, Runtime, Status

SECOND = 1_000_000_000


def container(id: str, made: int | None, image: str | None = "busybox") -> ContainerInfo:
    return ContainerInfo(
        id=id,
        runtime=Runtime("io.containerd.runc.v2", None),
        spec=None,
        image=image,
        created_at_ns=None if made is None else made * SECOND,
    )


def task(id: str, pid: int, state: ProcessState, code: int | None = None) -> ProcessRecord:
    status = Status(state, None if code is None else ExitStatus(code))
    return ProcessRecord(container_id=id, exec_id="", pid=pid, status=status)


TASKS = [
    task("ended", 0, ProcessState.STOPPED, 3),
    task("web", 7, ProcessState.RUNNING),
    task("lost", 9, ProcessState.UNKNOWN),
]
CONTAINERS = [
    container("ended", 100),
    container("web", 160),
    container("idle", 40, None),
    container("odd", None, "a\x1b[2J"),
]


def test_tasks_are_shown_with_their_containers_the_youngest_first() -> None:
    assert [row.shown(200 * SECOND) for row in rows(TASKS, CONTAINERS, without_task=False)] == [
        ["web", "busybox", "7", "running", "40s"],
        ["ended", "busybox", "-", "stopped (3)", "1m"],
        ["lost", "-", "9", "unknown", "-"],
    ]


def test_containers_without_a_task_are_shown_when_asked_for() -> None:
    found = rows(TASKS, CONTAINERS, without_task=True)
    assert [row.id for row in found] == ["web", "ended", "idle", "lost", "odd"]
    assert found[2].shown(200 * SECOND) == ["idle", "-", "-", "no task", "2m"]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (
            0,
            {"pid": 7, "state": "running", "exit_code": None, "created_at": "1970-01-01T00:02:40.000000000Z"},
        ),
        (1, {"pid": None, "state": "stopped", "exit_code": 3}),
        (3, {"image": None, "created_at": None}),
        (4, {"image": "a\x1b[2J", "pid": None, "state": None, "exit_code": None}),
    ],
)
def test_programs_get_all_of_it_with_null_for_what_there_is_not(
    index: int, expected: dict[str, object]
) -> None:
    shown = json.loads(rows(TASKS, CONTAINERS, without_task=True)[index].as_json())
    assert shown.keys() == {"id", "image", "pid", "state", "exit_code", "created_at"}
    assert expected.items() <= shown.items()
