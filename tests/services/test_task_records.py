"""What containerd answers about a process: its state above all, which is not always the one that is named."""

from __future__ import annotations

import pytest

from containerd_aio._api.containerd.runc.v1 import ProcessDetails
from containerd_aio._api.containerd.services.tasks import v1 as api
from containerd_aio._api.containerd.v1 import types as api_types
from containerd_aio._api.google.protobuf import Any, Timestamp
from containerd_aio._transport.codec import encode
from containerd_aio.services.task_records import (
    DeletedProcess,
    deleted_from,
    process_info_from,
    record_from,
)
from containerd_aio.types import ExitStatus, ProcessInfo, ProcessState, Status

YEAR_1 = Timestamp(seconds=-62_135_596_800)
STATES = api_types.Status


@pytest.mark.parametrize("state", STATES)
def test_the_states_are_those_of_containerd(state: api_types.Status) -> None:
    process = api_types.Process(id="web", pid=7, status=state, exit_status=3, exited_at=Timestamp(seconds=1))
    record = record_from(process, "web", "")
    assert record.status.state == (state.name or "").lower()
    assert record.status.exit_status == (ExitStatus(3, 10**9) if state is STATES.STOPPED else None)


@pytest.mark.parametrize("state", [STATES.PAUSED, STATES.PAUSING])
@pytest.mark.parametrize(
    ("pid", "exited_at", "status"),
    [
        pytest.param(7, YEAR_1, None, id="frozen"),
        pytest.param(7, Timestamp(seconds=1), Status(ProcessState.STOPPED, ExitStatus(3, 10**9)), id="ended"),
        pytest.param(0, YEAR_1, Status(ProcessState.CREATED), id="never ran"),
    ],
)
def test_of_a_paused_tasks_execs_only_those_that_run_are_paused(
    state: api_types.Status, pid: int, exited_at: Timestamp, status: Status | None
) -> None:
    process = api_types.Process(id="ps", pid=pid, status=state, exit_status=3, exited_at=exited_at)
    record = record_from(process, "web", "ps")
    assert record.status == (status or Status(ProcessState((state.name or "").lower())))
    assert record_from(process, "web", "").status.exit_status is None


def test_a_state_that_is_not_known_yet_is_unknown() -> None:
    process = api_types.Process(id="web", status=api_types.Status.try_value(99))
    assert record_from(process, "web", "").status == Status(ProcessState.UNKNOWN)


def test_a_deleted_process_without_a_time_has_none() -> None:
    answer = api.DeleteResponse(pid=7, exit_status=137, exited_at=YEAR_1)
    assert deleted_from(answer) == DeletedProcess(7, 137, None)


@pytest.mark.parametrize(
    ("info", "exec_id"),
    [
        pytest.param(None, None, id="no info"),
        pytest.param(ProcessDetails(exec_id="ps"), "ps", id="of an exec"),
        pytest.param(ProcessDetails(), None, id="of the init"),
        pytest.param(YEAR_1, None, id="of another type"),
    ],
)
def test_a_process_is_an_execs_where_containerd_says_so(
    info: ProcessDetails | Timestamp | None, exec_id: str | None
) -> None:
    process = api_types.ProcessInfo(pid=7)
    if info is not None:
        process.info = Any(type_url=info.__proto_name__, value=encode(info))
    assert process_info_from(process) == ProcessInfo(7, exec_id)
