"""What is removed and what is not, with files and processes that look like containerd's."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from containerd_aio.private_daemon import _containers
from containerd_aio.private_daemon._containers import bundles, logged, runc_containers
from containerd_aio.private_daemon._home import Home
from containerd_aio.private_daemon._leftovers import remove_leftovers
from containerd_aio.private_daemon._processes import RunningProcess
from tests.integration.conftest import cannot_run

OWN = "aio-0123456789ab"
TASKS = "io.containerd.runtime.v2.task"


@dataclass
class Host:
    """A home, and this test's own stand-ins for the directories that all daemons of a host share."""

    home: Home
    runc: Path
    shims: Path

    def bundle(self, namespace: str, name: str, **files: str) -> Path:
        path = self.home.state / TASKS / namespace / name
        path.mkdir(parents=True)
        for file, text in files.items():
            (path / file.replace("_", ".")).write_text(text)
        return path

    def runc_state(self, namespace: str, name: str, bundle: Path, pid: int = 0, started: int = 0) -> Path:
        path = self.runc / namespace / name
        path.mkdir(parents=True)
        state = {
            "init_process_pid": pid,
            "init_process_start": started,
            "cgroup_paths": {},
            "config": {"labels": [f"bundle={bundle}"]},
        }
        (path / "state.json").write_text(json.dumps(state))
        return path

    def shim_socket(self, name: str) -> Path:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.shims / name))
        return self.shims / name


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        host = Host(Home.make(), Path(directory, "runc"), Path(directory, "s"))
        host.runc.mkdir()
        host.shims.mkdir()
        monkeypatch.setattr(_containers, "RUNC_STATES", host.runc)
        monkeypatch.setattr(_containers, "SHIM_SOCKETS", host.shims)
        yield host


def test_a_home_without_anything_goes(host: Host) -> None:
    assert remove_leftovers(host.home) == []
    assert not host.home.path.exists()


def test_only_runc_containers_of_our_bundles_are_ours(host: Host) -> None:
    ours = host.runc_state("default", "ours", host.bundle("default", "ours"))
    others = [
        host.runc_state("default", "other", Path("/run/containerd", TASKS, "default", "other")),
        # a path that only begins like ours
        host.runc_state("default", "near", Path(f"{host.home.state}2", TASKS, "default", "near")),
    ]
    assert [made.container_id for made in runc_containers(host.home.state)] == ["ours"]
    assert remove_leftovers(host.home) == []
    assert not ours.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"config": {"labels": [1]}}', '{"config": {"labels"']
)
def test_a_state_that_is_no_runc_state_is_passed_over(host: Host, text: str) -> None:
    path = host.runc / "default" / "strange"
    path.mkdir(parents=True)
    (path / "state.json").write_text(text)
    assert list(runc_containers(host.home.state)) == []
    assert remove_leftovers(host.home) == []
    assert path.exists()


def test_all_of_a_random_namespace_is_ours(host: Host) -> None:
    half_made = host.runc / OWN / "half-made"
    half_made.mkdir(parents=True)
    assert remove_leftovers(host.home, [OWN]) == []
    assert not (host.runc / OWN).exists()


def test_a_root_filesystem_that_a_restore_has_left_mounted_is_unmounted(host: Host) -> None:
    """runc binds it below its state while CRIU restores; where runc is killed, it stays."""
    if os.geteuid() != 0:
        cannot_run("mounting needs root")
    mounted = host.runc / OWN / "web" / "criu-root"
    mounted.mkdir(parents=True)
    files = host.home.path / "files"
    files.mkdir()
    (files / "kept").touch()
    subprocess.run(["mount", "--bind", files, mounted], check=True)
    assert remove_leftovers(host.home, [OWN]) == []
    assert not (host.runc / OWN).exists()


def test_the_directory_of_another_namespace_goes_only_when_it_is_empty(host: Host) -> None:
    host.runc_state("default", "web", host.bundle("default", "web"))
    host.runc_state("shared", "web", host.bundle("shared", "web"))
    (host.runc / "shared" / "of-another-daemon").mkdir()
    (host.runc / "never-used").mkdir()
    assert remove_leftovers(host.home) == []
    assert sorted(path.name for path in host.runc.iterdir()) == ["never-used", "shared"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("address", "unix://{path}"),
        ("address", "unix://{path}\n"),
        ("bootstrap_json", '{{"version": 3, "address": "unix://{path}", "protocol": "ttrpc"}}'),
    ],
)
def test_the_shim_socket_that_a_bundle_names_is_removed(host: Host, file: str, text: str) -> None:
    path = host.shim_socket("named")
    host.bundle(OWN, "web", **{file: text.format(path=path)})
    stranger = host.shim_socket("of-another-daemon")
    assert remove_leftovers(host.home) == []
    assert not path.exists()
    assert stranger.exists()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"address": ""},
        {"address": "unix://\0abstract"},
        {"bootstrap_json": "{}"},
        {"bootstrap_json": "["},
    ],
)
def test_a_bundle_that_names_no_socket_is_removed_all_the_same(host: Host, files: dict[str, str]) -> None:
    host.bundle(OWN, "web", **files)
    (bundle,) = bundles(host.home.state)
    assert bundle.shim_socket() is None
    assert remove_leftovers(host.home) == []


