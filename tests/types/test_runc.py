"""What the runc shim can be told: checked before it travels."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import RuncOptions, TaskEndpoint


def test_only_what_is_said_is_given() -> None:
    assert RuncOptions().given() == {}
    options = RuncOptions(binary_name="crun", no_pivot_root=False, io_uid=0)
    assert options.given() == {"binary_name": "crun", "no_pivot_root": False, "io_uid": 0}


@pytest.mark.parametrize("number", [-1, 2**32])
def test_an_id_that_no_user_has_is_refused(number: int) -> None:
    for name in ("io_uid", "io_gid"):
        with pytest.raises(InvalidArgumentError, match=f"{name} is a number .*not {number}"):
            RuncOptions(**{name: number})  # type: ignore[arg-type]
    assert RuncOptions(io_uid=2**32 - 1).io_uid == 2**32 - 1


@pytest.mark.parametrize(
    ("address", "version"),
    [("", 3), ("unix:///s", 3), ("ttrpc+", 3), ("+unix:///s", 3), ("ttrpc+unix:///s", 0)],
)
def test_an_endpoint_that_is_none_is_refused(address: str, version: int) -> None:
    with pytest.raises(InvalidArgumentError):
        TaskEndpoint(address, version)
