"""Indexes, manifests and configurations of images, read strictly.

They come from archives and registries, so nothing in them is believed: sizes are bounded, every field that is
used has its type checked, and what could be read in two ways is refused. Fields not known here are ignored, as
the OCI image-spec asks. Each error names the document and the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from containerd_aio._images.fields import Fields, parse_json
from containerd_aio._images.media_types import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from containerd_aio._images.platforms import host_platform, rank
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor, ImageConfig, Platform

MAX_DOCUMENT: Final = 8 * 1024 * 1024
"""The most bytes that an index, a manifest or a configuration may have; registries stop at 4 MiB."""
MAX_DEPTH: Final = 4
"""The most documents from an image's target down to a manifest: three indexes and the manifest."""
MAX_MANIFESTS: Final = 1000
"""The most manifests that an index may list; the largest public images have some 40."""
MAX_LAYERS: Final = 1000
"""The most layers that a manifest may list; overlayfs mounts at most 500."""


@dataclass(frozen=True, slots=True)
class Index:
    """An image index (a docker manifest list): manifests, or other indexes, for several platforms."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image for one platform: its configuration and its layers, the base first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


def parse_index(data: bytes, *, media_type: str = "", about: str = "index") -> Index:
    """Return the index in these bytes; ``media_type`` is what its descriptor calls it, ``about`` names it.

    :raises InvalidArgumentError: if it is damaged, too large, or something else
    """
    document = parse_json(data, about=about, max_size=MAX_DOCUMENT).as_object()
    stated = _check_kind(document, INDEXES, forbidden=("config", "layers", "fsLayers"))
    return Index(
        media_type=media_type or stated or OCI_INDEX,
        manifests=tuple(map(parse_descriptor, document.entries("manifests", most=MAX_MANIFESTS))),
        annotations=document.text_map("annotations"),
    )


def parse_manifest(data: bytes, *, media_type: str = "", about: str = "manifest") -> Manifest:
    """Return the manifest in these bytes; ``media_type`` is what its descriptor calls it, ``about`` names it.

    :raises InvalidArgumentError: if it is damaged, too large, or something else
    """
    document = parse_json(data, about=about, max_size=MAX_DOCUMENT).as_object()
    stated = _check_kind(document, MANIFESTS, forbidden=("manifests", "fsLayers"))
    return Manifest(
        media_type=media_type or stated or OCI_MANIFEST,
        config=parse_descriptor(document.object_at("config")),
        layers=tuple(map(parse_descriptor, document.entries("layers", most=MAX_LAYERS))),
        annotations=document.text_map("annotations"),
    )


def parse_config(data: bytes, *, about: str = "image config") -> ImageConfig:
    """Return the image configuration in these bytes.

    Old builders left architecture and system out; then this machine's are meant, as containerd takes it.

    :raises InvalidArgumentError: if it is damaged or too large, or is no container image's
    """
    document = parse_json(data, about=about, max_size=MAX_DOCUMENT).as_object()
    rootfs = document.object_at("rootfs")
    if (kind := rootfs.text("type")) not in ("", "layers"):
        raise InvalidArgumentError(f"{about}: rootfs.type is {kind[:100]!r}, but only 'layers' is known")
    host = host_platform()
    process = document.object_at("config", optional=True)
    return ImageConfig(
        platform=Platform(
            os=document.text("os") or host.os,
            architecture=document.text("architecture") or host.architecture,
            variant=document.text("variant"),
            os_version=document.text("os.version"),
            os_features=document.texts("os.features"),
        ),
        diff_ids=tuple(entry.as_digest() for entry in rootfs.entries("diff_ids", most=MAX_LAYERS)),
        env=process.texts("Env"),
        entrypoint=process.texts("Entrypoint"),
        cmd=process.texts("Cmd"),
        working_dir=process.text("WorkingDir"),
        user=process.text("User"),
        stop_signal=process.text("StopSignal"),
        labels=process.text_map("Labels"),
    )


def parse_descriptor(entry: Fields) -> Descriptor:
    """Return the descriptor in a field of a document.

    :raises InvalidArgumentError: if it has no media type, no sha256 digest or no size
    """
    platform = entry.object_at("platform", optional=True)
    return Descriptor(
        media_type=entry.text("mediaType", required=True),
        digest=entry.at("digest").as_digest(),
        size=entry.size("size"),
        annotations=entry.text_map("annotations"),
        platform=Platform(
            os=platform.text("os"),
            architecture=platform.text("architecture"),
            variant=platform.text("variant"),
            os_version=platform.text("os.version"),
            os_features=platform.texts("os.features"),
        )
        if platform
        else None,
    )


def candidates(index: Index, wanted: Platform) -> list[Descriptor]:
    """Return those of an index's entries that may suit a platform, best first; those that name none come last."""
    ranked: list[tuple[int, Descriptor]] = []
    for entry in index.manifests:
        if entry.platform is None:
            ranked.append((1000, entry))
        elif (rating := rank(entry.platform, wanted)) is not None:
            ranked.append((rating, entry))
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def _check_kind(document: Fields, accepted: frozenset[str], *, forbidden: tuple[str, ...]) -> str:
    """Return the media type that the document states, refusing one that can be read as two kinds of document.

    What one program takes for an index and the next for a manifest passes the checks of one and runs by the
    other (CVE-2021-41190).
    """
    stated = document.text("mediaType")
    if stated and stated not in accepted:
        raise InvalidArgumentError(
            f"{document.about} says that it is {stated[:200]!r}, another kind of document"
        )
    for name in forbidden:
        if document.at(name):
            raise document.at(name).wrong("absent from this kind of document")
    if (version := document.at("schemaVersion")).value not in (None, 2):
        raise version.wrong("2")
    return stated
