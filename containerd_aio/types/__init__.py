"""The words: frozen records that services take and return. No I/O, and nothing generated."""

from containerd_aio.types.any import AnyValue
from containerd_aio.types.checkpoint import CheckpointOptions, CheckpointSupport
from containerd_aio.types.container import ContainerInfo, Runtime
from containerd_aio.types.content import ContentInfo, IngestStatus
from containerd_aio.types.descriptor import Descriptor, Platform
from containerd_aio.types.image import ImageConfig, ImageInfo
from containerd_aio.types.introspection import (
    Deprecation,
    NamespaceInfo,
    PluginInfo,
    ServerInfo,
    VersionInfo,
)
from containerd_aio.types.lease import Lease, LeaseResource
from containerd_aio.types.metrics import (
    CpuMetrics,
    DeviceIoMetrics,
    IoMetrics,
    MemoryMetrics,
    Metrics,
    PidsMetrics,
)
from containerd_aio.types.mount import Mount
from containerd_aio.types.process import (
    Chunk,
    Completed,
    ExitStatus,
    ProcessInfo,
    ProcessRecord,
    ProcessState,
    Status,
)
from containerd_aio.types.runc import RuncOptions, TaskEndpoint
from containerd_aio.types.snapshot import SnapshotInfo, SnapshotKind, SnapshotUsage

__all__ = [
    "AnyValue",
    "CheckpointOptions",
    "CheckpointSupport",
    "Chunk",
    "Completed",
    "ContainerInfo",
    "ContentInfo",
    "CpuMetrics",
    "Deprecation",
    "Descriptor",
    "DeviceIoMetrics",
    "ExitStatus",
    "ImageConfig",
    "ImageInfo",
    "IngestStatus",
    "IoMetrics",
    "Lease",
    "LeaseResource",
    "MemoryMetrics",
    "Metrics",
    "Mount",
    "NamespaceInfo",
    "PidsMetrics",
    "Platform",
    "PluginInfo",
    "ProcessInfo",
    "ProcessRecord",
    "ProcessState",
    "RuncOptions",
    "Runtime",
    "ServerInfo",
    "SnapshotInfo",
    "SnapshotKind",
    "SnapshotUsage",
    "Status",
    "TaskEndpoint",
    "VersionInfo",
]
