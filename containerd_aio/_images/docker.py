"""Archives of ``docker save``: their images get the manifests that they lack.

Such an archive lists, for each image, its configuration and its layers by file name, and has no descriptors. The
manifest made here is what containerd's own import makes, byte for byte, so that both agree on the digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from containerd_aio._images.archive import Archive, StoredFile
from containerd_aio._images.blobs import write_document
from containerd_aio._images.fields import Fields, parse_json
from containerd_aio._images.manifest import MAX_DOCUMENT, MAX_LAYERS, parse_config
from containerd_aio._images.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_LAYER_ZSTD,
)
from containerd_aio._images.names import name_annotations
from containerd_aio._images.reference import Reference
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor

if TYPE_CHECKING:
    from containerd_aio.services.content import Content

_ABOUT: Final = "manifest.json in the archive"
_CONFIG_NAME = re.compile(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})(?:\.json)?", re.ASCII)
_MAX_IMAGES: Final = 1000


@dataclass(frozen=True, slots=True)
class _SavedImage:
    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


async def docker_targets(content: Content, archive: Archive, document: bytes) -> list[Descriptor]:
    """Write a manifest for each image of a ``manifest.json`` and return a descriptor for each of its names.

    The descriptors are annotated with the names, as an OCI index would have them; an image without a name gives
    one that is not annotated.

    :raises InvalidArgumentError: if the document is damaged, names files that are not there, or an image's
        layers are not those that its configuration lists
    """
    entries = parse_json(document, about=_ABOUT, max_size=MAX_DOCUMENT).as_list(most=_MAX_IMAGES)
    targets: list[Descriptor] = []
    for saved in map(_parse_saved, entries):
        target = await _write_manifest(content, archive, saved)
        names = [Reference.parse(tag) for tag in saved.tags]
        targets += [replace(target, annotations=name_annotations(name)) for name in names] or [target]
    return targets


def _parse_saved(entry: Fields) -> _SavedImage:
    return _SavedImage(
        config=entry.as_object().text("Config", required=True),
        layers=tuple(layer.as_text() for layer in entry.entries("Layers", most=MAX_LAYERS)),
        tags=entry.texts("RepoTags"),
    )


async def _write_manifest(content: Content, archive: Archive, saved: _SavedImage) -> Descriptor:
    about = f"{_ABOUT}: {saved.config!r}"
    stored = archive.find(saved.config, about=_ABOUT)
    named = _CONFIG_NAME.fullmatch(saved.config)
    if named and stored.digest != f"sha256:{named[1]}":
        raise InvalidArgumentError(f"{about} is damaged: its digest is {stored.digest}")
    if not 0 < stored.size <= MAX_DOCUMENT:
        raise InvalidArgumentError(
            f"{about} has {stored.size} bytes, which cannot be an image's configuration"
        )
    config = parse_config(await content.read_all(stored.digest, max_size=MAX_DOCUMENT), about=about)
    layers = [archive.find(layer, about=_ABOUT) for layer in saved.layers]
    _check_layers(layers, config.diff_ids, about=about)
    described = [Descriptor(_layer_type(layer), layer.digest, layer.size) for layer in layers]
    manifest = _manifest_json(Descriptor(DOCKER_CONFIG, stored.digest, stored.size), described)
    return replace(await write_document(content, manifest, DOCKER_MANIFEST), platform=config.platform)


def _check_layers(layers: Sequence[StoredFile], diff_ids: Sequence[str], *, about: str) -> None:
    """Hold the layers against the configuration. Compressed ones are checked when they are unpacked."""
    if len(layers) != len(diff_ids):
        raise InvalidArgumentError(f"{about} lists {len(diff_ids)} layers, but the archive has {len(layers)}")
    for place, (layer, diff_id) in enumerate(zip(layers, diff_ids, strict=True)):
        if _layer_type(layer) == DOCKER_LAYER and layer.digest != diff_id:
            raise InvalidArgumentError(
                f"{about}: layer {place} is damaged: its digest is {layer.digest} instead of {diff_id}"
            )


def _layer_type(layer: StoredFile) -> str:
    """Return the media type by the first bytes: docker writes plain tars, other builders what they like."""
    if layer.head.startswith(b"\x1f\x8b\x08"):
        return DOCKER_LAYER_GZIP
    if layer.head.startswith(b"\x28\xb5\x2f\xfd"):
        return OCI_LAYER_ZSTD
    return DOCKER_LAYER


def _manifest_json(config: Descriptor, layers: Iterable[Descriptor]) -> bytes:
    def plain(descriptor: Descriptor) -> dict[str, object]:
        return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}

    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": plain(config),
        "layers": [plain(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()
