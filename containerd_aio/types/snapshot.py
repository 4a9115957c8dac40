"""Snapshots: the layers of filesystems that a snapshotter keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SnapshotKind(StrEnum):
    """What a snapshot is: ``active`` and ``view`` can be mounted, ``committed`` can be a parent."""

    UNKNOWN = "unknown"
    VIEW = "view"
    ACTIVE = "active"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A snapshot; ``parent`` is ``None`` for a base layer. Times in nanoseconds since 1970."""

    name: str
    kind: SnapshotKind
    parent: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    created_at_ns: int | None = None
    updated_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotUsage:
    """What a snapshot itself takes, its parents not counted."""

    size: int
    inodes: int
