"""What a containerd leaves when it ends: containers, shims, mounts, cgroups and files; and how they go.

The order: the daemon has ended before, so that nothing new is made. Then the processes of the containers, then
their shims, which would only wait for a daemon. Then mounts, which a process may have kept busy; then the
sockets, runc's state and the control groups, whose names come from what is in the private directory; at last
that directory.

Blocking and bounded. What resists is told, and keeps the directory, so that the next private daemon of this
user tries again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from containerd_aio.private_daemon import _containers
from containerd_aio.private_daemon._cgroups import cgroups, members, remove_groups, thaw
from containerd_aio.private_daemon._containers import RuncContainer, bundles, is_random, runc_containers
from containerd_aio.private_daemon._home import Home
from containerd_aio.private_daemon._mounts import unmount_below
from containerd_aio.private_daemon._processes import (
    RunningProcess,
    kill_and_wait,
    running_processes,
    with_descendants,
)

KILL_SECONDS = 10.0
CGROUP_SECONDS = 10.0


def remove_leftovers(home: Home, namespaces: Iterable[str] = ()) -> list[str]:
    """End and remove all that the daemon of ``home`` left, and ``home`` itself.

    ``namespaces`` are names of its own that may stand in no file. Returns a line for each thing that is still
    there.
    """
    logged = _containers.logged(home.log)
    used = {path.name for path in _containers.found(home.state, "io.containerd.*/*")}
    used.update(namespaces, (namespace for namespace, _ in logged))
    own = {namespace for namespace in used if is_random(namespace)}

    left = _kill_all(home, own)
    left += unmount_below(home.path)
    left += unmount_below(home.root / "tmpmounts")
    for namespace in own:  # a restore that was killed leaves its rootfs mounted there (runc 1.1)
        left += unmount_below(_containers.RUNC_STATES / namespace)
    _remove_shim_sockets(home, logged)
    made = list(runc_containers(home.state))
    left += _remove_runc_states(made, own, used)
    left += _remove_cgroups(made, own, used)
    if not left:
        try:
            home.remove()
        except OSError as error:
            left.append(f"cannot remove {home.path}: {error}")
    if left:
        home.release()
        left.append(f"{home.path} is kept")
    return left


def _kill_all(home: Home, own: Iterable[str]) -> list[str]:
    """Kill until a look finds nothing: what was being started at one look shows in the next."""
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        made = list(runc_containers(home.state))
        groups = _groups_of_ours(made, own)
        for group in groups:
            thaw(group)
        living = _living(home, made, groups)
        if not living:
            return []
        if time.monotonic() > deadline:
            return [f"process {process.pid} does not end: {process.command}" for process in living]
        kill_and_wait(living, seconds=1.0)


def _living(home: Home, made: Iterable[RuncContainer], groups: Iterable[Path]) -> list[RunningProcess]:
    """What runs of ours: below each shim its containers' processes first."""
    processes = running_processes()
    socket, state = os.fsencode(home.socket), os.fsencode(home.state) + b"/"
    found = [it.pid for it in processes.values() if _is_ours(it, socket=socket, state=state)]
    # a container whose shim is dead has another parent
    found += [
        container.init_pid
        for container in made
        if container.init_pid in processes and processes[container.init_pid].started == container.init_started
    ]
    found += [pid for group in groups for pid in members(group)]
    return [process for process in with_descendants(found, processes) if process.pid != os.getpid()]


def _is_ours(process: RunningProcess, *, socket: bytes, state: bytes) -> bool:
    """Whether it is containerd or a shim with our socket as an argument, or runc at work on a bundle of ours."""
    name = os.path.basename(process.arguments[0]) if process.arguments else b""
    if name.startswith(b"containerd"):
        return socket in process.arguments
    return name == b"runc" and any(argument.startswith(state) for argument in process.arguments)


def _groups_of_ours(made: Iterable[RuncContainer], own: Iterable[str]) -> list[Path]:
    """The control groups in which everything is ours.

    A container may have been given any group, the root's included, so of those that runc names only the ones
    count that are called after the container.
    """
    groups = [
        group
        for container in made
        for group in container.cgroups
        if group.parts[-2:] == (container.namespace, container.container_id)
    ]
    groups += [group for namespace in own for group in cgroups(namespace)]
    return list(dict.fromkeys(groups))


def _remove_shim_sockets(home: Home, logged: set[tuple[str, str]]) -> None:
    found = bundles(home.state)
    known = logged | {(bundle.namespace, bundle.container_id) for bundle in found}
    paths = {_containers.shim_socket_of(home.socket, namespace, name) for namespace, name in known}
    paths |= {path for bundle in found if (path := bundle.shim_socket()) is not None}
    for path in paths:
        try:
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        except OSError:  # a shim that ended well removed it
            continue


def _remove_runc_states(made: Iterable[RuncContainer], own: set[str], used: set[str]) -> list[str]:
    paths = [container.path for container in made] + [_containers.RUNC_STATES / name for name in own]
    left: list[str] = []
    for path in paths:
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            left.append(f"cannot remove {path}: {error}")
    for namespace in used - own:
        _remove_if_empty(_containers.RUNC_STATES / namespace)
    return left


def _remove_cgroups(made: Iterable[RuncContainer], own: set[str], used: set[str]) -> list[str]:
    left = remove_groups(_groups_of_ours(made, own), seconds=CGROUP_SECONDS)
    for group in dict.fromkeys(group for container in made for group in container.cgroups):
        _remove_if_empty(group)
    for namespace in used - own:
        for group in cgroups(namespace):
            _remove_if_empty(group)
    return left


def _remove_if_empty(directory: Path) -> None:
    """What other daemons may use as well, and are using where it is not empty."""
    with contextlib.suppress(OSError):
        directory.rmdir()
