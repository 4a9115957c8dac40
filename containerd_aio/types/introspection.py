"""What a daemon tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from containerd_aio.types.descriptor import Platform


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    """A namespace and its labels (``containerd.io/defaults/snapshotter`` and its like set defaults)."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """``version`` as the daemon gives it: ``v2.1.9``, ``1.6.20~ds1``; ``revision`` is a git commit."""

    version: str
    revision: str

    @property
    def release(self) -> tuple[int, int]:
        """The major and minor number, ``(0, 0)`` where the version does not begin with numbers."""
        numbers = self.version.removeprefix("v").split(".")
        try:
            return int(numbers[0]), int(numbers[1])
        except (ValueError, IndexError):
            return 0, 0


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin of the daemon; ``init_error`` is ``None`` where it is usable."""

    type: str
    id: str
    requires: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    capabilities: tuple[str, ...] = ()
    exports: Mapping[str, str] = field(default_factory=dict[str, str])
    init_error: str | None = None


@dataclass(frozen=True, slots=True)
class Deprecation:
    """Something the daemon's operator uses that will go away."""

    id: str
    message: str
    last_occurrence_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The daemon itself; ``pid`` and ``pid_namespace`` are ``None`` before containerd 1.7 (1.6.25)."""

    uuid: str
    pid: int | None = None
    pid_namespace: int | None = None
    deprecations: tuple[Deprecation, ...] = ()
