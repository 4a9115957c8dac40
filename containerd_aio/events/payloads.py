"""What events tell: one frozen dataclass for each message that containerd publishes.

Fields are named as in containerd's schema. A text or number that was not sent is ``""`` or 0, as on the wire: the
two cannot be told apart. Times are in nanoseconds since 1970, and ``None`` where there is none (Go's year 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias, get_args

from containerd_aio.types.container import Runtime
from containerd_aio.types.mount import Mount


@dataclass(frozen=True, slots=True)
class ContainerCreate:
    """``/containers/create``"""

    id: str
    image: str = ""
    runtime: Runtime | None = None


@dataclass(frozen=True, slots=True)
class ContainerUpdate:
    """``/containers/update``"""

    id: str
    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    snapshot_key: str = ""


@dataclass(frozen=True, slots=True)
class ContainerDelete:
    """``/containers/delete``"""

    id: str


@dataclass(frozen=True, slots=True)
class ContentCreate:
    """``/content/create``, from containerd 2.1 on; ``media_type`` is later still."""

    digest: str
    size: int = 0
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class ContentDelete:
    """``/content/delete``"""

    digest: str


@dataclass(frozen=True, slots=True)
class ImageCreate:
    """``/images/create``"""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ImageUpdate:
    """``/images/update``"""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ImageDelete:
    """``/images/delete``; also sent for images that garbage collection removes (containerd 2)."""

    name: str


@dataclass(frozen=True, slots=True)
class NamespaceCreate:
    """``/namespaces/create``; the event's own namespace is the new one."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class NamespaceUpdate:
    """``/namespaces/update``"""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class NamespaceDelete:
    """``/namespaces/delete``"""

    name: str


@dataclass(frozen=True, slots=True)
class SandboxCreate:
    """``/sandboxes/create``"""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class SandboxStart:
    """``/sandboxes/start``"""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """``/sandboxes/exit``"""

    sandbox_id: str
    exit_status: int = 0
    exited_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotPrepare:
    """``/snapshot/prepare``; ``snapshotter`` is empty before containerd 1.7. A view sends no event."""

    key: str
    parent: str = ""
    snapshotter: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotCommit:
    """``/snapshot/commit``"""

    key: str
    name: str = ""
    snapshotter: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRemove:
    """``/snapshot/remove``; from containerd 1.7 on also for what garbage collection removes."""

    key: str
    snapshotter: str = ""


@dataclass(frozen=True, slots=True)
class TaskIO:
    """Where a task's streams go: paths of FIFOs or log URIs, empty where not connected."""

    stdin: str = ""
    stdout: str = ""
    stderr: str = ""
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class TaskCreate:
    """``/tasks/create``; ``pid`` is 0 for a task that is restored from a checkpoint."""

    container_id: str
    bundle: str = ""
    rootfs: tuple[Mount, ...] = ()
    io: TaskIO | None = None
    checkpoint: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class TaskStart:
    """``/tasks/start``: a container's init runs."""

    container_id: str
    pid: int = 0


@dataclass(frozen=True, slots=True)
class TaskExecAdded:
    """``/tasks/exec-added``: made, not started."""

    container_id: str
    exec_id: str = ""


@dataclass(frozen=True, slots=True)
class TaskExecStarted:
    """``/tasks/exec-started``"""

    container_id: str
    exec_id: str = ""
    pid: int = 0


@dataclass(frozen=True, slots=True)
class TaskExit:
    """``/tasks/exit``: a process ended.

    ``id`` is the container's id for its init, and the exec's id for an exec. A shim that was killed makes
    containerd send a 137 for the init that is not its real status; ``Task.wait()`` sorts that out.
    """

    container_id: str
    id: str = ""
    pid: int = 0
    exit_status: int = 0
    exited_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class TaskDelete:
    """``/tasks/delete``: of an init; deleting an exec sends nothing. runc's shim leaves ``id`` empty."""

    container_id: str
    pid: int = 0
    exit_status: int = 0
    exited_at_ns: int | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class TaskOOM:
    """``/tasks/oom``: the kernel killed something in the container for want of memory."""

    container_id: str


@dataclass(frozen=True, slots=True)
class TaskPaused:
    """``/tasks/paused``"""

    container_id: str


@dataclass(frozen=True, slots=True)
class TaskResumed:
    """``/tasks/resumed``"""

    container_id: str


@dataclass(frozen=True, slots=True)
class TaskCheckpointed:
    """``/tasks/checkpointed``; no runtime of today sends it."""

    container_id: str
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A payload of a type that is not known here, or that could not be read as what it says it is.

    Both fields are empty where the event carries nothing at all.
    """

    type_url: str
    value: bytes


KnownEvent: TypeAlias = (
    ContainerCreate
    | ContainerUpdate
    | ContainerDelete
    | ContentCreate
    | ContentDelete
    | ImageCreate
    | ImageUpdate
    | ImageDelete
    | NamespaceCreate
    | NamespaceUpdate
    | NamespaceDelete
    | SandboxCreate
    | SandboxStart
    | SandboxExit
    | SnapshotPrepare
    | SnapshotCommit
    | SnapshotRemove
    | TaskCreate
    | TaskStart
    | TaskExecAdded
    | TaskExecStarted
    | TaskExit
    | TaskDelete
    | TaskOOM
    | TaskPaused
    | TaskResumed
    | TaskCheckpointed
)
"""The payloads that containerd itself publishes."""

Payload: TypeAlias = KnownEvent | UnknownEvent
"""What an event may carry."""

_IMAGES: Final = (ImageCreate, ImageUpdate, ImageDelete)

TYPE_URLS: Final[Mapping[type[KnownEvent], str]] = MappingProxyType(
    {
        # The image events share the package of the Images service.
        payload: f"containerd.{'services.images.v1' if payload in _IMAGES else 'events'}.{payload.__name__}"
        for payload in get_args(KnownEvent)
    }
)
"""The payloads by the names of their messages."""

PAYLOADS: Final[Mapping[str, type[KnownEvent]]] = MappingProxyType(
    {url: cls for cls, url in TYPE_URLS.items()}
)
"""The same, the other way round."""
