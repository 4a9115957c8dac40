"""What the Tasks service answers about a process, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from containerd_aio._api.containerd.runc.v1 import ProcessDetails
from containerd_aio._api.containerd.services.tasks import v1 as api
from containerd_aio._api.containerd.v1 import types as api_types
from containerd_aio._transport import typeurl
from containerd_aio._transport.convert import any_from, timestamp_ns
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import AnyValue, ExitStatus, ProcessInfo, ProcessRecord, ProcessState, Status

_STATES: Final = {
    api_types.Status.CREATED: ProcessState.CREATED,
    api_types.Status.RUNNING: ProcessState.RUNNING,
    api_types.Status.STOPPED: ProcessState.STOPPED,
    api_types.Status.PAUSED: ProcessState.PAUSED,
    api_types.Status.PAUSING: ProcessState.PAUSING,
}


@dataclass(frozen=True, slots=True)
class DeletedProcess:
    """What containerd answers when it deletes a process.

    ``exited_at_ns`` is ``None`` for one that never ran, and now and then for one that was killed at that moment:
    ``code`` is 0 then, and means nothing.
    """

    pid: int
    code: int
    exited_at_ns: int | None


def deleted_from(answer: api.DeleteResponse) -> DeletedProcess:
    """Return how a deleted process ended."""
    return DeletedProcess(answer.pid, answer.exit_status, timestamp_ns(answer.exited_at))


def record_from(process: api_types.Process, container_id: str, exec_id: str) -> ProcessRecord:
    """Return what containerd knows of a process; its ids are the caller's to know.

    Of a paused task containerd calls each exec paused, also one that has ended or never ran. The former has a time
    of its exit, the latter no pid (seen on containerd 1.6.20, 1.7.24 and 2.1.9).
    """
    state = _STATES.get(process.status, ProcessState.UNKNOWN)
    exited_at_ns = timestamp_ns(process.exited_at)
    if exec_id and state in (ProcessState.PAUSED, ProcessState.PAUSING):
        if exited_at_ns is not None:
            state = ProcessState.STOPPED
        elif not process.pid:
            state = ProcessState.CREATED
    exit_status = None
    if state is ProcessState.STOPPED:
        exit_status = ExitStatus(process.exit_status, exited_at_ns)
    return ProcessRecord(
        container_id=container_id,
        exec_id=exec_id,
        pid=process.pid,
        status=Status(state, exit_status),
        stdin=process.stdin,
        stdout=process.stdout,
        stderr=process.stderr,
        terminal=process.terminal,
    )


def process_info_from(process: api_types.ProcessInfo) -> ProcessInfo:
    """Return a process inside of a container."""
    return ProcessInfo(process.pid, _exec_id(any_from(process.info)))


def _exec_id(info: AnyValue | None) -> str | None:
    """The exec that started a process; ``None`` where containerd does not say, or says it in another type."""
    if info is None:
        return None
    try:
        return typeurl.unpack(info, ProcessDetails).exec_id or None
    except InvalidArgumentError:
        return None
