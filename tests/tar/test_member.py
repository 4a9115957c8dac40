"""Where the name of a member leads."""

from __future__ import annotations

import pytest

from containerd_aio._tar.member import inside_path
from containerd_aio.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("path", "start", "clean"),
    [("a/b", "", "a/b"), ("../b", "a", "b"), ("./x//y/", "a/b", "a/b/x/y"), ("b/..", "", "")],
)
def test_paths_come_out_clean(path: str, start: str, clean: str) -> None:
    assert inside_path(path, about="it", start=start) == clean


@pytest.mark.parametrize("path", ["/a", "..", "a/../..", "../../x", "a\0b"])
def test_paths_that_lead_outside_are_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="it leads outside of the archive"):
        inside_path(path, about="it")
