"""The image made from busybox: what is in it, and that it is the same every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from containerd_aio._images.platforms import host_platform
from containerd_aio.cli.busybox import IMAGE_NAME, busybox_archive
from containerd_aio.errors import InvalidArgumentError

BUSYBOX = Path("/bin/busybox")
# In CI a skipped test would pass unseen: there it runs, and fails.
pytestmark = pytest.mark.skipif(
    not BUSYBOX.exists() and "CI" not in os.environ, reason="needs busybox-static"
)


def contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name)) is not None}


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = files["blobs/" + descriptor["digest"].replace(":", "/")]
    assert hashlib.sha256(data).hexdigest() == descriptor["digest"].removeprefix("sha256:")
    assert len(data) == descriptor["size"]
    return data


def test_the_same_busybox_gives_the_same_bytes() -> None:
    assert busybox_archive() == busybox_archive()


def test_every_descriptor_leads_to_its_blob_and_the_layer_has_the_configs_diff_id() -> None:
    files = contents(busybox_archive())
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (target,) = json.loads(files["index.json"])["manifests"]
    assert target["annotations"]["io.containerd.image.name"] == IMAGE_NAME
    assert target["annotations"]["org.opencontainers.image.ref.name"] == "latest"
    manifest = json.loads(blob(files, target))
    config = json.loads(blob(files, manifest["config"]))
    assert config["architecture"] == host_platform().architecture
    (layer,) = manifest["layers"]
    layer_tar = gzip.decompress(blob(files, layer))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer_tar).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer_tar)) as rootfs:
        assert rootfs.getmember("bin/sh").linkname == "busybox"
        assert rootfs.getmember("tmp").mode == 0o1777
        passwd = rootfs.extractfile("etc/passwd")
        assert passwd is not None
        assert b"app:x:1000:1000:" in passwd.read()


def test_a_name_and_a_configuration_of_ones_own_go_into_the_image() -> None:
    files = contents(busybox_archive(name="example.org/tools:1", config={"User": "app"}))
    (target,) = json.loads(files["index.json"])["manifests"]
    assert target["annotations"]["io.containerd.image.name"] == "example.org/tools:1"
    config = json.loads(blob(files, json.loads(blob(files, target))["config"]))
    assert config["config"]["User"] == "app"
    assert config["config"]["Cmd"] == ["sh"]


def test_a_missing_busybox_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="install busybox-static"):
        busybox_archive(tmp_path / "nowhere")


def test_a_dynamically_linked_program_is_refused() -> None:
    program = shutil.which("ls") or sys.executable
    with pytest.raises(InvalidArgumentError, match="dynamically linked"):
        busybox_archive(program)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"#!/bin/sh\n", id="script"),
        pytest.param(b"\x7fELF\x02\x01" + b"\xff" * 100, id="broken header"),
    ],
)
def test_what_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "busybox").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="is not a Linux program"):
        busybox_archive(tmp_path / "busybox")
