"""Events: what happened in containerd, in typed words.

``client.events.subscribe()`` yields an `Event` for each; its ``payload`` is one of the dataclasses here::

    async with client.events.subscribe('topic=="/tasks/exit"') as events:
        async for event in events:
            match event.payload:
                case TaskExit(container_id=container, exit_status=code):
                    ...

The table of topics and payloads is containerd's ``api/events``. A type that is not known here comes as
`UnknownEvent`, with its bytes. With ``subscribe(on_gap="resume")`` a `Gap` comes where events are missing.
"""

from containerd_aio.events.event import Event, decode, encode, rfc3339, to_json
from containerd_aio.events.gap import Gap
from containerd_aio.events.payloads import (
    PAYLOADS,
    TYPE_URLS,
    ContainerCreate,
    ContainerDelete,
    ContainerUpdate,
    ContentCreate,
    ContentDelete,
    ImageCreate,
    ImageDelete,
    ImageUpdate,
    KnownEvent,
    NamespaceCreate,
    NamespaceDelete,
    NamespaceUpdate,
    Payload,
    SandboxCreate,
    SandboxExit,
    SandboxStart,
    SnapshotCommit,
    SnapshotPrepare,
    SnapshotRemove,
    TaskCheckpointed,
    TaskCreate,
    TaskDelete,
    TaskExecAdded,
    TaskExecStarted,
    TaskExit,
    TaskIO,
    TaskOOM,
    TaskPaused,
    TaskResumed,
    TaskStart,
    UnknownEvent,
)

__all__ = [
    "PAYLOADS",
    "TYPE_URLS",
    "ContainerCreate",
    "ContainerDelete",
    "ContainerUpdate",
    "ContentCreate",
    "ContentDelete",
    "Event",
    "Gap",
    "ImageCreate",
    "ImageDelete",
    "ImageUpdate",
    "KnownEvent",
    "NamespaceCreate",
    "NamespaceDelete",
    "NamespaceUpdate",
    "Payload",
    "SandboxCreate",
    "SandboxExit",
    "SandboxStart",
    "SnapshotCommit",
    "SnapshotPrepare",
    "SnapshotRemove",
    "TaskCheckpointed",
    "TaskCreate",
    "TaskDelete",
    "TaskExecAdded",
    "TaskExecStarted",
    "TaskExit",
    "TaskIO",
    "TaskOOM",
    "TaskPaused",
    "TaskResumed",
    "TaskStart",
    "UnknownEvent",
    "decode",
    "encode",
    "rfc3339",
    "to_json",
]
