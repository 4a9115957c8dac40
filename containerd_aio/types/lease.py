"""Leases: what garbage collection must spare for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease; it ends when it is deleted, or at the time in its label ``containerd.io/gc.expire``."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    created_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseResource:
    """What a lease holds: ``type`` is ``content``, ``ingests``, ``images`` or ``snapshots/<snapshotter>``."""

    type: str
    id: str
