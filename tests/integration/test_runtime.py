"""Which shim and which runc run a task, and what they are told: options of the container and of one task of it.

What runc was told is read from a script that stands in its place, notes its arguments, and becomes runc.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from containerd_aio import (
    Client,
    Container,
    Image,
    InvalidArgumentError,
    NotImplementedByServerError,
    RuncOptions,
    StartFailedError,
    Task,
    pipes,
)
from containerd_aio._api.containerd.services.sandbox import v1 as sandbox_api
from containerd_aio._api.containerd.types import Sandbox, SandboxRuntime
from containerd_aio._transport.connection import Connection
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.services import Services
from containerd_aio.types import AnyValue, TaskEndpoint
from tests.integration.conftest import Shared, cannot_run
from tests.integration.test_exits import SLEEP, eventually, shim_of

pytestmark = pytest.mark.integration

RUNC = "containerd.runc.v1.Options"
STORE = "containerd.services.sandbox.v1.Store/"


@pytest.fixture
def client(shared: Shared) -> Client:
    return shared.client


@pytest.fixture
def image(shared: Shared) -> Image:
    return shared.image


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    """A shim at a path of its own."""
    installed = shutil.which("containerd-shim-runc-v2")
    if installed is None:
        cannot_run("containerd-shim-runc-v2 is not installed")
    return Path(shutil.copy(installed, tmp_path / "containerd-shim-runc-v2"))


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A runc that notes in ``<its path>.log`` what it is told, and whose its stdout is."""
    runc = shutil.which("runc")
    if runc is None:
        cannot_run("runc is not installed")
    script = tmp_path / "told"
    note = 'echo "$* stdout=$(stat -L -c %u:%g /proc/$$/fd/1)" >> "$0.log"'
    script.write_text(f'#!/bin/sh\n{note}\nexec {runc} "$@"\n')
    script.chmod(0o755)
    return script


def create_call(told: Path) -> str:
    """What runc was told when it made the container last."""
    lines = Path(f"{told}.log").read_text().splitlines()
    return next(line for line in reversed(lines) if " create " in line)


@asynccontextmanager
async def running(container: Container, **options: object) -> AsyncIterator[Task]:
    async with await container.new_task(**options) as task:  # type: ignore[arg-type]
        await task.start()
        yield task


# -- the shim --------------------------------------------------------------------------------------------------


async def test_a_runtime_may_be_the_path_of_a_shim(client: Client, image: Image, shim: Path) -> None:
    async with (
        await client.new_container(
            "web", image=image, args=["sh", "-c", "read _; exit 7"], runtime=os.fspath(shim)
        ) as container,
        running(container, stdio=pipes(stdin=True)) as task,
    ):
        assert os.readlink(f"/proc/{shim_of(task)}/exe") == os.fspath(shim)
        exited = task.wait()
        assert task.stdin is not None
        await task.stdin.send(b"\n")
        assert (await exited).code == 7


async def test_one_task_may_have_another_shim_than_its_container(
    client: Client, image: Image, shim: Path
) -> None:
    async with await client.new_container("web", image=image, args=SLEEP) as container:
        async with running(container, runtime_path=os.fspath(shim)) as task:
            assert os.readlink(f"/proc/{shim_of(task)}/exe") == os.fspath(shim)
        async with running(container) as task:
            assert os.readlink(f"/proc/{shim_of(task)}/exe") != os.fspath(shim)


async def test_a_shim_is_put_into_a_cgroup(client: Client, image: Image) -> None:
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    directory = Path("/sys/fs/cgroup", "" if unified else "pids", f"{client.namespace}-shim")
    directory.mkdir()
    try:
        async with await client.new_container(
            "web", image=image, args=SLEEP, runtime_options=RuncOptions(shim_cgroup=f"/{directory.name}")
        ) as container:
            async with running(container) as task:
                assert str(shim_of(task)) in (directory / "cgroup.procs").read_text().split()
    finally:

        async def removed() -> bool:
            try:
                directory.rmdir()
            except OSError as error:  # the shim is on its way out
                if error.errno != errno.EBUSY:
                    raise
                return False
            return True

        await eventually(removed)


# -- runc ------------------------------------------------------------------------------------------------------


async def test_another_runc_is_run_with_other_options_of_the_task_too(
    client: Client, image: Image, told: Path
) -> None:
    """The Go client forgot the container's options where a task had some of its own (#11568)."""
    of_container = RuncOptions(binary_name=os.fspath(told))
    async with await client.new_container(
        "web", image=image, args=SLEEP, runtime_options=of_container
    ) as container:
        async with running(container):
            assert "--no-new-keyring" not in create_call(told)
        of_task = RuncOptions(no_new_keyring=True, no_pivot_root=True)
        async with running(container, options=of_task):
            assert "--no-new-keyring" in create_call(told)
            assert "--no-pivot" in create_call(told)
        stored = (await container.info()).runtime.options
        assert stored == AnyValue(RUNC, b"\x32" + bytes([len(str(told))]) + str(told).encode())