def test_what_is_no_socket_stays(host: Host) -> None:
    file = host.shims / "file"
    file.touch()
    host.bundle(OWN, "web", address=f"unix://{file}")
    assert remove_leftovers(host.home) == []
    assert file.exists()


def test_the_socket_of_a_shim_without_a_bundle_is_known_by_its_name(host: Host) -> None:
    # as containerd 1.6, 1.7 and 2.1 name it
    hashed = hashlib.sha256(f"{host.home.socket}/{OWN}/lost".encode()).hexdigest()
    path = host.shim_socket(hashed)
    stranger = host.shim_socket(
        hashlib.sha256(f"/run/containerd/containerd.sock/{OWN}/lost".encode()).hexdigest()
    )
    host.home.log.write_text(
        'time="2026-01-01" level=info msg="loading plugin" id=io.containerd.content type=x\n'
        f'time="2026-01-01" level=warning msg="cleaning up after shim disconnected" id=lost namespace={OWN}\n'
    )
    assert logged(host.home.log) == {(OWN, "lost")}
    assert remove_leftovers(host.home) == []
    assert not path.exists()
    assert stranger.exists()


def test_what_belongs_to_others_may_go_while_one_looks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of runc's states is that of all daemons."""
    ours = host.runc_state("default", "ours", host.bundle("default", "ours"))
    (host.runc / "theirs").mkdir()
    scandir = os.scandir

    def late(path: str | int | Path) -> object:
        if not isinstance(path, int) and os.path.basename(path) == "theirs":
            os.rmdir(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", late)
    assert remove_leftovers(host.home) == []
    assert not (host.runc / "theirs").exists()
    assert not ours.exists()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a shell that is called ``name``, has these arguments and waits for its end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str, script: str = "echo ready; read line") -> subprocess.Popen[bytes]:
        command = [name, "-c", script, *arguments]
        process = subprocess.Popen(
            command, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_our_shims_and_what_they_started_are_killed(host: Host, start: Start) -> None:
    arguments = ("-namespace", OWN, "-id", "web", "-address", str(host.home.socket))
    shim = start("/usr/bin/containerd-shim-runc-v2", *arguments, script="sleep 1000 & echo ready; read line")
    (child,) = Path(f"/proc/{shim.pid}/task/{shim.pid}/children").read_text().split()
    pidfd = os.pidfd_open(int(child))
    assert remove_leftovers(host.home) == []
    assert shim.wait(60) == -9
    assert select.select([pidfd], [], [], 60)[0] == [pidfd]
    os.close(pidfd)


def test_runc_at_work_on_our_bundle_is_killed(host: Host, start: Start) -> None:
    runc = start("runc", "create", "--bundle", str(host.home.state / TASKS / OWN / "web"), "web")
    assert remove_leftovers(host.home) == []
    assert runc.wait(60) == -9


def test_nobody_else_is_killed(host: Host, start: Start) -> None:
    address = str(host.home.socket)
    others = [
        start("containerd-shim-runc-v2", "-namespace", OWN, "-address", "/run/containerd/containerd.sock"),
        start("containerd-shim-runc-v2", "-address", f"{address}.ttrpc"),
        start("ctr", "--address", address),
        start("tail", "-f", str(host.home.state / TASKS / "log")),
        start("runc", "create", "--bundle", f"{host.home.state}2/web"),
    ]
    assert remove_leftovers(host.home) == []
    assert [other.poll() for other in others] == [None] * len(others)


@pytest.mark.parametrize("same", [True, False])
def test_an_init_without_a_shim_is_killed_if_it_is_the_one_that_runc_started(
    host: Host, start: Start, same: bool
) -> None:
    init = start("init")
    seen = RunningProcess.read(init.pid)
    assert seen is not None
    started = seen.started if same else seen.started - 1
    host.runc_state(OWN, "web", host.bundle(OWN, "web"), pid=init.pid, started=started)
    assert remove_leftovers(host.home) == []
    if same:
        assert init.wait(60) == -9
    else:
        assert init.poll() is None


def test_a_process_that_does_not_end_is_told_and_the_directory_is_kept(
    host: Host, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(processes: Iterable[RunningProcess], *, seconds: float) -> None:
        """As SIGKILL is to a process in an uninterruptible sleep."""

    monkeypatch.setattr("containerd_aio.private_daemon._leftovers.kill_and_wait", deaf)
    monkeypatch.setattr("containerd_aio.private_daemon._leftovers.KILL_SECONDS", 0)
    shim = start("containerd-shim-runc-v2", "-address", str(host.home.socket))
    first, last = remove_leftovers(host.home)
    assert first.startswith(f"process {shim.pid} does not end: containerd-shim-runc-v2 -c")
    assert last == f"{host.home.path} is kept"
    monkeypatch.undo()
    (again,) = Home.abandoned(str(host.home.path.parent))  # the next one tries again
    assert remove_leftovers(again) == []
    assert shim.wait(60) == -9


@pytest.mark.parametrize("namespaces", [[], [OWN]])
def test_a_file_that_cannot_be_removed_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, namespaces: list[str]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    lines = remove_leftovers(host.home, namespaces)
    monkeypatch.undo()
    path = host.runc / OWN if namespaces else host.home.path
    assert lines[0].startswith(f"cannot remove {path}: [Errno 1] Operation not permitted: '{path}")
    assert lines[1:] == [f"{host.home.path} is kept"]
