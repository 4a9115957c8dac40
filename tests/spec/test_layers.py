"""What mounts are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.spec.layers import Layers, NotReadable, layers_of
from containerd_aio.types import Mount

PATHS = st.text(st.characters(exclude_characters="\0"), min_size=1).map(lambda text: "/" + text)


def _overlay(*options: str) -> Mount:
    return Mount("overlay", "overlay", options=options)


@pytest.mark.parametrize(
    ("mount", "layers"),
    [
        pytest.param(Mount("bind", "/a", options=("rbind", "rw")), Layers(("/a",)), id="bind"),
        pytest.param(Mount("rbind", "/a", "/"), Layers(("/a",)), id="rbind at the root"),
        pytest.param(
            _overlay("index=off", "workdir=/w", "upperdir=/u", "lowerdir=/2:/1"),
            Layers(("/u", "/2", "/1"), "trusted.overlay."),
            id="overlay to write",
        ),
        pytest.param(
            _overlay("lowerdir=/2:/1"), Layers(("/2", "/1"), "trusted.overlay."), id="overlay to view"
        ),
        pytest.param(
            _overlay("lowerdir=/1", "upperdir=/u", "userxattr"),
            Layers(("/u", "/1"), "user.overlay."),
            id="rootless overlay",
        ),
        pytest.param(
            _overlay(r"lowerdir=/a\:b:/c\\d:/e"),
            Layers(("/a:b", "/c\\d", "/e"), "trusted.overlay."),
            id="colons and backslashes in paths",
        ),
    ],
)
def test_directories_are_read_from_mounts(mount: Mount, layers: Layers) -> None:
    assert layers_of([mount]) == layers


@given(paths=st.lists(PATHS, min_size=1))
def test_paths_that_are_escaped_are_found_again(paths: list[str]) -> None:
    escaped = [path.replace("\\", "\\\\").replace(":", "\\:") for path in paths]
    assert layers_of([_overlay("lowerdir=" + ":".join(escaped))]).directories == tuple(paths)


@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        pytest.param([], "0 mounts", id="no mount"),
        pytest.param([Mount("bind", "/a"), Mount("bind", "/b")], "2 mounts", id="two mounts"),
        pytest.param([Mount("bind", "/a", "/usr")], "mounts", id="elsewhere than the root"),
        pytest.param([Mount("ext4", "/dev/dm-1")], "type 'ext4'", id="block device"),
        pytest.param([Mount("format/overlay", "overlay")], "type 'format/overlay'", id="to be prepared"),
        pytest.param([Mount("", "/a", options=("bind",))], "type ''", id="no type"),
        pytest.param([Mount("bind", "a")], "'a' is not an absolute path", id="relative"),
        pytest.param([Mount("bind", "/a\0")], "is not an absolute path", id="NUL"),
        pytest.param([_overlay("upperdir=/u")], "lowerdir=", id="no lower layers"),
        pytest.param([_overlay("lowerdir+=/a")], "lowerdir=", id="lower layers one by one"),
        pytest.param([_overlay("lowerdir=/a", "datadir+=/b")], "lowerdir=", id="layers of data only"),
        pytest.param([_overlay("lowerdir=/a::/b")], "'' is not an absolute path", id="data after colons"),
        pytest.param([_overlay("lowerdir=")], "'' is not an absolute path", id="empty"),
        pytest.param([_overlay("lowerdir=/a:b")], "'b' is not an absolute path", id="relative lower"),
        pytest.param([_overlay("lowerdir=/a", "upperdir=b")], "'b' is not", id="relative upper"),
    ],
)
def test_mounts_of_another_kind_are_not_read(mounts: list[Mount], why: str) -> None:
    with pytest.raises(NotReadable, match=why):
        layers_of(mounts)


@given(st.lists(st.text()))
def test_any_options_are_read_or_refused(options: list[str]) -> None:
    try:
        layers = layers_of([_overlay(*options)])
    except NotReadable:
        return
    assert all(path.startswith("/") for path in layers.directories)
