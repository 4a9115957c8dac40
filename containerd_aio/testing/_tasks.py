"""The daemon's Tasks service over the fake's tasks.

The container is looked up before the task, as the daemon does it: a task whose container's record was deleted is
in the List, and NOT_FOUND for all else.
"""

from __future__ import annotations

import asyncio
import signal as signals
from dataclasses import dataclass
from functools import partial

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio._api.containerd import events
from containerd_aio._api.containerd.runc.v1 import ProcessDetails
from containerd_aio._api.containerd.services.tasks import v1 as api
from containerd_aio._api.containerd.types import Metric
from containerd_aio._api.containerd.v1 import types
from containerd_aio._api.google.protobuf import Empty
from containerd_aio.testing._calls import Faults
from containerd_aio.testing._checkpoints import check_memory, options_of, write_checkpoint
from containerd_aio.testing._filters import filters_of, matches, record_field
from containerd_aio.testing._messages import ZERO_TIME, now, packed, time_of
from containerd_aio.testing._process import FakeProcess, Streams
from containerd_aio.testing._scripts import Scripts
from containerd_aio.testing._specs import has_root
from containerd_aio.testing._statuses import already_exists, checked_identifier, not_found, unknown
from containerd_aio.testing._task import CREATED, STOPPED, FakeTask
from containerd_aio.testing._world import Realm, World
from containerd_aio.types import ProcessState

_RUNTIMES = ("io.containerd.runc.v1", "io.containerd.runc.v2")
_STATES = {
    ProcessState.CREATED: 1,
    ProcessState.RUNNING: 2,
    ProcessState.STOPPED: 3,
    ProcessState.PAUSED: 4,
}


@dataclass(eq=False, slots=True)
class Silence:
    """A process whose shim does not answer: its status is UNKNOWN, after ``seconds``."""

    process: FakeProcess
    seconds: float


