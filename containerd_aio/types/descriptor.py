"""What names a blob: descriptors and platforms (OCI image-spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Platform:
    """The system that an image is built for, in Go's words: ``linux``, ``amd64``, ``arm64`` with ``v8``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob by digest: its media type, its digest (``sha256:…``) and its size in bytes.

    ``platform`` is not part of containerd's own descriptor message; it stands in indexes.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    platform: Platform | None = None
