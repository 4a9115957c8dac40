"""The Tasks service: what is asked of containerd, and what becomes of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from grpclib import GRPCError, Status

from containerd_aio._api._message import Message
from containerd_aio._api.containerd import types as shared
from containerd_aio._api.containerd.runc.v1 import ProcessDetails
from containerd_aio._api.containerd.services.tasks import v1 as api
from containerd_aio._api.containerd.v1 import types as task_types
from containerd_aio._api.google.protobuf import Any, Empty, Timestamp
from containerd_aio._api.io.containerd.cgroups import v2
from containerd_aio._transport.codec import encode
from containerd_aio._transport.typeurl import LINUX_RESOURCES, PROCESS
from containerd_aio.errors import InvalidArgumentError, NotFoundError, NotImplementedByServerError
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.services.tasks import Tasks
from containerd_aio.types import (
    AnyValue,
    Descriptor,
    ExitStatus,
    Mount,
    ProcessInfo,
    ProcessRecord,
    ProcessState,
    TaskEndpoint,
)
from containerd_aio.types import Status as ProcessStatus
from tests.services.scripted import Answer, Scripted
from tests.services.serving import serving

State = task_types.Status

YEAR_1 = Timestamp(seconds=-62_135_596_800)
SPEC = AnyValue(PROCESS, b'{"args":["ps"]}')
OPTIONS = AnyValue("containerd.runc.v1.Options", b"\x08\x01")
RESOURCES = AnyValue(LINUX_RESOURCES, b"{}")
DIGEST = "sha256:" + "a" * 64


def any_message(value: AnyValue) -> Any:
    return Any(type_url=value.type_url, value=value.value)


ANSWERS: dict[str, Answer] = {
    "Create": api.CreateTaskResponse(container_id="web", pid=7),
    "Start": api.StartResponse(pid=8),
    "Delete": api.DeleteResponse(pid=7, exit_status=137, exited_at=Timestamp(seconds=1, nanos=1)),
    "DeleteProcess": api.DeleteResponse(id="ps", pid=9, exited_at=YEAR_1),
    "Get": api.GetResponse(process=task_types.Process(id="web", pid=7, status=State.RUNNING)),
    "List": api.ListTasksResponse(),
    "Kill": Empty(),
    "Exec": Empty(),
    "ResizePty": Empty(),
    "CloseIO": Empty(),
    "Pause": Empty(),
    "Resume": Empty(),
    "ListPids": api.ListPidsResponse(),
    "Checkpoint": api.CheckpointTaskResponse(
        descriptors=[shared.Descriptor(media_type="m", digest=DIGEST, size=3)]
    ),
    "Update": Empty(),
    "Metrics": api.MetricsResponse(),
    "Wait": api.WaitResponse(exit_status=7, exited_at=Timestamp(seconds=2)),
}


@pytest.fixture
def answers() -> dict[str, Answer]:
    return ANSWERS


@pytest.fixture
def service(answers: dict[str, Answer]) -> Scripted:
    return Scripted(api.TasksBase, answers)


@pytest.fixture
async def tasks(service: Scripted) -> AsyncIterator[Tasks]:
    async with serving(service) as served:
        yield Tasks(served.caller)


@pytest.mark.parametrize(
    ("call", "method", "request_message", "result"),
    [
        pytest.param(
            lambda tasks: tasks.create("web"),
            "Create",
            api.CreateTaskRequest(container_id="web"),
            7,
            id="create",
        ),
        pytest.param(
            lambda tasks: tasks.create(
                "web",
                rootfs=[Mount("bind", "/a", "/", ("ro",))],
                stdin="/i",
                stdout="/o",
                stderr="/e",
                terminal=True,
                checkpoint=Descriptor("m", DIGEST, 3),
                options=OPTIONS,
                runtime_path="/usr/bin/shim",
                endpoint=TaskEndpoint("ttrpc+unix:///s", 3),
            ),
            "Create",
            api.CreateTaskRequest(
                container_id="web",
                rootfs=[shared.Mount(type="bind", source="/a", target="/", options=["ro"])],
                stdin="/i",
                stdout="/o",
                stderr="/e",
                terminal=True,
                checkpoint=shared.Descriptor(media_type="m", digest=DIGEST, size=3),
                options=any_message(OPTIONS),
                runtime_path="/usr/bin/shim",
                task_api_address="ttrpc+unix:///s",
                task_api_version=3,
            ),
            7,
            id="create with everything",
        ),
        pytest.param(
            lambda tasks: tasks.start("web"), "Start", api.StartRequest(container_id="web"), 8, id="start"
        ),
        pytest.param(
            lambda tasks: tasks.start("web", "ps"),
            "Start",
            api.StartRequest(container_id="web", exec_id="ps"),
            8,
            id="start an exec",
        ),
        pytest.param(
            lambda tasks: tasks.delete("web"),
            "Delete",
            api.DeleteTaskRequest(container_id="web"),
            DeletedProcess(7, 137, 1_000_000_001),
            id="delete",
        ),
        pytest.param(
            lambda tasks: tasks.delete_process("web", "ps"),
            "DeleteProcess",
            api.DeleteProcessRequest(container_id="web", exec_id="ps"),
            DeletedProcess(9, 0, None),
            id="delete an exec that never ran",
        ),
        pytest.param(
            lambda tasks: tasks.kill("web", 15),
            "Kill",
            api.KillRequest(container_id="web", signal=15),
            None,
            id="kill",
        ),
        pytest.param(
            lambda tasks: tasks.kill("web", 9, exec_id="ps", all=True),
            "Kill",
            api.KillRequest(container_id="web", exec_id="ps", signal=9, all=True),
            None,
            id="kill an exec",
        ),
        pytest.param(
            lambda tasks: tasks.exec("web", "ps", SPEC, stdin="/i", stdout="/o", stderr="/e", terminal=True),
            "Exec",
            api.ExecProcessRequest(
                container_id="web",
                exec_id="ps",
                spec=any_message(SPEC),
                stdin="/i",
                stdout="/o",
                stderr="/e",
                terminal=True,
            ),
            None,
            id="exec",
        ),
        pytest.param(
            lambda tasks: tasks.resize_pty("web", 80, 24, exec_id="ps"),
            "ResizePty",
            api.ResizePtyRequest(container_id="web", exec_id="ps", width=80, height=24),
            None,
            id="resize",
        ),
        pytest.param(
            lambda tasks: tasks.close_io("web", exec_id="ps"),
            "CloseIO",
            api.CloseIoRequest(container_id="web", exec_id="ps", stdin=True),
            None,
            id="close stdin",
        ),
        pytest.param(
            lambda tasks: tasks.pause("web"),
            "Pause",
            api.PauseTaskRequest(container_id="web"),
            None,
            id="pause",
        ),
        pytest.param(
            lambda tasks: tasks.resume("web"),
            "Resume",
            api.ResumeTaskRequest(container_id="web"),
            None,
            id="resume",
        ),
        pytest.param(
            lambda tasks: tasks.checkpoint("web", options=OPTIONS),
            "Checkpoint",
            api.CheckpointTaskRequest(container_id="web", options=any_message(OPTIONS)),
            [Descriptor("m", DIGEST, 3)],
            id="checkpoint",
        ),
        pytest.param(
            lambda tasks: tasks.update("web", RESOURCES, annotations={"a": "b"}),
            "Update",
            api.UpdateTaskRequest(
                container_id="web", resources=any_message(RESOURCES), annotations={"a": "b"}
            ),
            None,
            id="update",
        ),
        pytest.param(
            lambda tasks: tasks.wait("web", "ps"),
            "Wait",
            api.WaitRequest(container_id="web", exec_id="ps"),
            ExitStatus(7, 2_000_000_000),
            id="wait",
        ),
    ],
)
async def test_each_call_asks_one_thing(
    tasks: Tasks,
    service: Scripted,
    call: Callable[[Tasks], Awaitable[object]],
    method: str,
    request_message: Message,
    result: object,
) -> None:
    assert await call(tasks) == result
    assert service.requests == [(method, request_message)]


@pytest.mark.parametrize(
    ("process", "record"),
    [
        pytest.param(
            task_types.Process(id="ps", pid=9, status=State.RUNNING, stdout="/o", terminal=True),
            ProcessRecord("web", "ps", 9, ProcessStatus(ProcessState.RUNNING), stdout="/o", terminal=True),
            id="running",
        ),
        pytest.param(
            task_types.Process(
                id="ps",
                pid=9,
                status=State.STOPPED,
                exit_status=3,
                exited_at=Timestamp(seconds=1),
            ),
            ProcessRecord("web", "ps", 9, ProcessStatus(ProcessState.STOPPED, ExitStatus(3, 10**9))),
            id="stopped",
        ),
        pytest.param(
            task_types.Process(id="ps", status=State.CREATED, exited_at=YEAR_1),
            ProcessRecord("web", "ps", 0, ProcessStatus(ProcessState.CREATED)),
            id="never started",
        ),
        pytest.param(
            task_types.Process(id="ps", status=State.UNKNOWN, exit_status=9),
            ProcessRecord("web", "ps", 0, ProcessStatus(ProcessState.UNKNOWN)),
            id="a shim that does not answer",
        ),
        pytest.param(
            task_types.Process(id="ps", status=State.try_value(99)),
            ProcessRecord("web", "ps", 0, ProcessStatus(ProcessState.UNKNOWN)),
            id="a state from the future",
        ),
    ],
)
async def test_get_returns_the_state(process: task_types.Process, record: ProcessRecord) -> None:
    service = Scripted(api.TasksBase, {"Get": api.GetResponse(process=process)})
    async with serving(service) as served:
        assert await Tasks(served.caller).get("web", "ps") == record
    assert service.requests == [("Get", api.GetRequest(container_id="web", exec_id="ps"))]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.PAUSED, ProcessState.PAUSED),
        (State.PAUSING, ProcessState.PAUSING),
        (State.CREATED, ProcessState.CREATED),
    ],
)
async def test_list_returns_each_init_in_its_state(state: State, expected: ProcessState) -> None:
    processes = [
        task_types.Process(container_id="web", id="web", pid=7, status=state),
        task_types.Process(id="db", pid=8, status=state),
    ]
    service = Scripted(api.TasksBase, {"List": api.ListTasksResponse(tasks=processes)})
    async with serving(service) as served:
        assert await Tasks(served.caller).list() == [
            ProcessRecord("web", "", 7, ProcessStatus(expected)),
            ProcessRecord("db", "", 8, ProcessStatus(expected)),
        ]


async def test_list_pids_tells_which_exec_started_a_process() -> None:
    details = encode(ProcessDetails(exec_id="ps"))
    processes = [
        task_types.ProcessInfo(pid=7),
        task_types.ProcessInfo(pid=8, info=Any(type_url="containerd.runc.v1.ProcessDetails", value=details)),
        task_types.ProcessInfo(pid=9, info=Any(type_url="containerd.runc.v1.ProcessDetails", value=b"\xff")),
        task_types.ProcessInfo(pid=10, info=Any(type_url="example.Other", value=details)),
    ]
    service = Scripted(api.TasksBase, {"ListPids": api.ListPidsResponse(processes=processes)})
    async with serving(service) as served:
        assert await Tasks(served.caller).list_pids("web") == [
            ProcessInfo(7),
            ProcessInfo(8, "ps"),
            ProcessInfo(9),
            ProcessInfo(10),
        ]


async def test_metrics_of_all_come_by_one_call_and_keep_their_bytes() -> None:
    usage = Any(
        type_url="io.containerd.cgroups.v2.Metrics", value=encode(v2.Metrics(pids=v2.PidsStat(current=3)))
    )
    metrics = [
        shared.Metric(id="web", timestamp=Timestamp(seconds=1), data=usage),
        shared.Metric(id="bare"),
    ]
    service = Scripted(api.TasksBase, {"Metrics": api.MetricsResponse(metrics=metrics)})
    async with serving(service) as served:
        [told] = await Tasks(served.caller).metrics("id==web")
    assert (told.id, told.timestamp_ns, told.pids.current) == ("web", 10**9, 3)
    assert told.data == AnyValue(usage.type_url, usage.value)
    assert service.requests == [("Metrics", api.MetricsRequest(filters=["id==web"]))]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(lambda tasks: tasks.create("a/b"), "container id", id="create with an illegal id"),
        pytest.param(
            lambda tasks: tasks.create("web", options=AnyValue("", b"")),
            "type",
            id="create with empty options",
        ),
        pytest.param(lambda tasks: tasks.exec("web", "", SPEC), "exec id", id="exec without id"),
        pytest.param(lambda tasks: tasks.exec("web", "../x", SPEC), "exec id", id="exec with an illegal id"),
        pytest.param(
            lambda tasks: tasks.exec("web", "web", SPEC),
            "could not be told apart",
            id="exec with the task's id",
        ),
        pytest.param(
            lambda tasks: tasks.exec("web", "ps", AnyValue(PROCESS, b"")),
            "must not be empty",
            id="exec of nothing",
        ),
        pytest.param(
            lambda tasks: tasks.exec("web", "ps", AnyValue("", b"{}")), "type", id="exec of an untyped spec"
        ),
        pytest.param(
            lambda tasks: tasks.update("web", AnyValue(LINUX_RESOURCES, b"")),
            "must not be empty",
            id="update to nothing",
        ),
        pytest.param(lambda tasks: tasks.kill("web", -1), "no signal", id="kill with -1"),
        pytest.param(lambda tasks: tasks.kill("web", 65), "no signal", id="kill with 65"),
        pytest.param(lambda tasks: tasks.resize_pty("web", 65536, 1), "65535 is the largest", id="too wide"),
        pytest.param(lambda tasks: tasks.resize_pty("web", 1, -1), "65535 is the largest", id="below zero"),
        pytest.param(lambda tasks: tasks.metrics("id==/x"), "not a filter", id="bad filter"),
    ],
)
async def test_what_containerd_would_stumble_over_is_refused_before_any_call(
    tasks: Tasks, service: Scripted, call: Callable[[Tasks], Awaitable[object]], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        await call(tasks)
    assert service.requests == []


async def test_a_checkpoint_on_top_of_another_one_is_refused_since_containerd_would_pass_it_over(
    tasks: Tasks, service: Scripted
) -> None:
    with pytest.raises(NotImplementedByServerError):
        await tasks.checkpoint("web", parent=DIGEST)
    assert service.requests == []


@pytest.mark.parametrize("exec_id", ["", "ps"])
async def test_errors_name_the_process(exec_id: str) -> None:
    service = Scripted(api.TasksBase, {"Get": GRPCError(Status.NOT_FOUND, "no such process")})
    async with serving(service) as served:
        with pytest.raises(NotFoundError) as caught:
            await Tasks(served.caller).get("web", exec_id)
    assert caught.value.subject == ("exec 'ps' of task 'web'" if exec_id else "task 'web'")


async def test_only_quick_calls_have_a_deadline(service: Scripted) -> None:
    async with serving(service, rpc_timeout=60) as served:
        tasks = Tasks(served.caller)
        await tasks.create("web")
        await tasks.start("web")
        await tasks.get("web")
        await tasks.list()
        await tasks.kill("web", 9)
        await tasks.exec("web", "ps", SPEC)
        await tasks.resize_pty("web", 1, 1)
        await tasks.close_io("web")
        await tasks.pause("web")
        await tasks.resume("web")
        await tasks.list_pids("web")
        await tasks.checkpoint("web")
        await tasks.update("web", RESOURCES)
        await tasks.wait("web")
        await tasks.delete_process("web", "ps")
        await tasks.delete("web")
        quick = {path.rpartition("/")[2] for path, headers in served.headers if "grpc-timeout" in headers}
    assert quick == {"Get", "List", "Kill", "ResizePty", "CloseIO", "Pause", "ListPids"}
