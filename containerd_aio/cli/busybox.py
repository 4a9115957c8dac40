"""A container image made on the spot from a static busybox: no registry, no download.

The demo of the command line runs in it, and so do the tests. The result is an OCI image layout in a tar, which
``import_images`` takes; the same busybox gives the same bytes, so that a second import finds everything there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from containerd_aio._images.platforms import host_platform
from containerd_aio.errors import InvalidArgumentError

IMAGE_NAME: Final = "docker.io/library/busybox:latest"

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
games:x:5:60:games:/usr/games:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
www-data:x:33:
staff:x:50:app
games:x:60:
app:x:1000:
nobody:x:65534:
"""
_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "home/app": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var": 0o755,
    "var/www": 0o755,
}
_OWNERS = {"home/app": 1000, "var/www": 33}


def busybox_archive(
    busybox: str | os.PathLike[str] = "/bin/busybox",
    *,
    name: str = IMAGE_NAME,
    config: Mapping[str, object] | None = None,
) -> bytes:
    """Return an OCI image layout, a tar of about 1 MB, whose one image holds busybox and its applets.

    The image has the users root, daemon, games, www-data, app (1000, also in the group staff) and nobody, and
    runs ``sh``. ``config`` adds to or replaces the image's configuration: ``{"User": "app", "Cmd": ["top"]}``.
    Runs ``busybox --list`` to learn its applets; blocks for some 100 ms.

    :raises InvalidArgumentError: if there is no statically linked busybox at that path
    """
    layer = _rootfs(Path(busybox))
    return _layout([layer], name=name, config={"Cmd": ["sh"], **(config or {})})


def _rootfs(busybox: Path) -> bytes:
    """Return the image's one layer, as a tar that is not compressed."""
    try:
        binary = busybox.read_bytes()
    except OSError as error:
        raise InvalidArgumentError(
            f"cannot read {str(busybox)!r} ({error.strerror}): install busybox-static, or give its path"
        ) from error
    _check_static(binary, busybox)
    listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    applets = sorted(set(listed.stdout.split()) - {"busybox"})

    with io.BytesIO() as buffer, tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, mode in sorted(_DIRECTORIES.items()):
            _add(tar, path, kind=tarfile.DIRTYPE, mode=mode, owner=_OWNERS.get(path, 0))
        _add(tar, "bin/busybox", binary, mode=0o755)
        for applet in applets:
            _add(tar, f"bin/{applet}", kind=tarfile.SYMTYPE, link="busybox", mode=0o777)
        _add(tar, "etc/group", _GROUP.encode())
        _add(tar, "etc/passwd", _PASSWD.encode())
        tar.close()
        return buffer.getvalue()


def _layout(layers: Sequence[bytes], *, name: str, config: Mapping[str, object]) -> bytes:
    """Return an OCI image layout of one image, with these layers, as a tar."""
    platform = host_platform()
    blobs: dict[str, bytes] = {}

    def store(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    packed = [
        store(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
        for layer in layers
    ]
    variant = {"variant": platform.variant} if platform.variant else {}
    image = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": platform.architecture,
        "os": platform.os,
        **variant,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/",
            **config,
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": store(_json(image), "application/vnd.oci.image.config.v1+json"),
        "layers": packed,
    }
    tag = name.rpartition(":")[2]
    target = {
        **store(_json(manifest), "application/vnd.oci.image.manifest.v1+json"),
        "platform": {"architecture": platform.architecture, "os": platform.os, **variant},
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag},
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [target],
    }
    files = {**blobs, "index.json": _json(index), "oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    return _tar(files)


def _tar(files: Mapping[str, bytes]) -> bytes:
    with io.BytesIO() as buffer, tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in sorted(files.items()):
            _add(tar, path, data)
        tar.close()
        return buffer.getvalue()


def _add(
    tar: tarfile.TarFile,
    path: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    owner: int = 0,
    link: str = "",
) -> None:
    """Add a member of which nothing depends on when or by whom it was made."""
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
    member.uid = member.gid = owner
    tar.addfile(member, io.BytesIO(data))


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _check_static(binary: bytes, path: Path) -> None:
    """Refuse what could not run alone in an image: only a static ELF file has no PT_INTERP header (ELF, gABI)."""
    pt_interp = 3
    try:
        order = {1: "<", 2: ">"}[binary[5]]
        offset_at, size_at, offset_kind = {1: (28, 42, "I"), 2: (32, 54, "Q")}[binary[4]]
        if binary[:4] != b"\x7fELF":
            raise ValueError
        (offset,) = struct.unpack_from(order + offset_kind, binary, offset_at)
        size, count = struct.unpack_from(order + "HH", binary, size_at)
        kinds = [struct.unpack_from(order + "I", binary, offset + size * i)[0] for i in range(count)]
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise InvalidArgumentError(f"{str(path)!r} is not a Linux program") from error
    if pt_interp in kinds:
        raise InvalidArgumentError(
            f"{str(path)!r} is dynamically linked and would not run in an image without libraries: "
            "give a static busybox (Debian: busybox-static)"
        )
