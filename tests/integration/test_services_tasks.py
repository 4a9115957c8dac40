"""Tasks, execs and their events, call by call, on a real containerd and runc."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from containerd_aio import events, spec
from containerd_aio._transport.typeurl import LINUX_RESOURCES, PROCESS, SPEC, json_any
from containerd_aio.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
    UnknownError,
)
from containerd_aio.services import Services
from containerd_aio.services.task_records import DeletedProcess
from containerd_aio.services.tasks import Tasks
from containerd_aio.types import AnyValue, ContainerInfo, Mount, ProcessInfo, ProcessState, Runtime
from tests.integration.conftest import cannot_run
from tests.integration.host import is_runc

pytestmark = pytest.mark.integration

ID = "web"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> list[Mount]:
    """A root filesystem of busybox, bound from a directory."""
    busybox = shutil.which("busybox")
    if busybox is None:
        cannot_run("busybox is not installed")
    root = tmp_path_factory.mktemp("rootfs")
    for directory in ("bin", "dev", "proc", "run", "sys"):
        (root / directory).mkdir()
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in ("sh", "sleep", "cat"):
        (root / "bin" / applet).symlink_to("busybox")
    return [Mount("bind", str(root), options=("rbind", "rw"))]


@pytest.fixture
async def container(services: Services) -> AsyncIterator[ContainerInfo]:
    """A container whose process sleeps; it ends with its task."""
    namespace = services.caller.namespace
    options = [spec.args("sleep", "1000"), spec.env(["PATH=/bin"])]
    document = spec.build(spec.SpecContext(ID, namespace, None, None), options)
    info = await services.containers.create(
        ContainerInfo(ID, Runtime("io.containerd.runc.v2"), json_any(SPEC, document))
    )
    yield info
    with anyio.CancelScope(shield=True):
        await end(services.tasks)
        await services.containers.delete(ID)


@pytest.fixture
async def tasks(services: Services, container: ContainerInfo, rootfs: list[Mount]) -> Tasks:
    """The service, with a running task."""
    assert await services.tasks.create(ID, rootfs=rootfs) > 0
    await services.tasks.start(ID)
    return services.tasks


async def end(tasks: Tasks) -> None:
    try:
        await tasks.kill(ID, signal.SIGKILL)
        await tasks.wait(ID)
    except NotFoundError:
        pass
    try:
        await tasks.delete(ID)
    except NotFoundError:
        pass


def process(*args: str) -> AnyValue:
    return json_any(PROCESS, {"args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}})


async def state(tasks: Tasks, exec_id: str = "") -> ProcessState:
    return (await tasks.get(ID, exec_id)).status.state


async def test_a_task_lives_and_ends(
    services: Services, container: ContainerInfo, rootfs: list[Mount]
) -> None:
    tasks = services.tasks
    with anyio.fail_after(60):
        pid = await tasks.create(ID, rootfs=rootfs)
        created = await tasks.get(ID)
        assert (created.container_id, created.exec_id, created.pid) == (ID, "", pid)
        assert created.status.state is ProcessState.CREATED
        assert created.status.exit_status is None
        with pytest.raises(AlreadyExistsError, match=f"task '{ID}'"):
            await tasks.create(ID, rootfs=rootfs)
        assert await tasks.start(ID) == pid
        while is_runc(pid):  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(0.001)
        [listed] = await tasks.list()
        assert (listed.container_id, listed.exec_id, listed.pid) == (ID, "", pid)
        assert listed.status.state is ProcessState.RUNNING
        assert await tasks.list_pids(ID) == [ProcessInfo(pid)]
        with pytest.raises(UnknownError):
            await tasks.delete(ID)
        await tasks.kill(ID, signal.SIGTERM, all=False)
        await tasks.kill(ID, signal.SIGKILL)
        status = await tasks.wait(ID)
        assert status.code in (137, 143)
        assert status.exited_at_ns is not None
        assert await tasks.wait(ID) == status
        stopped = await tasks.get(ID)
        assert stopped.status.state is ProcessState.STOPPED
        assert stopped.status.exit_status == status
        with pytest.raises(NotFoundError, match=f"task '{ID}'"):
            await tasks.kill(ID, signal.SIGKILL)
        assert await tasks.delete(ID) == DeletedProcess(pid, status.code, status.exited_at_ns)
        with pytest.raises(NotFoundError):
            await tasks.get(ID)
        with pytest.raises(NotFoundError):
            await tasks.delete(ID)
        assert await tasks.list() == []


async def test_an_exec_lives_and_ends(tasks: Tasks) -> None:
    with anyio.fail_after(60):
        await tasks.exec(ID, "ps-1", process("sh", "-c", "sleep 1000; true"))
        assert await state(tasks, "ps-1") is ProcessState.CREATED
        with pytest.raises(FailedPreconditionError, match=f"exec 'ps-1' of task '{ID}'"):
            await tasks.kill(ID, signal.SIGKILL, exec_id="ps-1")
        with pytest.raises(AlreadyExistsError):
            await tasks.exec(ID, "ps-1", process("cat"))
        pid = await tasks.start(ID, "ps-1")
        record = await tasks.get(ID, "ps-1")
        assert (record.container_id, record.exec_id, record.pid) == (ID, "ps-1", pid)
        assert ProcessInfo(pid, "ps-1") in await tasks.list_pids(ID)
        await tasks.kill(ID, signal.SIGKILL, exec_id="ps-1")
        status = await tasks.wait(ID, "ps-1")
        assert status.code == 137
        assert await tasks.delete_process(ID, "ps-1") == DeletedProcess(pid, status.code, status.exited_at_ns)
        with pytest.raises(NotFoundError, match="exec 'ps-1'"):
            await tasks.get(ID, "ps-1")


async def test_what_never_ran_has_no_time(
    services: Services, tasks: Tasks, container: ContainerInfo, rootfs: list[Mount]
) -> None:
    with anyio.fail_after(60):
        await tasks.exec(ID, "idle", process("cat"))
        deleted = await tasks.delete_process(ID, "idle")
        assert (deleted.code, deleted.exited_at_ns) == (0, None)
        await end(tasks)
        await tasks.create(ID, rootfs=rootfs)
        deleted = await tasks.delete(ID)
        assert (deleted.code, deleted.exited_at_ns) == (0, None)


async def test_a_task_is_paused_and_resumed(tasks: Tasks) -> None:
    with anyio.fail_after(60):
        await tasks.pause(ID)
        assert await state(tasks) is ProcessState.PAUSED
        await tasks.resume(ID)
        assert await state(tasks) is ProcessState.RUNNING


async def test_limits_are_changed_and_metrics_read(tasks: Tasks) -> None:
    with anyio.fail_after(60):
        await tasks.update(ID, json_any(LINUX_RESOURCES, {"memory": {"limit": 64 << 20}}))
        await tasks.update(ID, json_any(LINUX_RESOURCES, {}))
        [metric] = await tasks.metrics(f"id=={ID}")
        assert metric.id == ID
        assert metric.timestamp_ns is not None
        assert metric.data.type_url in (
            "io.containerd.cgroups.v1.Metrics",
            "io.containerd.cgroups.v2.Metrics",
        )
        assert await tasks.metrics("id==other") == []
        await end(tasks)
        assert await tasks.metrics(f"id=={ID}") == []


async def test_calls_without_a_terminal_or_stdin_do_nothing(tasks: Tasks) -> None:
    await tasks.resize_pty(ID, 80, 24)
    await tasks.close_io(ID)
    assert await state(tasks) is ProcessState.RUNNING


async def test_a_missing_binary_fails_the_start(tasks: Tasks) -> None:
    await tasks.exec(ID, "none", process("/no/such/binary"))
    with pytest.raises(UnknownError, match="no such file"):
        await tasks.start(ID, "none")
    assert await state(tasks, "none") is ProcessState.CREATED
    await tasks.delete_process(ID, "none")


async def test_a_life_is_told_in_typed_events(
    services: Services, container: ContainerInfo, rootfs: list[Mount]
) -> None:
    tasks = services.tasks
    seen: list[events.Event] = []
    with anyio.fail_after(60):
        async with services.events.subscribe("topic~=|^/tasks/|") as subscription:
            pid = await tasks.create(ID, rootfs=rootfs)
            await tasks.start(ID)
            await tasks.pause(ID)
            await tasks.resume(ID)
            await tasks.exec(ID, "ps", process("sh", "-c", "exit 3"))
            exec_pid = await tasks.start(ID, "ps")
            exec_status = await tasks.wait(ID, "ps")
            await tasks.kill(ID, signal.SIGKILL)
            status = await tasks.wait(ID)
            deleted = await tasks.delete(ID)
            async for event in subscription:
                seen.append(event)
                if isinstance(event.payload, events.TaskDelete):
                    break
    assert {event.namespace for event in seen} == {services.caller.namespace}
    assert {event.topic for event in seen} == {
        "/tasks/create",
        "/tasks/start",
        "/tasks/paused",
        "/tasks/resumed",
        "/tasks/exec-added",
        "/tasks/exec-started",
        "/tasks/exit",
        "/tasks/delete",
    }
    payloads = [event.payload for event in seen]
    [create] = [payload for payload in payloads if isinstance(payload, events.TaskCreate)]
    assert (create.container_id, create.pid) == (ID, pid)
    assert [(mount.type, mount.source) for mount in create.rootfs] == [("bind", rootfs[0].source)]
    assert create.io == events.TaskIO()
    assert Path(create.bundle).name == ID
    assert events.TaskExecStarted(ID, "ps", exec_pid) in payloads
    exits = [payload for payload in payloads if isinstance(payload, events.TaskExit)]
    assert exits == [
        events.TaskExit(ID, "ps", exec_pid, exec_status.code, exec_status.exited_at_ns),
        events.TaskExit(ID, ID, pid, status.code, status.exited_at_ns),
    ]
    assert exec_status.code == 3
    assert payloads[-1] == events.TaskDelete(ID, pid, deleted.code, deleted.exited_at_ns)
    assert os.path.isabs(create.bundle)
