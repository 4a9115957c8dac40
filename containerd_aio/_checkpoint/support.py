"""Whether tasks can be checkpointed here, in words.

containerd has no call that tells. Where it runs on this host and this is root, the answer lies open: the environment
of the daemon has the PATH in which its shim finds runc, and runc finds CRIU and the tools that CRIU calls. ``criu
check`` then asks the kernel. In all other cases it cannot be told from here, and that is what is said.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Final

import anyio

from containerd_aio._session import Defaults, Session, defaults_of
from containerd_aio.types import CheckpointSupport, ServerInfo

_SECONDS: Final = 20.0
_OLDEST: Final = (3, 0)  # what runc 1.1 asks for
_TOOLS: Final = {
    "iptables-restore": "CRIU locks a container's network with it (Debian: apt-get install iptables)",
    "tar": "CRIU packs the container's tmpfs mounts with it",
}
_FEATURE: Final = "org.opencontainers.runc.checkpoint.enabled"
_INSTALL: Final = "install it there (Debian: apt-get install criu), or put one in that PATH"


async def checkpoint_support(session: Session) -> CheckpointSupport:
    """Return whether the session's daemon can checkpoint tasks."""
    runtime = (await defaults_of(session.services, session.namespace)).runtime
    if runtime != Defaults().runtime:
        return _unknown(
            f"the runtime of namespace '{session.namespace}' is {runtime}, of which nothing is known"
        )
    if session.fifo_dir is None:
        return _unknown("containerd is on another host: run `criu check` there")
    if os.geteuid() != 0:
        return _unknown(
            "only root can look at containerd's environment and ask the kernel: run `criu check` as root"
        )
    path = _path_of_daemon(await session.services.introspection.server(), session.daemon_pid())
    if path is None:
        return _unknown("containerd runs in another pid or mount namespace: run `criu check` there")
    return await criu_support(path)


def _path_of_daemon(server: ServerInfo, listener: int | None) -> str | None:
    """Return the PATH of a daemon that sees the processes and files that we see, ``None`` of another one.

    Older ones do not tell their pid; ``listener`` is that of who made the socket, which may have been systemd.
    """
    try:
        own = server.pid_namespace == os.stat("/proc/self/ns/pid").st_ino
        pid = server.pid if own and server.pid else listener
        if not pid or os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt"):
            return None
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read().split(b"\0")
    except OSError:
        return None
    paths = [entry.removeprefix(b"PATH=") for entry in environment if entry.startswith(b"PATH=")]
    return os.fsdecode(paths[0]) if paths else os.defpath


async def criu_support(path: str) -> CheckpointSupport:
    """Return whether the runc and the CRIU of a PATH can checkpoint on this host; for root."""
    runc = shutil.which("runc", path=path)
    if runc is None:
        return _no(f"runc is not in containerd's PATH ({path})")
    criu = shutil.which("criu", path=path)
    if criu is None:
        return _no(f"criu is not in containerd's PATH ({path}): {_INSTALL}")
    code, said = await _run([criu, "--version"], path)
    found = re.search(r"^Version: (\d+)\.(\d+)(\S*)", said, re.MULTILINE)
    if found is None:
        return _no(f"{criu} does not run: {_last_line(said) or f'it ended with code {code}'}")
    version = f"{found[1]}.{found[2]}{found[3]}"
    if (int(found[1]), int(found[2])) < _OLDEST:
        return _no(f"{criu} is version {version}; runc needs 3.0 or later", version)
    code, said = await _run([criu, "check"], path)
    if code != 0:
        reason = _first_error(said) or _last_line(said) or f"it ended with code {code}"
        return _no(f"{criu} {version} does not work on this kernel ({os.uname().release}): {reason}", version)
    _, said = await _run([runc, "features"], path)
    if f'"{_FEATURE}": "false"' in said:
        return _no(f"{runc} was built without checkpoints", version)
    for tool, why in _TOOLS.items():
        if shutil.which(tool, path=path) is None:
            return _no(f"{tool} is not in containerd's PATH ({path}): {why}", version)
    return CheckpointSupport(True, f"{criu} {version} works on this kernel ({os.uname().release})", version)


async def _run(command: list[str], path: str) -> tuple[int, str]:
    """Run a program with the daemon's PATH; return its code and what it said, on both outputs."""
    with anyio.move_on_after(_SECONDS):
        try:
            done = await anyio.run_process(
                command,
                check=False,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": path},
            )
        except OSError as error:
            return -1, str(error)
        return done.returncode, done.stdout.decode(errors="replace")
    return -1, f"it did not end in {_SECONDS:.0f} s"


def _first_error(said: str) -> str:
    found = re.search(r"Error \([^)]*\): (.*)", said)
    return found[1] if found else ""


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _no(reason: str, criu: str | None = None) -> CheckpointSupport:
    return CheckpointSupport(False, reason, criu)


def _unknown(reason: str) -> CheckpointSupport:
    return CheckpointSupport(None, f"it cannot be told: {reason}")