@pytest.mark.parametrize(
    "options", [None, RuncOptions(no_new_keyring=True)], ids=["the container's", "and the task's"]
)
async def test_a_runc_that_does_not_exist_is_told(
    client: Client, image: Image, options: RuncOptions | None
) -> None:
    async with await client.new_container(
        "web", image=image, args=SLEEP, runtime_options=RuncOptions(binary_name="no-runc")
    ) as container:
        with pytest.raises(StartFailedError, match="no-runc"):
            await container.new_task(options=options)
        with pytest.raises(StartFailedError, match="not-even-that"):
            await container.new_task(options=RuncOptions(binary_name="not-even-that"))
        async with running(container, options=RuncOptions(binary_name="runc")) as task:
            assert task.pid > 0


async def test_runc_keeps_its_state_where_it_is_told(client: Client, image: Image, tmp_path: Path) -> None:
    async with await client.new_container(
        "web", image=image, args=SLEEP, runtime_options=RuncOptions(root=os.fspath(tmp_path))
    ) as container:
        async with running(container):
            assert (tmp_path / client.namespace / "web" / "state.json").exists()
        assert not (tmp_path / client.namespace / "web").exists()


async def test_the_pipes_of_a_process_belong_to_whom_they_shall(
    client: Client, image: Image, told: Path
) -> None:
    async with await client.new_container(
        "web", image=image, args=SLEEP, runtime_options=RuncOptions(binary_name=os.fspath(told))
    ) as container:
        async with running(container, stdio=pipes()):
            assert create_call(told).endswith(" stdout=0:0")
        async with running(container, stdio=pipes(), options=RuncOptions(io_uid=1000, io_gid=33)):
            assert create_call(told).endswith(" stdout=1000:33")


async def test_options_that_are_another_runtimes_are_not_changed(client: Client, image: Image) -> None:
    foreign = AnyValue("runtimeoptions.v1.Options", b"")
    async with await client.new_container(
        "web", image=image, args=SLEEP, runtime_options=foreign
    ) as container:
        with pytest.raises(InvalidArgumentError, match=r"runc\.v1\.Options.*runtimeoptions\.v1\.Options"):
            await container.new_task(options=RuncOptions(root="/x"))
        # A value stands in their place, as it is.
        async with running(container, options=AnyValue(RUNC, b"")) as task:
            assert task.pid > 0


# -- a shim that runs already ----------------------------------------------------------------------------------


async def test_a_task_of_a_sandbox_goes_to_the_shim_that_it_is_told(
    client: Client, image: Image, daemon: PrivateDaemon, connection: Connection
) -> None:
    services = Services.of(connection.caller(client.namespace))
    async with AsyncExitStack() as stack:
        pod = await stack.enter_async_context(await client.new_container("pod", image=image, args=SLEEP))
        first = await stack.enter_async_context(running(pod))
        alone = await stack.enter_async_context(await client.new_container("web", image=image, args=SLEEP))
        nowhere = TaskEndpoint("ttrpc+unix:///nowhere", 3)
        if (await client.version.get()).release < (2, 0):
            with pytest.raises(NotImplementedByServerError, match=r"containerd 2\.0"):
                await alone.new_task(endpoint=nowhere)
            return
        with pytest.raises(InvalidArgumentError, match="'web' is in no sandbox"):
            await alone.new_task(endpoint=nowhere)
        member = await in_sandbox(client, alone, "pod")
        await stack.enter_async_context(sandbox_record(services, "pod"))
        async with running(member, endpoint=endpoint_of(daemon, client.namespace, "pod")) as task:
            assert shim_of(task) == shim_of(first)


async def in_sandbox(client: Client, container: Container, sandbox: str) -> Container:
    """The same container, as one of the sandbox's."""
    info = await container.info()
    await client.containers.delete(info.id)
    await client.containers.create(replace(info, sandbox=sandbox))
    return await client.load_container(info.id)


@asynccontextmanager
async def sandbox_record(services: Services, id: str) -> AsyncIterator[None]:
    """containerd's record of a sandbox; what runs in it was made otherwise."""
    sandbox = Sandbox(sandbox_id=id, runtime=SandboxRuntime(name="io.containerd.runc.v2"))
    create = sandbox_api.StoreCreateRequest(sandbox=sandbox)
    await services.caller.unary(STORE + "Create", create, sandbox_api.StoreCreateResponse)
    yield
    delete = sandbox_api.StoreDeleteRequest(sandbox_id=id)
    await services.caller.unary(STORE + "Delete", delete, sandbox_api.StoreDeleteResponse)


def endpoint_of(daemon: PrivateDaemon, namespace: str, id: str) -> TaskEndpoint:
    [path] = Path(daemon.address).parent.glob(f"state/*/{namespace}/{id}/bootstrap.json")
    told = json.loads(path.read_text())
    return TaskEndpoint(f"{told['protocol']}+{told['address']}", told["version"])
