"""The record of a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from containerd_aio.types.any import AnyValue


@dataclass(frozen=True, slots=True)
class Runtime:
    """The shim that runs a container's tasks (``io.containerd.runc.v2``) and its options."""

    name: str
    options: AnyValue | None = None


@dataclass(frozen=True, slots=True)
class ContainerInfo:
    """A container as containerd stores it: metadata, no process.

    ``spec`` is the OCI runtime spec as JSON. ``image``, ``snapshotter``, ``snapshot_key`` and ``sandbox`` are
    ``None`` where the record names none. Times are in nanoseconds since 1970, ``None`` before it is stored.
    """

    id: str
    runtime: Runtime
    spec: AnyValue | None
    image: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    snapshotter: str | None = None
    snapshot_key: str | None = None
    extensions: Mapping[str, AnyValue] = field(default_factory=dict[str, AnyValue])
    sandbox: str | None = None
    created_at_ns: int | None = None
    updated_at_ns: int | None = None
