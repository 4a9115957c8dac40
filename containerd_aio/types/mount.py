"""Mounts as snapshotters hand them out and tasks take them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a root filesystem. Pass it to a task unchanged: newer daemons use types of their own."""

    type: str
    source: str
    target: str = ""
    options: tuple[str, ...] = ()
