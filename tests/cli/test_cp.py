"""What is typed behind ``cp``."""

from __future__ import annotations

import pytest

from containerd_aio.cli.cp import Place, copy_files
from containerd_aio.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web:/etc/passwd", Place("web", "/etc/passwd")),
        ("web:etc", Place("web", "etc")),
        ("web:/a:b", Place("web", "/a:b")),
        ("passwd", Place(None, "passwd")),
        ("./a:b", Place(None, "./a:b")),
        ("/srv/a:b", Place(None, "/srv/a:b")),
        ("-", Place(None, "-")),
    ],
)
def test_what_has_a_colon_is_in_a_container_unless_it_begins_like_a_path(text: str, expected: Place) -> None:
    assert Place.parse(text) == expected


@pytest.mark.parametrize(("source", "target"), [("a", "b"), ("web:/a", "db:/b"), ("-", "-")])
async def test_exactly_one_side_is_in_a_container(source: str, target: str) -> None:
    with pytest.raises(InvalidArgumentError, match="one of the two is in a container"):
        await copy_files(source, target, address="/nowhere", namespace=None)
