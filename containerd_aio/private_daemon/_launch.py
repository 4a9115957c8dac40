"""What is needed to start a containerd: its binaries, its configuration, its process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.private_daemon._home import Home

# Where Debian and others put runc, and what the PATH of a service or of cron lacks.
SYSTEM_DIRECTORIES: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

# Runs between fork and containerd. In Popen's preexec_fn it would run Python in a forked child of a process
# with threads, which can hang. The signal comes when the thread that forked ends: the event loop's.
_DIE_WITH_PARENT = """
import ctypes, os, sys
PR_SET_PDEATHSIG, SIGKILL = 1, 9
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(SIGKILL), 0, 0, 0)
if os.getppid() == int(sys.argv[1]):  # else it ended before prctl
    os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True)
class Binaries:
    """The containerd to start, and the PATH on which it finds its shim and runc (and CRIU)."""

    containerd: str
    path: str

    @classmethod
    def find(cls, containerd: str, environment: Mapping[str, str] | None = None) -> Binaries:
        """``containerd`` is a name on PATH, or a path: then its directory comes first in the daemon's PATH.
        ``environment`` is by default that of this process.

        :raises FileNotFoundError: if containerd, its shim or runc is missing; the message tells what to install
        """
        environment = os.environ if environment is None else environment
        directories = environment.get("PATH", os.defpath).split(os.pathsep)
        if os.sep in containerd:
            directories.insert(0, os.path.dirname(os.path.abspath(containerd)))
        path = os.pathsep.join(dict.fromkeys((*directories, *SYSTEM_DIRECTORIES)))
        found = shutil.which(containerd, path=path)
        if found is None:
            raise _missing(containerd, path)
        for name in ("containerd-shim-runc-v2", "runc"):
            if shutil.which(name, path=path) is None:
                raise _missing(name, path)
        return cls(os.path.abspath(found), path)


def _missing(name: str, path: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"{name!r} is not there; a private containerd needs containerd, containerd-shim-runc-v2 and runc. "
        f"On Debian and Ubuntu: apt-get install containerd runc. Looked in {path}"
    )


def write_config(home: Home, extra: str | None) -> Path:
    """Write containerd's configuration and return its path.

    ``extra`` is imported by it, and so wins over it; the paths on the command line win over both. It counts as
    ``version = 2``, which containerd 1.6 to 2.x read, unless it names another.

    :raises InvalidArgumentError: if ``extra`` is not TOML
    """
    imports = ""
    if extra is not None:
        try:
            named = tomllib.loads(extra)
        except tomllib.TOMLDecodeError as error:
            raise InvalidArgumentError(f"config is not TOML: {error}") from error
        if "version" not in named:
            extra = f"version = 2\n{extra}"
        addition = home.path / "extra.toml"
        addition.write_text(extra)
        imports = _toml_string(addition)
    config = home.path / "config.toml"
    config.write_text(
        "version = 2\n"
        # always there: newer versions import /etc/containerd/conf.d by default
        f"imports = [{imports}]\n"
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f"temp = {_toml_string(home.temporary)}\n"
        # by default /opt/containerd, which it makes
        '[plugins."io.containerd.internal.v1.opt"]\n'
        f"path = {_toml_string(home.path / 'opt')}\n"
    )
    return config


def _toml_string(path: Path) -> str:
    return json.dumps(os.fspath(path))


def spawn(
    binaries: Binaries,
    home: Home,
    config: Path,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start containerd in a session of its own; it is killed when the calling thread ends.

    Its own session keeps the terminal's Ctrl-C from it, which would end it before the containers.

    :raises OSError: if no process can be made
    """
    guard = [sys.executable or "python3", "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    paths = {"--config": config, "--address": home.socket, "--root": home.root, "--state": home.state}
    options = [word for option, path in paths.items() for word in (option, os.fspath(path))]
    return subprocess.Popen(
        [*guard, binaries.containerd, *options],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=_environment(binaries, home, os.environ if environment is None else environment),
        start_new_session=True,
    )


def _environment(binaries: Binaries, home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    own = dict(environment)
    # systemd's notification socket is for the process that it started
    own.pop("NOTIFY_SOCKET", None)
    # where containerd 1.x and 2.x leave the files of a checkpoint that they restored (issue 10166)
    own["TMPDIR"] = own["XDG_RUNTIME_DIR"] = os.fspath(home.temporary)
    own["PATH"] = binaries.path
    return own
