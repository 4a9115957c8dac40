"""Archives made for the tests: OCI layouts and ``docker save``, whole and spoilt."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from containerd_aio._images.platforms import host_platform

OCI = "application/vnd.oci.image."
Json = dict[str, Any]


def tar(members: Mapping[str, bytes] | Iterable[tarfile.TarInfo | tuple[str, bytes]]) -> bytes:
    """A tar of files, or of members as given."""
    if isinstance(members, Mapping):
        members = members.items()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def link(name: str, target: str, *, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def layer(name: str = "etc/motd", data: bytes = b"hello\n") -> bytes:
    """A layer, not compressed, with one file."""
    return tar({name: data})


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def config_of(layers: Sequence[bytes], **process: object) -> Json:
    platform = host_platform()
    return {
        "architecture": platform.architecture,
        "os": platform.os,
        "variant": platform.variant,
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
    }


class OciArchive:
    """An OCI image layout under construction: ``blobs`` and ``index`` can be changed before it is made."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.index: list[Json] = []
        self.layout: Json = {"imageLayoutVersion": "1.0.0"}

    def add(self, data: bytes, media_type: str) -> Json:
        self.blobs[digest(data)] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def add_manifest(
        self, layers: Sequence[bytes] = (layer(),), *, compress: bool = True, config: Json | None = None
    ) -> Json:
        """Add an image's blobs and return the descriptor of its manifest."""
        described = [
            self.add(gzip.compress(data, mtime=0), OCI + "layer.v1.tar+gzip")
            if compress
            else self.add(data, OCI + "layer.v1.tar")
            for data in layers
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": self.add(encode(config or config_of(layers)), OCI + "config.v1+json"),
            "layers": described,
        }
        return self.add(encode(manifest), OCI + "manifest.v1+json")

    def add_index(self, manifests: Sequence[Json]) -> Json:
        document = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": list(manifests)}
        return self.add(encode(document), OCI + "index.v1+json")

    def name(self, target: Json, name: str) -> None:
        self.index.append({**target, "annotations": {"io.containerd.image.name": name}})

    def files(self) -> dict[str, bytes]:
        index = {"schemaVersion": 2, "manifests": self.index}
        return {
            "oci-layout": encode(self.layout),
            **{f"blobs/{name.replace(':', '/')}": data for name, data in self.blobs.items()},
            "index.json": encode(index),
        }

    def build(self) -> bytes:
        return tar(self.files())


def oci_archive(
    layers: Sequence[bytes] = (layer(),),
    *,
    name: str = "docker.io/library/made:latest",
    compress: bool = True,
) -> bytes:
    """An OCI image layout of one image with that name."""
    archive = OciArchive()
    archive.name(archive.add_manifest(layers, compress=compress), name)
    return archive.build()


def docker_files(
    layers: Sequence[bytes] = (layer(),), *, tags: Sequence[str] = ("made:latest",)
) -> dict[str, bytes]:
    """The files of a ``docker save`` archive of one image."""
    config = encode(config_of(layers))
    config_name = f"{digest(config).removeprefix('sha256:')}.json"
    names = [f"{hashlib.sha256(b'id' + data).hexdigest()}/layer.tar" for data in layers]
    saved = [{"Config": config_name, "RepoTags": list(tags) or None, "Layers": names}]
    return {
        **dict(zip(names, layers, strict=True)),
        **{f"{name.partition('/')[0]}/VERSION": b"1.0" for name in names},
        config_name: config,
        "manifest.json": encode(saved),
        "repositories": b"{}",
    }


def docker_archive(layers: Sequence[bytes] = (layer(),), *, tags: Sequence[str] = ("made:latest",)) -> bytes:
    """A ``docker save`` archive of one image."""
    return tar(docker_files(layers, tags=tags))
