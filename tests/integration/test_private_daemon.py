"""A private containerd on this machine: it starts, restarts, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from containerd_aio import pipes, spec
from containerd_aio.cli.busybox import IMAGE_NAME
from containerd_aio.private_daemon import DaemonFailedError, PrivateDaemon
from tests.integration.conftest import CONTAINERD, crash, private_daemon
from tests.integration.host import freeze
from tests.integration.leaks import ctr, left_on_host, shim_sockets

pytestmark = pytest.mark.integration

SLEEP = ("sh", "-c", "sleep 1000 & sleep 2000")


class Containers:
    """Containers on a daemon, made by ``ctr``."""

    def __init__(self, daemon: PrivateDaemon, archive_path: Path) -> None:
        self.daemon = daemon
        self.ctr("images", "import", "--snapshotter", daemon.snapshotter, str(archive_path))

    def ctr(self, *arguments: str) -> list[str]:
        return ctr(self.daemon.address, self.daemon.namespace, *arguments)

    def run(self, *names: str) -> None:
        for name in names:
            snapshotter = ("--snapshotter", self.daemon.snapshotter)
            self.ctr("run", "--detach", "--null-io", *snapshotter, IMAGE_NAME, name, *SLEEP)

    def states(self) -> dict[str, str]:
        return {words[0]: words[2] for line in self.ctr("tasks", "ls")[1:] if (words := line.split())}

    def shim(self, name: str) -> int:
        """The pid of the shim of a container."""
        wanted = f"-id\0{name}\0-address\0{self.daemon.address}\0".encode()
        (pid,) = [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if wanted in _read(path)]
        return int(pid)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory of this test, short enough for sockets, in which no other program looks."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.setenv("TMPDIR", directory)
        yield Path(directory)


@pytest.fixture
def containers(daemon_of_its_own: PrivateDaemon, archive_path: Path) -> Containers:
    return Containers(daemon_of_its_own, archive_path)


async def test_containers_and_images_live_through_a_restart(containers: Containers) -> None:
    daemon = containers.daemon
    containers.run("web")
    first = daemon.pid
    await daemon.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = daemon.pid
    await daemon.start()
    second = daemon.pid
    daemon.kill()
    await daemon.start()
    assert len({first, second, daemon.pid}) == 3
    assert containers.states() == {"web": "RUNNING"}
    assert containers.ctr("images", "ls", "-q") == [IMAGE_NAME]


async def test_it_is_not_started_twice(daemon_of_its_own: PrivateDaemon) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        await daemon_of_its_own.start()


async def test_stop_ends_a_daemon_that_hears_no_sigterm(
    daemon_of_its_own: PrivateDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("containerd_aio.private_daemon._daemon.STOP_SECONDS", 0.1)
    freeze(daemon_of_its_own.pid)
    with anyio.fail_after(60):
        await daemon_of_its_own.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = daemon_of_its_own.pid


async def test_a_frozen_daemon_is_told_when_it_is_started(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = temporary / "containerd"
    frozen.write_text("#!/bin/sh\nkill -STOP $$\n")
    frozen.chmod(0o755)
    monkeypatch.setattr("containerd_aio.private_daemon._daemon.START_SECONDS", 0.3)
    with anyio.fail_after(60), pytest.raises(DaemonFailedError, match="gave no answer in"):
        await PrivateDaemon(containerd=str(frozen)).__aenter__()
    assert os.listdir(temporary) == ["containerd"]


async def test_its_paths_are_private_and_short(daemon_of_its_own: PrivateDaemon) -> None:
    home = Path(daemon_of_its_own.address).parent
    assert home.stat().st_mode & 0o777 == 0o700
    assert len(daemon_of_its_own.address) <= 100
    assert daemon_of_its_own.root.is_relative_to(home)
    assert os.getsid(daemon_of_its_own.pid) == daemon_of_its_own.pid


async def test_its_namespace_has_its_snapshotter_as_the_default(daemon_of_its_own: PrivateDaemon) -> None:
    daemon = daemon_of_its_own
    plugins = ctr(daemon.address, daemon.namespace, "plugins", "ls", "type==io.containerd.snapshotter.v1")
    works = {words[1] for line in plugins if (words := line.split()) and words[-1] == "ok"}
    assert daemon.snapshotter == ("overlayfs" if "overlayfs" in works else "native")
    (line,) = [
        line
        for line in ctr(daemon.address, daemon.namespace, "namespaces", "ls")
        if line.startswith(daemon.namespace)
    ]
    assert line.split()[1] == f"containerd.io/defaults/snapshotter={daemon.snapshotter}"


async def test_its_client_works_in_its_namespace(daemon_of_its_own: PrivateDaemon) -> None:
    async with daemon_of_its_own.client(rpc_timeout=10) as client:
        assert client.namespace == daemon_of_its_own.namespace
        assert await client.list_containers() == []


async def test_the_fifos_of_its_clients_go_with_it(archive_path: Path) -> None:
    async with private_daemon(containerd=CONTAINERD) as daemon, daemon.client() as client:
        Containers(daemon, archive_path)
        container = await client.new_container("web", image=IMAGE_NAME, args=SLEEP)
        task = await container.new_task(stdio=pipes())
        await task.start()
        assert task.stdout is not None
        assert task.stderr is not None
        async with task.stdout, task.stderr:
            (paths,) = [made for made in os.walk(Path(daemon.address).parent / "fifo") if made[2]]
        assert sorted(paths[2]) == ["web-stderr", "web-stdout"]


async def test_a_namespace_that_others_may_use_is_warned_of(daemon_of_its_own: PrivateDaemon) -> None:
    with pytest.warns(UserWarning, match="'default' on a private containerd.*kills") as caught:
        client = daemon_of_its_own.client(namespace="default")
    assert caught[0].filename == __file__
    assert client.namespace == "default"
    with warnings.catch_warnings(action="error"):
        assert daemon_of_its_own.client(namespace=daemon_of_its_own.namespace).namespace.startswith("aio-")


async def test_native_is_taken_where_overlayfs_is_not_to_be_had(archive_path: Path) -> None:
    disabled = 'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.overlayfs"]'
    async with private_daemon(containerd=CONTAINERD, config=disabled) as daemon:
        assert daemon.snapshotter == "native"
        containers = Containers(daemon, archive_path)
        containers.run("web")
        assert containers.states() == {"web": "RUNNING"}


async def test_a_given_root_is_kept_and_used_again(tmp_path: Path, archive_path: Path) -> None:
    async with private_daemon(containerd=CONTAINERD, root=str(tmp_path / "root")) as first:
        assert first.root == tmp_path / "root"
        Containers(first, archive_path).run("web")
    async with private_daemon(containerd=CONTAINERD, root=str(tmp_path / "root")) as second:
        assert ctr(second.address, first.namespace, "images", "ls", "-q") == [IMAGE_NAME]
        assert ctr(second.address, first.namespace, "tasks", "ls", "-q") == []


async def test_a_root_in_use_is_refused_and_left_alone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = temporary / "root"
    async with private_daemon(containerd=CONTAINERD, root=str(root)) as first:
        monkeypatch.setattr("containerd_aio.private_daemon._daemon.START_SECONDS", 0.5)
        with anyio.fail_after(60), pytest.raises(DaemonFailedError, match="gave no answer in"):
            await PrivateDaemon(containerd=CONTAINERD, root=root).__aenter__()
        assert ctr(first.address, first.namespace, "tasks", "ls", "-q") == []
        assert sorted(os.listdir(temporary)) == sorted([Path(first.address).parent.name, "root"])


async def test_added_configuration_counts_and_the_own_one_stays() -> None:
    added = '[debug]\nlevel = "debug"\n[grpc]\naddress = "/nowhere.sock"\n'
    async with private_daemon(containerd=CONTAINERD, config=added) as daemon:
        assert "level=debug" in daemon.log
        plugins = ctr(daemon.address, daemon.namespace, "plugins", "ls")
        assert [line for line in plugins if line.split()[:2] == ["io.containerd.grpc.v1", "cri"]] == []


async def test_a_daemon_that_ends_at_once_is_told_with_its_log() -> None:
    with anyio.fail_after(60), pytest.raises(DaemonFailedError, match=r"ended with code 1.*\n.*(?i:toml)"):
        async with PrivateDaemon(containerd=CONTAINERD, config='oom_score = "no number"\n'):
            raise AssertionError("it started")


async def test_the_same_id_on_a_second_daemon_leaves_the_first_ones_container_alone(
    containers: Containers, archive_path: Path
) -> None:
    containers.run("web")
    async with private_daemon(containerd=CONTAINERD) as daemon:
        second = Containers(daemon, archive_path)
        second.run("web")
        assert containers.states() == second.states() == {"web": "RUNNING"}
        second.ctr("tasks", "rm", "--force", "web")
        assert containers.states() == {"web": "RUNNING"}
    assert containers.states() == {"web": "RUNNING"}


MADE = ("running", "paused", "orphan", "lost")


async def left_by_a_crash(containers: Containers) -> None:
    """Make what is hard to remove: paused, without a shim, without a bundle, without a daemon."""
    daemon = containers.daemon
    containers.run(*MADE)
    containers.ctr("tasks", "pause", "paused")
    os.kill(containers.shim("lost"), signal.SIGKILL)
    with anyio.fail_after(60):
        # containerd cleans up, and forgets the shim's socket
        while "lost" in containers.states():  # noqa: ASYNC110 (ctr is asked: it tells no events)
            await anyio.sleep(0.02)
    os.kill(containers.shim("orphan"), signal.SIGKILL)
    daemon.kill()


async def test_nothing_is_left_after_a_crash(archive_path: Path) -> None:
    async with private_daemon(containerd=CONTAINERD) as daemon:
        containers = Containers(daemon, archive_path)
        await left_by_a_crash(containers)
        made = shim_sockets(daemon.address, daemon.namespace, *MADE)
    assert len(made) == len(MADE)
    assert not any(os.path.exists(path) for path in made)


async def test_a_process_that_lost_its_init_and_its_shim_is_ended(archive_path: Path) -> None:
    # in the host's pid namespace, where the end of the init ends nobody else
    args = ["sh", "-c", "sleep 1000 & echo $!; exec sleep 2000"]
    async with private_daemon(containerd=CONTAINERD) as daemon:
        containers = Containers(daemon, archive_path)
        async with daemon.client() as client:
            options = [spec.host_namespace("pid")]
            container = await client.new_container("web", image=IMAGE_NAME, args=args, options=options)
            task = await container.new_task(stdio=pipes())
            await task.start()
            assert task.stdout is not None
            assert task.stderr is not None
            async with task.stdout, task.stderr:
                stray = os.pidfd_open(int(await task.stdout.receive()))
            await crash(daemon)
            os.kill(containers.shim("web"), signal.SIGKILL)
            os.kill(task.pid, signal.SIGKILL)
    with anyio.fail_after(60):
        await anyio.wait_readable(stray)
    os.close(stray)


async def test_nothing_is_left_after_an_error_in_the_block(archive_path: Path) -> None:
    async def block() -> None:
        async with private_daemon(containerd=CONTAINERD) as daemon:
            Containers(daemon, archive_path).run("web")
            raise LookupError("of the user")

    with pytest.raises(LookupError, match="of the user"):
        await block()


async def test_nothing_is_left_after_a_cancellation(archive_path: Path) -> None:
    running = anyio.Event()
    homes: dict[str, str] = {}

    async def block() -> None:
        try:
            async with PrivateDaemon(containerd=CONTAINERD) as daemon:
                homes[os.path.dirname(daemon.address)] = daemon.namespace
                Containers(daemon, archive_path).run("web")
                running.set()
                await anyio.sleep_forever()
        finally:
            running.set()

    task = asyncio.create_task(block())
    await running.wait()
    task.cancel()
    await anyio.lowlevel.checkpoint()
    task.cancel()  # a second one, while it cleans up
    with pytest.raises(asyncio.CancelledError):
        await task
    ((home, namespace),) = homes.items()
    assert left_on_host(home, namespace) == []


async def test_nothing_is_left_when_the_start_is_cancelled(temporary: Path) -> None:
    with anyio.move_on_after(0.05) as scope:
        async with PrivateDaemon(containerd=CONTAINERD):
            raise AssertionError("it started in no time")
    assert scope.cancelled_caught
    assert os.listdir(temporary) == []


async def test_the_socket_is_short_where_the_temporary_directory_is_long(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = temporary / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    async with private_daemon(containerd=CONTAINERD) as daemon:
        assert len(daemon.address) <= 100


PROGRAM = """
import asyncio, sys
from containerd_aio.private_daemon import PrivateDaemon

