"""What a test left behind: in this process, in its namespace of the daemon, and on the host.

The referees are ``ctr`` and /proc, not the library under test.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from tests.conftest import LOOP

DEFAULT_FIFO_DIR = Path("/run/containerd/fifo")


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds now."""

    descriptors: dict[int, str]
    tasks: frozenset[asyncio.Task[object]]
    fifos: frozenset[str]

    @classmethod
    def now(cls, *fifo_dirs: Path) -> Held:
        """``fifo_dirs``: where to look for FIFOs and their directories."""
        return cls(_descriptors(), _tasks(), fifos_in(*fifo_dirs))

    def since(self, before: Held) -> list[str]:
        """A line for each thing that is held now and was not before."""
        new = self.descriptors.items() - before.descriptors.items()
        return [
            *(f"descriptor {number}: {target}" for number, target in sorted(new)),
            *(f"asyncio task: {task!r}" for task in self.tasks - before.tasks if not task.done()),
            *(f"in the FIFO directory: {path}" for path in sorted(self.fifos - before.fifos)),
        ]


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that listed the directory
            continue
        # uvloop opens its two sockets for signals anew each time that it runs.
        found[int(name)] = target.split(":")[0] if LOOP == "uvloop" else target
    return found


def _tasks() -> frozenset[asyncio.Task[object]]:
    # the test runner's own: a new one for each fixture and test
    return frozenset(
        task
        for task in asyncio.all_tasks()
        if "TestRunner." not in getattr(task.get_coro(), "__qualname__", "")
    )


def fifos_in(*directories: Path) -> frozenset[str]:
    """What is in the directories and below."""
    # Not Path.glob, which fails where another process removes a directory meanwhile.
    return frozenset(
        os.path.join(directory, name)
        for directory in directories
        for name in glob("**/*", root_dir=directory, recursive=True, include_hidden=True)
    )


def ctr(address: str, namespace: str, *arguments: str) -> list[str]:
    """The lines that ``ctr`` prints."""
    command = ["ctr", "--address", address, "--namespace", namespace, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return [line for line in done.stdout.splitlines() if line.strip()]


def left_in_namespace(address: str, namespace: str, *snapshotters: str) -> list[str]:
    """A line for each task, container, lease, ingest, and active snapshot or view in the namespace.

    Images and what they refer to are not counted: ``remove_namespace`` finds what outlives them.
    """

    def ask(*arguments: str) -> list[str]:
        return ctr(address, namespace, *arguments)

    with ThreadPoolExecutor() as pool:  # each takes some 25 ms
        tasks = pool.submit(ask, "tasks", "ls", "-q")
        containers = pool.submit(ask, "containers", "ls", "-q")
        leases = pool.submit(ask, "leases", "ls", "-q")
        ingests = pool.submit(ask, "content", "active")
        snapshots = [pool.submit(ask, "snapshots", "--snapshotter", name, "ls") for name in snapshotters]
    left = [f"task {line}" for line in tasks.result()]
    left += [f"container {line}" for line in containers.result()]
    left += [f"lease {line}" for line in leases.result()]
    left += [f"ingest {line}" for line in ingests.result()[1:]]
    lines = [line for answer in snapshots for line in answer.result()[1:]]
    return left + [f"snapshot {line}" for line in lines if not line.rstrip().endswith("Committed")]


def remove_namespace(address: str, namespace: str) -> list[str]:
    """Remove the images, then the namespace; a line where something that no image holds keeps it."""
    images = ctr(address, namespace, "images", "ls", "-q")
    if images:
        ctr(address, namespace, "images", "rm", "--sync", *images)
    try:
        ctr(address, namespace, "namespaces", "rm", namespace)
    except RuntimeError as error:
        return [str(error)]
    return []


def left_behind(address: str, home: str, pid: int, namespace: str, *snapshotters: str) -> list[str]:
    """A line for each thing that clients have left on a private daemon that runs on, as process ``pid`` in ``home``:
    what its namespace holds but images, processes, mounts and FIFOs."""
    left = left_in_namespace(address, namespace, *snapshotters)
    left += [
        f"process {line}"
        for line in _command_lines()
        if home in line and line.split()[0] not in (str(pid), "1")
    ]
    left += _mounts(home)
    left += [f"FIFO {path}" for path in Path(home).glob("fifo/**/*")]
    left += [f"runc state {path}" for path in Path("/run/containerd/runc", namespace).glob("*")]
    return left


def _mounts(home: str) -> list[str]:
    return [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if home in line]


def left_on_host(home: str, *namespaces: str) -> list[str]:
    """A line for each thing on this host that names a private daemon's directory or one of its namespaces."""
    left = [f"file {home}"] if os.path.exists(home) else []
    left += [f"process {line}" for line in _command_lines() if home in line]
    left += _mounts(home)
    for namespace in namespaces:
        found = [Path("/run/containerd/runc", namespace), *Path("/sys/fs/cgroup").glob(f"*/{namespace}")]
        found.append(Path("/sys/fs/cgroup", namespace))
        left += [f"directory {path}" for path in found if path.exists()]
    return left


def shim_sockets(address: str, namespace: str, *ids: str) -> list[str]:
    """The sockets that there are of the shims of these containers, also of those that are dead.

    The directory is that of all daemons of this host, and tests run side by side.
    """
    names = [hashlib.sha256(os.path.join(address, namespace, id).encode()).hexdigest() for id in ids]
    return [path for name in names if os.path.exists(path := f"/run/containerd/s/{name}")]


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield f"{path.parent.name} {path.read_bytes().replace(bytes(1), b' ').decode(errors='replace')}"
        except OSError:  # it has ended
            continue
