"""Images: the record in containerd's store, and the configuration inside of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from containerd_aio.types.descriptor import Descriptor, Platform


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A name for a descriptor in containerd's image store. Times in nanoseconds since 1970."""

    name: str
    target: Descriptor
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    created_at_ns: int | None = None
    updated_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image says about the process it wants (OCI image-spec, config.md), and its layers' diff ids.

    ``user`` is ``""`` where the image names none; ``entrypoint`` and ``cmd`` are empty where it has none.
    """

    platform: Platform
    diff_ids: tuple[str, ...]
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
