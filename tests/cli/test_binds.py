"""Mounts as they are typed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from containerd_aio.cli.binds import mount, volume
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, SpecOption


def mounted(option: SpecOption) -> tuple[str, str, str, list[str]]:
    [entry] = option({}, SpecContext("web", "default"))["mounts"]
    return entry["type"], entry["source"], entry["destination"], entry["options"]


@pytest.mark.parametrize(
    ("make", "text", "options"),
    [
        pytest.param(volume, "{path}:/data", ["rbind", "rw"], id="a volume"),
        pytest.param(volume, "{path}:/data:rw", ["rbind", "rw"], id="a writable one"),
        pytest.param(volume, "{path}:/data:ro", ["rbind", "ro"], id="a read-only one"),
        pytest.param(mount, "type=bind,source={path},target=/data", ["rbind", "rw"], id="a mount"),
        pytest.param(mount, "src={path},dst=/data,readonly", ["rbind", "ro"], id="in short"),
        pytest.param(mount, "src={path},destination=/data,ro=true", ["rbind", "ro"], id="read-only"),
        pytest.param(mount, "src={path},dst=/data,readonly=false", ["rbind", "rw"], id="not read-only"),
    ],
)
def test_a_path_of_the_host_is_bound(
    tmp_path: Path, make: Callable[[str], SpecOption], text: str, options: list[str]
) -> None:
    shown = mounted(make(text.format(path=tmp_path)))
    assert shown == ("bind", str(tmp_path), "/data", options)


def test_a_relative_path_is_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("www")
    assert mounted(volume("./www:/data"))[1] == str(tmp_path / "www")


def test_memory_is_mounted() -> None:
    assert mounted(mount("type=tmpfs,target=/scratch"))[:3] == ("tmpfs", "tmpfs", "/scratch")


@pytest.mark.parametrize(
    ("make", "text", "complaint"),
    [
        pytest.param(volume, "/tmp", "give SOURCE:TARGET", id="no target"),
        pytest.param(volume, "/tmp:", "give SOURCE:TARGET", id="an empty target"),
        pytest.param(volume, ":/tmp", "give SOURCE:TARGET", id="no source"),
        pytest.param(volume, "/tmp:/x:rx", "give SOURCE:TARGET", id="an unknown mode"),
        pytest.param(volume, "/tmp:/x:ro:z", "give SOURCE:TARGET", id="too much"),
        pytest.param(volume, "data:/x", "there are no named volumes", id="a name"),
        pytest.param(volume, "/no/such:/x", "make it first", id="a missing source"),
        pytest.param(volume, "/tmp:x", "not an absolute path", id="a relative target"),
        pytest.param(mount, "type=volume,target=/x", "neither bind nor tmpfs", id="an unknown type"),
        pytest.param(mount, "src=/tmp", "target is missing", id="nothing to mount on"),
        pytest.param(mount, "type=tmpfs,src=/tmp,dst=/x", "source is not known", id="a source of memory"),
        pytest.param(mount, "src=/tmp,dst=/x,bind-propagation=shared", "is not known", id="unknown fields"),
        pytest.param(mount, "src=/tmp,dst=/x,readonly=maybe", "true or false", id="no truth"),
    ],
)
def test_what_is_no_mount_is_refused(make: Callable[[str], SpecOption], text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        make(text)
