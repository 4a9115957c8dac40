"""Blobs in the content store, and ingests that become blobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ContentInfo:
    """A blob in the content store; ``size`` in bytes, times in nanoseconds since 1970."""

    digest: str
    size: int
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    created_at_ns: int | None = None
    updated_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class IngestStatus:
    """A write under way: ``offset`` of ``total`` bytes are there; ``total`` is 0 and ``expected`` ``None``
    where the writer did not say. Times in nanoseconds since 1970."""

    ref: str
    offset: int
    total: int
    expected: str | None = None
    started_at_ns: int | None = None
    updated_at_ns: int | None = None
