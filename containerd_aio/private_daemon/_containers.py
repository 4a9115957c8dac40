"""Which containers are a daemon's own: what its shims and runc keep of them in files.

The directories of runc's state and of the shims' sockets are the same for all daemons of a host, so nothing in
them is taken for ours by its name. A runc container is ours when it was made from a bundle in our state
directory; a shim's socket when our bundle names it, or its name is the hash of our socket's path.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

# Both are constants of containerd's runc shim.
RUNC_STATES = Path("/run/containerd/runc")
SHIM_SOCKETS = Path("/run/containerd/s")

# What PrivateDaemon, and the tests, call their namespaces. Such a name is random, so nobody else uses it.
_RANDOM_NAMESPACE = re.compile(r"aio-[0-9a-f]{12}")


def is_random(namespace: str) -> bool:
    """Whether a namespace was named at random, so that all that bears its name belongs to one daemon."""
    return _RANDOM_NAMESPACE.fullmatch(namespace) is not None


def found(directory: Path, pattern: str) -> list[Path]:
    """What matches below a directory in which others are at work.

    ``Path.glob`` fails (up to Python 3.12) where a directory that it has seen is gone when it looks into it.
    """
    return [directory / name for name in glob(pattern, root_dir=directory)]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A directory in which a shim keeps a container or a sandbox."""

    namespace: str
    container_id: str
    path: Path

    def shim_socket(self) -> Path | None:
        """The socket of its shim: in the file ``address`` until 1.7, in ``bootstrap.json`` from 2.0 on."""
        try:
            address = (self.path / "address").read_text()
        except OSError:
            try:
                address = json.loads((self.path / "bootstrap.json").read_text())["address"]
            except (OSError, ValueError, LookupError, TypeError):
                return None
        path = str(address).strip().removeprefix("unix://")
        return Path(path) if path.startswith("/") else None


def bundles(state: Path) -> list[Bundle]:
    """The bundles in a state directory: ``<plugin>/<namespace>/<id>``."""
    return [
        Bundle(path.parent.name, path.name, path)
        for path in found(state, "io.containerd.*/*/*")
        if path.is_dir()
    ]


@dataclass(frozen=True, slots=True)
class RuncContainer:
    """What runc keeps of a container: ``path`` is its directory, the init is known by its start time, too."""

    namespace: str
    container_id: str
    path: Path
    init_pid: int
    init_started: int
    cgroups: tuple[Path, ...]


def runc_containers(state: Path) -> Iterator[RuncContainer]:
    """runc's containers whose bundle lies below ``state``."""
    prefix = f"bundle={state}{os.sep}"
    for file in found(RUNC_STATES, "*/*/state.json"):
        try:
            kept = json.loads(file.read_bytes())
            if any(label.startswith(prefix) for label in kept["config"]["labels"]):
                groups = tuple(Path(path) for path in dict.fromkeys(kept["cgroup_paths"].values()))
                yield RuncContainer(
                    namespace=file.parent.parent.name,
                    container_id=file.parent.name,
                    path=file.parent,
                    init_pid=int(kept["init_process_pid"]),
                    init_started=int(kept["init_process_start"]),
                    cgroups=groups,
                )
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue  # half-written, gone meanwhile, or of another runtime


def logged(log: Path) -> set[tuple[str, str]]:
    """Namespaces and ids that containerd's log names: also of containers that left no file but a socket."""
    named: set[tuple[str, str]] = set()
    try:
        with log.open("rb") as lines:
            for line in lines:
                container_id = re.search(rb'\bid="?([\w.-]+)', line)
                namespace = re.search(rb'\bnamespace="?([\w.-]+)', line)
                if container_id is not None and namespace is not None:
                    named.add((namespace[1].decode(), container_id[1].decode()))
    except FileNotFoundError:
        pass
    return named


def shim_socket_of(address: Path, namespace: str, container_id: str) -> Path:
    """Where a shim of the daemon at ``address`` has its socket: a hash of the three (all versions 1.6 to 2.1).

    A shim that is killed leaves it, and containerd then removes the bundle that names it.
    """
    name = os.fsencode(address / namespace / container_id)
    return SHIM_SOCKETS / hashlib.sha256(name).hexdigest()
