"""Binaries, configuration and process of a containerd, without a containerd."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.private_daemon import PrivateDaemon
from containerd_aio.private_daemon._home import Home
from containerd_aio.private_daemon._launch import Binaries, spawn, write_config

NAMES = ("containerd", "containerd-shim-runc-v2", "runc")


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home.make()
    yield home
    home.remove()


def install(directory: Path, *names: str, text: str = "#!/bin/sh\n") -> Path:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    return directory


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which programs are looked for."""
    directory = install(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr("containerd_aio.private_daemon._launch.SYSTEM_DIRECTORIES", ())
    return directory


def test_a_name_is_looked_for_on_path(programs: Path) -> None:
    install(programs, *NAMES)
    found = Binaries.find("containerd")
    assert found.containerd == str(programs / "containerd")
    assert found.path == str(programs)


def test_the_directory_of_a_path_comes_first_in_the_daemons_path(programs: Path, tmp_path: Path) -> None:
    install(programs, *NAMES)
    other = install(tmp_path / "other", "containerd", "containerd-shim-runc-v2")
    found = Binaries.find(str(other / "containerd"))
    assert found.containerd == str(other / "containerd")
    assert found.path.split(os.pathsep) == [str(other), str(programs)]


def test_a_relative_path_is_taken_from_the_working_directory_of_now(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(programs, *NAMES)
    monkeypatch.chdir(tmp_path)
    assert Binaries.find("bin/containerd").containerd == str(programs / "containerd")


def test_directories_that_a_services_path_lacks_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    directories = (str(install(tmp_path / "sbin", *NAMES)),)
    monkeypatch.setattr("containerd_aio.private_daemon._launch.SYSTEM_DIRECTORIES", directories)
    assert Binaries.find("containerd").path == f"/nowhere:{tmp_path / 'sbin'}"


def test_the_path_of_another_environment_is_searched(programs: Path, tmp_path: Path) -> None:
    install(programs, *NAMES)
    other = install(tmp_path / "other", *NAMES)
    found = Binaries.find("containerd", {"PATH": f"{other}:{programs}"})
    assert found == Binaries(str(other / "containerd"), f"{other}:{programs}")


@pytest.mark.parametrize("missing", NAMES)
def test_what_is_missing_is_named_with_what_to_install(programs: Path, missing: str) -> None:
    install(programs, *(name for name in NAMES if name != missing))
    with pytest.raises(FileNotFoundError, match=f"'{missing}'.*apt-get install containerd runc.*{programs}"):
        Binaries.find("containerd")


def test_a_file_that_cannot_be_run_is_missing(programs: Path) -> None:
    install(programs, *NAMES)
    (programs / "runc").chmod(0o644)
    with pytest.raises(FileNotFoundError, match="'runc'"):
        Binaries.find("containerd")


def test_the_configuration_disables_cri_only_and_imports_nothing_of_the_hosts(home: Home) -> None:
    config = tomllib.loads(write_config(home, None).read_text())
    assert config["version"] == 2
    assert config["disabled_plugins"] == ["io.containerd.grpc.v1.cri"]
    assert config["imports"] == []
    assert Path(config["plugins"]["io.containerd.internal.v1.opt"]["path"]).parent == home.path


@pytest.mark.parametrize(
    ("text", "version"), [("oom_score = 1\n", 2), ("version = 3\noom_score = 1\n", 3), ("", 2)]
)
def test_added_configuration_is_imported_with_a_version(home: Home, text: str, version: int) -> None:
    config = tomllib.loads(write_config(home, text).read_text())
    (addition,) = config["imports"]
    added = tomllib.loads(Path(addition).read_text())
    assert added.pop("version") == version
    assert added == {key: 1 for key in ("oom_score",) if text}


def test_text_that_is_not_toml_is_refused(home: Home) -> None:
    with pytest.raises(InvalidArgumentError, match="config is not TOML: Expected ']'"):
        write_config(home, "[broken")


SHOW = """#!{python}
import json, os, sys
print(json.dumps([sys.argv, dict(os.environ), os.getsid(0) == os.getpid(), os.getcwd()]), flush=True)
os.read(os.open({fifo!r}, os.O_RDONLY), 1)
"""


def start(
    home: Home, directory: Path, log: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Spawn a program that writes to ``log`` how it was started, and waits."""
    os.mkfifo(directory / "fifo")
    text = SHOW.format(python=sys.executable, fifo=str(directory / "fifo"))
    install(directory / "bin", "containerd", text=text)
    binaries = Binaries(str(directory / "bin" / "containerd"), f"{directory / 'bin'}:/bin")
    with log.open("wb") as file:
        return spawn(binaries, home, directory / "config.toml", file, environment)


def test_the_daemon_gets_its_paths_a_session_and_a_clean_environment(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("KEPT", "yes")
    with start(home, tmp_path, tmp_path / "log") as process:
        (tmp_path / "fifo").write_bytes(b".")
    arguments, environment, leads_session, directory = json.loads((tmp_path / "log").read_text())
    assert process.returncode == 0
    assert arguments[1:] == [
        *("--config", str(tmp_path / "config.toml"), "--address", str(home.socket)),
        *("--root", str(home.root), "--state", str(home.state)),
    ]
    assert leads_session
    assert directory == "/"
    assert environment["KEPT"] == "yes"
    assert environment["PATH"] == f"{tmp_path / 'bin'}:/bin"
    assert environment["TMPDIR"] == environment["XDG_RUNTIME_DIR"] == str(home.temporary)
    assert "NOTIFY_SOCKET" not in environment


def test_the_daemon_gets_another_environment_where_one_is_given(home: Home, tmp_path: Path) -> None:
    given = {"PATH": "/searched/before", "GIVEN": "yes", "NOTIFY_SOCKET": "/run/systemd/notify"}
    with start(home, tmp_path, tmp_path / "log", given) as process:
        (tmp_path / "fifo").write_bytes(b".")
    assert process.returncode == 0
    environment = json.loads((tmp_path / "log").read_text())[1]
    assert environment["GIVEN"] == "yes"
    assert environment["PATH"] == f"{tmp_path / 'bin'}:/bin"
    assert "NOTIFY_SOCKET" not in environment
    assert "HOME" not in environment


def test_the_daemon_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")
    install(
        tmp_path / "bin", "containerd", text=f"#!/bin/sh\necho $$ > {tmp_path / 'ready'}\nexec sleep 1000\n"
    )
    program = (
        "import sys; from pathlib import Path\n"
        "from containerd_aio.private_daemon._home import Home\n"
        "from containerd_aio.private_daemon._launch import Binaries, spawn\n"
        "home = Home(Path(sys.argv[1]), lock=-1)\n"
        "log = open(home.path / 'log', 'wb')\n"
        "spawn(Binaries(f'{home.path}/bin/containerd', '/bin'), home, home.path / 'config', log)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE) as parent:
        pid = int((tmp_path / "ready").read_text())
        pidfd = os.pidfd_open(pid)
        parent.kill()
    try:
        ended, _, _ = select.select([pidfd], [], [], 60)
        assert ended
    finally:
        if not ended:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


async def test_without_root_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    daemon = PrivateDaemon()
    with pytest.raises(PermissionError, match=r"sudo.*Client\(address\)"):
        await daemon.__aenter__()
    with pytest.raises(RuntimeError, match="async with PrivateDaemon"):
        _ = daemon.address


def test_before_the_block_nothing_is_there() -> None:
    daemon = PrivateDaemon()
    for name in ("address", "pid", "root", "log", "snapshotter"):
        with pytest.raises(RuntimeError, match="async with PrivateDaemon"):
            getattr(daemon, name)
    with pytest.raises(RuntimeError, match="async with PrivateDaemon"):
        daemon.kill()


def test_each_daemon_has_a_namespace_of_its_own() -> None:
    names = {PrivateDaemon().namespace for _ in range(100)}
    assert len(names) == 100
    assert all(len(name) == 16 and name.startswith("aio-") for name in names)
