"""containerd's Tasks service: the processes of containers, one call for each thing that can be done to them.

An ``exec_id`` of ``""`` stands for the container's init. What containerd answers is passed on as it is: how an
exit is told apart from one that was made up, and what a vanished task means, is decided by those who wait.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Final

from containerd_aio._api.containerd.services.tasks import v1 as api
from containerd_aio._api.google.protobuf import Empty
from containerd_aio._transport.call import Caller
from containerd_aio._transport.convert import descriptor_from, timestamp_ns, to_any, to_descriptor, to_mount
from containerd_aio.errors import InvalidArgumentError, NotImplementedByServerError
from containerd_aio.filters import parse
from containerd_aio.services.task_metrics import metrics_from
from containerd_aio.services.task_records import (
    DeletedProcess,
    deleted_from,
    process_info_from,
    record_from,
)
from containerd_aio.types import (
    AnyValue,
    Descriptor,
    ExitStatus,
    Metrics,
    Mount,
    ProcessInfo,
    ProcessRecord,
    TaskEndpoint,
)
from containerd_aio.types.identifier import check_identifier

_SERVICE: Final = "containerd.services.tasks.v1.Tasks/"
_LAST_SIGNAL: Final = 64
_WIDEST: Final = 65535


class Tasks:
    """The tasks of one namespace."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create(
        self,
        container_id: str,
        *,
        rootfs: Sequence[Mount] = (),
        stdin: str = "",
        stdout: str = "",
        stderr: str = "",
        terminal: bool = False,
        checkpoint: Descriptor | None = None,
        options: AnyValue | None = None,
        runtime_path: str = "",
        endpoint: TaskEndpoint | None = None,
    ) -> int:
        """Make a container's task and return its pid: 0 for one that is restored from a checkpoint.

        Waits until FIFOs of stdout and stderr have readers. Without ``options`` the container's own count.
        ``endpoint`` is a shim that runs already; containerd before 2.3.1 looks for it in the options of runc only.
        If cancelled, the task may exist.

        :raises AlreadyExistsError: if the container has a task
        :raises NotFoundError: if there is no such container
        """
        check_identifier("container id", container_id)
        request = api.CreateTaskRequest(
            container_id=container_id,
            rootfs=[to_mount(mount) for mount in rootfs],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
            options=to_any(options),
            runtime_path=runtime_path,
        )
        if checkpoint is not None:
            request.checkpoint = to_descriptor(checkpoint)
        if endpoint is not None:
            request.task_api_address = endpoint.address
            request.task_api_version = endpoint.version
        answer = await self._caller.unary(
            _SERVICE + "Create", request, api.CreateTaskResponse, about=_about(container_id)
        )
        return answer.pid

    async def start(self, container_id: str, exec_id: str = "") -> int:
        """Start a process that was made, and return its pid.

        :raises NotFoundError: if there is no such process
        :raises UnknownError: if it cannot be started: it was before, or has no such binary
        """
        request = api.StartRequest(container_id=container_id, exec_id=exec_id)
        answer = await self._caller.unary(
            _SERVICE + "Start", request, api.StartResponse, about=_about(container_id, exec_id)
        )
        return answer.pid

    async def delete(self, container_id: str) -> DeletedProcess:
        """Delete a stopped or created task, and return how it ended.

        Waits until the shim has drained the output: 10 s at most, 2 s with older shims.

        :raises NotFoundError: if there is no such task
        :raises UnknownError: if it runs
        """
        answer = await self._caller.unary(
            _SERVICE + "Delete",
            api.DeleteTaskRequest(container_id=container_id),
            api.DeleteResponse,
            about=_about(container_id),
        )
        return deleted_from(answer)

    async def delete_process(self, container_id: str, exec_id: str) -> DeletedProcess:
        """Delete a stopped or created exec, and return how it ended. Waits as `delete` does.

        :raises InvalidArgumentError: if the exec id is none; containerd 1.6 takes an empty one for the init's
        :raises NotFoundError: if there is no such exec
        :raises UnknownError: if it runs
        """
        check_identifier("exec id", exec_id)
        answer = await self._caller.unary(
            _SERVICE + "DeleteProcess",
            api.DeleteProcessRequest(container_id=container_id, exec_id=exec_id),
            api.DeleteResponse,
            about=_about(container_id, exec_id),
        )
        return deleted_from(answer)

    async def get(self, container_id: str, exec_id: str = "") -> ProcessRecord:
        """Return what containerd knows of a process.

        A shim that does not answer makes it an ``UNKNOWN`` with pid 0, after 2 s.

        :raises NotFoundError: if there is no such process
        """
        answer = await self._caller.unary(
            _SERVICE + "Get",
            api.GetRequest(container_id=container_id, exec_id=exec_id),
            api.GetResponse,
            quick=True,
            about=_about(container_id, exec_id),
        )
        # The answer has the one id in `id` and leaves `container_id` empty.
        return record_from(answer.process, container_id, exec_id)

    async def list(self) -> list[ProcessRecord]:
        """Return all tasks, without execs; those that containerd could not ask are left out."""
        answer = await self._caller.unary(
            _SERVICE + "List", api.ListTasksRequest(), api.ListTasksResponse, quick=True
        )
        return [record_from(task, task.container_id or task.id, "") for task in answer.tasks]

    async def kill(self, container_id: str, signal: int, *, exec_id: str = "", all: bool = False) -> None:
        """Send a signal to a process; with ``all``, to every process of the container.

        :raises NotFoundError: if it has ended, or does not exist
        :raises FailedPreconditionError: if it is an exec that was not started
        """
        if not 0 <= signal <= _LAST_SIGNAL:
            raise InvalidArgumentError(f"{signal} is no signal: 1 to {_LAST_SIGNAL}, or 0 for none")
        request = api.KillRequest(container_id=container_id, exec_id=exec_id, signal=signal, all=all)
        await self._caller.unary(
            _SERVICE + "Kill", request, Empty, quick=True, about=_about(container_id, exec_id)
        )

    async def exec(
        self,
        container_id: str,
        exec_id: str,
        spec: AnyValue,
        *,
        stdin: str = "",
        stdout: str = "",
        stderr: str = "",
        terminal: bool = False,
    ) -> None:
        """Make a process in a running container; `start` starts it. ``spec`` is an OCI process as JSON.

        :raises InvalidArgumentError: for an illegal id, and for the container's own, since the exit of such an
            exec could not be told from the container's
        :raises AlreadyExistsError: if the id is taken
        :raises UnknownError: if the container does not run
        """
        check_identifier("exec id", exec_id)
        if exec_id == container_id:
            raise InvalidArgumentError(
                f"the exec id {exec_id!r} is the container's: their exits could not be told apart"
            )
        _check_document("the spec of an exec", spec)
        request = api.ExecProcessRequest(
            container_id=container_id,
            exec_id=exec_id,
            spec=to_any(spec),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=terminal,
        )
        await self._caller.unary(_SERVICE + "Exec", request, Empty, about=_about(container_id, exec_id))

    async def resize_pty(self, container_id: str, width: int, height: int, *, exec_id: str = "") -> None:
        """Set the size of a process's terminal, in characters; without a terminal nothing happens.

        :raises InvalidArgumentError: for a size that no terminal has
        :raises NotFoundError: if there is no such process
        """
        if not (0 <= width <= _WIDEST and 0 <= height <= _WIDEST):
            raise InvalidArgumentError(f"no terminal is {width} x {height}: {_WIDEST} is the largest")
        request = api.ResizePtyRequest(container_id=container_id, exec_id=exec_id, width=width, height=height)
        await self._caller.unary(
            _SERVICE + "ResizePty", request, Empty, quick=True, about=_about(container_id, exec_id)
        )

    async def close_io(self, container_id: str, *, exec_id: str = "", stdin: bool = True) -> None:
        """Have the shim close its own writer of stdin; the process sees the end when all others are closed too.

        :raises NotFoundError: if there is no such process
        """
        request = api.CloseIoRequest(container_id=container_id, exec_id=exec_id, stdin=stdin)
        await self._caller.unary(
            _SERVICE + "CloseIO", request, Empty, quick=True, about=_about(container_id, exec_id)
        )

    async def pause(self, container_id: str) -> None:
        """Freeze a running task.

        :raises NotFoundError: if there is no such task
        :raises UnknownError: if it does not run
        """
        request = api.PauseTaskRequest(container_id=container_id)
        await self._caller.unary(_SERVICE + "Pause", request, Empty, quick=True, about=_about(container_id))

    async def resume(self, container_id: str) -> None:
        """Thaw a paused task. No deadline applies: a task must not stay frozen because containerd is slow.

        :raises NotFoundError: if there is no such task
        :raises UnknownError: if it is not paused
        """
        request = api.ResumeTaskRequest(container_id=container_id)
        await self._caller.unary(_SERVICE + "Resume", request, Empty, about=_about(container_id))

    async def list_pids(self, container_id: str) -> builtins.list[ProcessInfo]:
        """Return the processes of a task, with the exec id of those that an exec started; none once it stopped.

        :raises NotFoundError: if there is no such task
        """
        answer = await self._caller.unary(
            _SERVICE + "ListPids",
            api.ListPidsRequest(container_id=container_id),
            api.ListPidsResponse,
            quick=True,
            about=_about(container_id),
        )
        return [process_info_from(process) for process in answer.processes]

    async def checkpoint(
        self, container_id: str, *, options: AnyValue | None = None, parent: str = ""
    ) -> builtins.list[Descriptor]:
        """Write a task's state to the content store, and return what was written; it must be held by a lease.

        ``options`` is a ``containerd.runc.v1.CheckpointOptions``; with an ``image_path`` in it nothing goes to
        the content store. The blobs: CRIU's images as a tar, and the container's spec.

        :raises NotFoundError: if there is no such task
        :raises UnknownError: if it does not run, or CRIU failed
        :raises NotImplementedByServerError: for a ``parent``: containerd 1.6 to 2.3 pass it over in silence
        """
        if parent:
            raise NotImplementedByServerError(
                "containerd cannot build a checkpoint on another one",
                method=_SERVICE + "Checkpoint",
                subject=_about(container_id),
            )
        answer = await self._caller.unary(
            _SERVICE + "Checkpoint",
            api.CheckpointTaskRequest(container_id=container_id, options=to_any(options)),
            api.CheckpointTaskResponse,
            about=_about(container_id),
        )
        return [descriptor_from(descriptor) for descriptor in answer.descriptors]

    async def update(
        self, container_id: str, resources: AnyValue, *, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Change the limits of a running task. ``resources`` is an OCI ``LinuxResources`` as JSON.

        :raises NotFoundError: if there is no such task
        :raises UnknownError: if it does not run, or the kernel refuses
        """
        _check_document("resources", resources)  # the shim reads them without looking whether there are any
        request = api.UpdateTaskRequest(
            container_id=container_id, resources=to_any(resources), annotations=dict(annotations or {})
        )
        await self._caller.unary(_SERVICE + "Update", request, Empty, about=_about(container_id))

    async def metrics(self, *filters: str) -> builtins.list[Metrics]:
        """Return what the tasks use that match any of the filters (fields ``id``, ``namespace``); all without one.

        One call, however many tasks. A task that stopped but was not deleted answers too; one that does not
        exist is left out, and so is one that its shim tells nothing of.

        :raises InvalidArgumentError: if a filter cannot be parsed
        """
        for text in filters:
            parse(text)
        request = api.MetricsRequest(filters=[*filters])
        answer = await self._caller.unary(_SERVICE + "Metrics", request, api.MetricsResponse)
        return [told for metric in answer.metrics if (told := metrics_from(metric)) is not None]

    async def wait(self, container_id: str, exec_id: str = "") -> ExitStatus:
        """Wait until a process has ended, and return how. No deadline applies.

        For an exec that failed to start containerd answers 0, without a time.

        :raises NotFoundError: if there is no such process
        :raises ConnectionLostError: when containerd goes away; the process may run on
        """
        request = api.WaitRequest(container_id=container_id, exec_id=exec_id)
        answer = await self._caller.unary(
            _SERVICE + "Wait", request, api.WaitResponse, about=_about(container_id, exec_id)
        )
        return ExitStatus(answer.exit_status, timestamp_ns(answer.exited_at))


def _about(container_id: str, exec_id: str = "") -> str:
    return f"exec '{exec_id}' of task '{container_id}'" if exec_id else f"task '{container_id}'"


def _check_document(what: str, value: AnyValue) -> None:
    if not value.value:
        raise InvalidArgumentError(f"{what} must not be empty; an empty JSON object is {{}}")