class TasksService(api.TasksBase):
    """The Tasks service."""

    def __init__(self, world: World, scripts: Scripts) -> None:
        self.silences: Faults[Silence] = Faults()
        self._world = world
        self._scripts = scripts

    async def create(self, request: api.CreateTaskRequest, /) -> api.CreateTaskResponse:
        realm, container_id = self._world.here(), request.container_id
        container = realm.containers.get(container_id)
        if container is None:
            raise _no_container(realm, container_id)
        if request.is_set("checkpoint"):
            check_memory(realm, request.checkpoint)
        if container_id in realm.tasks:
            raise already_exists(f"task {container_id}")
        if request.is_set("options") and not request.options.type_url:
            raise GRPCError(Status.UNKNOWN, "type with url : not found")
        runtime = container.runtime.name
        if runtime not in _RUNTIMES:
            binary = "containerd-shim-" + "-".join(runtime.split(".")[-2:])
            raise unknown(
                f'failed to start shim: failed to resolve runtime path: runtime "{runtime}" binary not installed'
                f' "{binary}": file does not exist'
            )
        streams = Streams(request.stdin, request.stdout, request.stderr, request.terminal)
        task = FakeTask(
            container_id,
            container.spec.value,
            streams,
            self._scripts,
            partial(self._world.publish, realm),
            lambda gone: _forget(realm, gone),
        )
        realm.tasks[container_id] = task
        try:
            if request.is_set("checkpoint"):
                pid = task.create_restored()
            else:
                pid = await task.create(has_root=bool(request.rootfs) or has_root(container.spec.value))
        except BaseException:
            del realm.tasks[container_id]
            task.vanish()
            raise
        io = events.TaskIo(
            stdin=request.stdin, stdout=request.stdout, stderr=request.stderr, terminal=request.terminal
        )
        created = events.TaskCreate(
            container_id=container_id, bundle=f"/run/fake/{realm.name}/{container_id}", io=io, pid=pid
        )
        created.rootfs = request.rootfs
        self._world.publish(realm, "/tasks/create", created)
        return api.CreateTaskResponse(container_id=container_id, pid=pid)

    async def start(self, request: api.StartRequest, /) -> api.StartResponse:
        return api.StartResponse(pid=await self._task(request.container_id).start(request.exec_id))

    async def delete(self, request: api.DeleteTaskRequest, /) -> api.DeleteResponse:
        task = self._task(request.container_id)
        process = task.check_delete("")
        created = process.state is CREATED
        del self._world.here().tasks[request.container_id]
        task.delete()
        return _deleted(process, created=created)

    async def delete_process(self, request: api.DeleteProcessRequest, /) -> api.DeleteResponse:
        task = self._task(request.container_id)
        process = task.check_delete(request.exec_id)
        if not request.exec_id:
            # containerd 1.6 to 2.1 delete the init's process here, and are left with a task that has none.
            raise unknown("the fake refuses DeleteProcess without an exec id")
        created = process.state is CREATED
        task.delete_exec(request.exec_id)
        return _deleted(process, created=created)

    async def get(self, request: api.GetRequest, /) -> api.GetResponse:
        task = self._task(request.container_id)
        process = task.process(request.exec_id)
        return api.GetResponse(process=await self._described(task, process))

    async def list(self, request: api.ListTasksRequest, /) -> api.ListTasksResponse:
        tasks = [task for task in self._world.here().tasks.values() if task.made and not task.shim_dead]
        return api.ListTasksResponse(tasks=[await self._described(task, task.init) for task in tasks])

    async def kill(self, request: api.KillRequest, /) -> Empty:
        self._task(request.container_id).kill(request.exec_id, request.signal, all=request.all)
        return Empty()

    async def exec(self, request: api.ExecProcessRequest, /) -> Empty:
        if not request.exec_id:
            raise GRPCError(Status.INVALID_ARGUMENT, "exec id cannot be empty")
        task = self._task(request.container_id)
        checked_identifier(request.exec_id, f"invalid exec id {request.exec_id}")
        streams = Streams(request.stdin, request.stdout, request.stderr, request.terminal)
        task.add_exec(request.exec_id, request.spec.value, streams)
        return Empty()

    async def resize_pty(self, request: api.ResizePtyRequest, /) -> Empty:
        self._task(request.container_id).resize(request.exec_id)
        return Empty()

    async def close_io(self, request: api.CloseIoRequest, /) -> Empty:
        process = self._task(request.container_id).process(request.exec_id)
        if request.stdin:
            process.close_io()
        return Empty()

    async def pause(self, request: api.PauseTaskRequest, /) -> Empty:
        self._task(request.container_id).pause()
        return Empty()

    async def resume(self, request: api.ResumeTaskRequest, /) -> Empty:
        self._task(request.container_id).resume()
        return Empty()

    async def list_pids(self, request: api.ListPidsRequest, /) -> api.ListPidsResponse:
        task = self._task(request.container_id)
        task.process("")
        infos: list[types.ProcessInfo] = []
        for process in task.processes():
            if process.pid and process.state is not STOPPED:
                info = types.ProcessInfo(pid=process.pid)
                if process.exec_id:
                    info.info = packed(ProcessDetails(exec_id=process.exec_id))
                infos.append(info)
        return api.ListPidsResponse(processes=infos)

    async def checkpoint(self, request: api.CheckpointTaskRequest, /) -> api.CheckpointTaskResponse:
        realm, task = self._world.here(), self._task(request.container_id)
        lease = self._world.lease(realm)
        task.check_checkpoint()
        options = options_of(request.options)
        container = realm.containers[request.container_id]  # as it was before the processes end
        if options.exit:
            task.ended(task.init, 128 + signals.SIGKILL)
        if options.image_path:
            return api.CheckpointTaskResponse()
        return api.CheckpointTaskResponse(
            descriptors=write_checkpoint(realm, lease, container, task.init.args)
        )

    async def update(self, request: api.UpdateTaskRequest, /) -> Empty:
        self._task(request.container_id).update(request.resources.value)
        return Empty()

    async def metrics(self, request: api.MetricsRequest, /) -> api.MetricsResponse:
        try:
            realm = self._world.here()
            filters = filters_of(request.filters)
        except GRPCError as error:
            raise GRPCError(Status.UNKNOWN, error.message) from None
        found = [
            Metric(timestamp=now(), id=name, data=packed(task.resources.metrics(task.running)))
            for name, task in realm.tasks.items()
            if not task.shim_dead and matches(filters, record_field({"id": name, "namespace": realm.name}))
        ]
        return api.MetricsResponse(metrics=found)

    async def wait(self, request: api.WaitRequest, /) -> api.WaitResponse:
        process = self._task(request.container_id).process(request.exec_id)
        await process.exited()
        return api.WaitResponse(exit_status=process.code, exited_at=time_of(process.exited_at_ns))

    def _task(self, container_id: str) -> FakeTask:
        realm = self._world.here()
        if container_id not in realm.containers:
            raise _no_container(realm, container_id)
        task = realm.tasks.get(container_id)
        if task is None:
            raise GRPCError(Status.NOT_FOUND, f"task {container_id} not found")
        if not task.made:
            raise not_found("container not created")  # its Create is under way
        return task

    async def _described(self, task: FakeTask, process: FakeProcess) -> types.Process:
        for silence in self.silences:
            if silence.process is process:
                await asyncio.sleep(silence.seconds)
                return types.Process(id=process.exec_id or task.container_id, exited_at=ZERO_TIME)
        streams = process.streams
        return types.Process(
            id=process.exec_id or task.container_id,
            pid=process.pid,
            status=types.Status.try_value(_STATES[task.told_state(process)]),
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            terminal=streams.terminal,
            exit_status=process.code,
            exited_at=time_of(process.exited_at_ns),
        )


def _no_container(realm: Realm, container_id: str) -> GRPCError:
    return not_found(f'container "{container_id}" in namespace "{realm.name}"')


def _forget(realm: Realm, task: FakeTask) -> None:
    if realm.tasks.get(task.container_id) is task:
        del realm.tasks[task.container_id]


def _deleted(process: FakeProcess, *, created: bool) -> api.DeleteResponse:
    return api.DeleteResponse(
        id=process.exec_id,
        pid=process.pid,
        exit_status=0 if created else process.code,
        exited_at=ZERO_TIME if created else time_of(process.exited_at_ns),
    )