async def main():
    async with PrivateDaemon(containerd=sys.argv[1]) as daemon:
        print(daemon.address, daemon.namespace, daemon.snapshotter, daemon.pid, flush=True)
        await asyncio.Event().wait()

if sys.argv[2] == "run":
    asyncio.run(main())
else:
    asyncio.new_event_loop().run_until_complete(main())
"""


@asynccontextmanager
async def program(
    archive_path: Path, runner: str = "run"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str, int]]:
    """A program that runs a private daemon with a container on it: its process, home, namespace, daemon's pid."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, CONTAINERD, runner, stdout=-1, stderr=-1, start_new_session=True
    )
    assert process.stdout is not None
    try:
        address, namespace, snapshotter, pid = (await process.stdout.readline()).decode().split()
        ctr(address, namespace, "images", "import", "--snapshotter", snapshotter, str(archive_path))
        options = ("--detach", "--null-io", "--snapshotter", snapshotter)
        ctr(address, namespace, "run", *options, IMAGE_NAME, "web", *SLEEP)
        yield process, os.path.dirname(address), namespace, int(pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize(("times", "runner"), [(1, "run"), (2, "run"), (1, "a loop of its own")])
async def test_nothing_is_left_after_ctrl_c(archive_path: Path, times: int, runner: str) -> None:
    async with program(archive_path, runner) as (process, home, namespace, _):
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
        with anyio.fail_after(60):
            await process.wait()
        assert left_on_host(home, namespace) == []


async def test_a_killed_program_takes_the_daemon_with_it_and_the_next_one_removes_the_rest(
    archive_path: Path, temporary: Path
) -> None:
    async with program(archive_path) as (process, home, namespace, pid):
        daemon = os.pidfd_open(pid)
        process.kill()
        with anyio.fail_after(60):
            await anyio.wait_readable(daemon)
        os.close(daemon)
        assert Path(home).parent == temporary
        assert len(left_on_host(home, namespace)) > 3
        async with private_daemon(containerd=CONTAINERD):
            assert left_on_host(home, namespace) == []


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_other_versions_leave_nothing_either(
    containerd_versions: Mapping[str, str], archive_path: Path
) -> None:
    for release, containerd in containerd_versions.items():
        async with private_daemon(containerd=containerd) as daemon:
            (version,) = {line.split()[1] for line in ctr(daemon.address, daemon.namespace, "version")[-3:-2]}
            assert version.startswith(release)
            containers = Containers(daemon, archive_path)
            await left_by_a_crash(containers)
            await daemon.start()
            assert containers.states() == {"running": "RUNNING", "paused": "PAUSED"}
            containers.run("late")
            made = shim_sockets(daemon.address, daemon.namespace, *MADE, "late")
            os.kill(containers.shim("late"), signal.SIGKILL)
            daemon.kill()
        assert len(made) >= 3
        assert not any(os.path.exists(path) for path in made)
