"""What a checkpoint is: an index that names its parts, by media types and annotations of containerd's own.

The memory is a tar of CRIU's images, the config the container's spec, the layer what the container changed in the
files of its image. Any of them may be absent. The Go client writes two kinds of this index, one for a task and one
for a container; the one that is written here has what both have, and each of them can be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from containerd_aio._images.manifest import Index
from containerd_aio._images.media_types import INDEXES, LAYERS, MANIFESTS, OCI_INDEX
from containerd_aio._images.platforms import host_platform
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor

MEMORY: Final = "application/vnd.containerd.container.criu.checkpoint.criu.tar"
CONFIG: Final = "application/vnd.containerd.container.checkpoint.config.v1+proto"
RUNTIME_OPTIONS: Final = "application/vnd.containerd.container.checkpoint.runtime.options+proto"

CHECKPOINT_LABEL: Final = "containerd.io/checkpoint"
"""The label of an image record that is a checkpoint's: ``true``."""

_IMAGE_OF_TASK: Final = "image.name"
_IMAGE: Final = "org.opencontainers.image.ref.name"
_RUNTIME: Final = "io.containerd.checkpoint.runtime"
_SNAPSHOTTER: Final = "io.containerd.checkpoint.snapshotter"
# Ours: the snapshot that the layer was made against, for checkpoints that do not hold their image.
_PARENT: Final = "containerd-aio/checkpoint.parent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The parts of a checkpoint, ``None`` for what it does not have.

    ``image_name`` and ``image`` are what the container was made from; ``parent`` is the chain id that ``layer``
    goes on.
    """

    memory: Descriptor | None = None
    config: Descriptor | None = None
    runtime_options: Descriptor | None = None
    image: Descriptor | None = None
    layer: Descriptor | None = None
    image_name: str | None = None
    runtime: str | None = None
    snapshotter: str | None = None
    parent: str | None = None

    @classmethod
    def of(cls, index: Index, *, about: str) -> Checkpoint:
        """Return what an index says; ``about`` names it in errors.

        :raises InvalidArgumentError: if it is no checkpoint's, or has two parts of one kind
        """
        notes = index.annotations
        if _RUNTIME not in notes and not {MEMORY, CONFIG} & {entry.media_type for entry in index.manifests}:
            raise InvalidArgumentError(
                f"{about} is no checkpoint: it has neither memory nor a container's spec"
            )
        parts: dict[str, Descriptor] = {}
        for entry in index.manifests:
            kind = _KINDS.get(entry.media_type)
            # Not its annotations: "RestoreFromPath" has containerd 2.1 restore from any directory of its host.
            part = replace(entry, annotations={})
            if kind is not None and parts.setdefault(kind, part).digest != part.digest:
                raise InvalidArgumentError(
                    f"{about} is no checkpoint: it has two parts of type {entry.media_type}"
                )
        return cls(
            **parts,
            image_name=notes.get(_IMAGE) or notes.get(_IMAGE_OF_TASK) or None,
            runtime=notes.get(_RUNTIME) or None,
            snapshotter=notes.get(_SNAPSHOTTER) or None,
            parent=notes.get(_PARENT) or None,
        )

    def parts(self) -> list[Descriptor]:
        """Return the descriptors in the order of the index; each names this machine's platform, except the image's."""
        own = (self.memory, self.config, self.runtime_options, self.layer)
        placed = [replace(part, platform=host_platform()) for part in own if part is not None]
        return placed if self.image is None else [*placed, self.image]

    def document(self) -> bytes:
        """Return the index as JSON."""
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [_as_json(part) for part in self.parts()],
            "annotations": dict(self._annotations()),
        }
        return json.dumps(document, separators=(",", ":")).encode()

    def _annotations(self) -> Iterator[tuple[str, str]]:
        if self.image_name is not None:
            yield _IMAGE_OF_TASK, self.image_name
            yield _IMAGE, self.image_name
        for name, value in (
            (_RUNTIME, self.runtime),
            (_SNAPSHOTTER, self.snapshotter),
            (_PARENT, self.parent),
        ):
            if value is not None:
                yield name, value


_KINDS: Final[Mapping[str, str]] = {
    MEMORY: "memory",
    CONFIG: "config",
    RUNTIME_OPTIONS: "runtime_options",
    **dict.fromkeys(INDEXES | MANIFESTS, "image"),
    **dict.fromkeys(LAYERS, "layer"),
}


def _as_json(part: Descriptor) -> dict[str, object]:
    entry: dict[str, object] = {"mediaType": part.media_type, "digest": part.digest, "size": part.size}
    if part.annotations:
        entry["annotations"] = dict(part.annotations)
    if part.platform is not None:
        platform = {"architecture": part.platform.architecture, "os": part.platform.os}
        if part.platform.variant:
            platform["variant"] = part.platform.variant
        entry["platform"] = platform
    return entry
