"""The image that every namespace has from its first use: an index, a manifest, a configuration, an empty layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from functools import cache

from containerd_aio._api.containerd.services.images.v1 import Image
from containerd_aio._api.containerd.types import Descriptor
from containerd_aio._images.platforms import host_platform
from containerd_aio.testing._content import stored_blob
from containerd_aio.testing._messages import now
from containerd_aio.testing._world import Realm

FAKE_IMAGE = "docker.io/library/fake:latest"
"""The name of the image; it runs ``fake`` unless told otherwise."""

_OCI = "application/vnd.oci.image."
_REF = "containerd.io/gc.ref.content"


@dataclass(slots=True)
class _Layout:
    """Blobs with their labels; ``add`` returns a blob's descriptor as JSON has it."""

    blobs: dict[str, tuple[bytes, dict[str, str]]] = field(
        default_factory=dict[str, tuple[bytes, dict[str, str]]]
    )

    def add(self, data: bytes, kind: str, **labels: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = (data, {f"{_REF}.{key}": value for key, value in labels.items()})
        return {"mediaType": _OCI + kind, "digest": digest, "size": len(data)}


def add_image(realm: Realm, name: str) -> None:
    """Put the image into a realm."""
    blobs, (media_type, digest, size) = _contents()
    for blob_digest, (data, labels) in blobs.items():
        realm.blobs[blob_digest] = stored_blob(blob_digest, data, dict(labels))
    realm.exists = True
    target = Descriptor(media_type=media_type, digest=digest, size=size)
    realm.images[name] = Image(name=name, target=target, created_at=now(), updated_at=now())


@cache
def _contents() -> tuple[dict[str, tuple[bytes, dict[str, str]]], tuple[str, str, int]]:
    layout, platform = _Layout(), host_platform()
    where: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        where["variant"] = platform.variant
    tar = _empty_tar()
    layer = layout.add(gzip.compress(tar, mtime=0), "layer.v1.tar+gzip")
    process = {"Env": ["PATH=/bin"], "Cmd": ["fake"], "WorkingDir": "/"}
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]}
    config = layout.add(
        _json({**where, "created": "1970-01-01T00:00:00Z", "config": process, "rootfs": rootfs}),
        "config.v1+json",
    )
    manifest = layout.add(
        _json(
            {"schemaVersion": 2, "mediaType": _OCI + "manifest.v1+json", "config": config, "layers": [layer]}
        ),
        "manifest.v1+json",
        **{"config": str(config["digest"]), "l.0": str(layer["digest"])},
    )
    index = layout.add(
        _json(
            {
                "schemaVersion": 2,
                "mediaType": _OCI + "index.v1+json",
                "manifests": [{**manifest, "platform": where}],
            }
        ),
        "index.v1+json",
        **{"m.0": str(manifest["digest"])},
    )
    digest = str(index["digest"])
    return layout.blobs, (_OCI + "index.v1+json", digest, len(layout.blobs[digest][0]))


def _empty_tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT):
        pass
    return buffer.getvalue()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
