"""How fast a container may use which disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build
from containerd_aio.spec.blkio import block_io


def test_disks_are_named_by_their_numbers(context: SpecContext) -> None:
    option = block_io(
        weight=500,
        weights={"8:0": 10},
        read_bps={"8:0": 1},
        write_bps={"8:16": 2},
        read_iops={"8:0": 3},
        write_iops={"8:0": 4, "8:16": 5},
    )
    assert build(context, [option])["linux"]["resources"]["blockIO"] == {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 16, "rate": 2}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
        "throttleWriteIOPSDevice": [
            {"major": 8, "minor": 0, "rate": 4},
            {"major": 8, "minor": 16, "rate": 5},
        ],
    }


def test_what_is_no_disk_of_this_host_is_refused(tmp_path: Path) -> None:
    for path, why in (
        ("/dev/null", "is not a block device"),
        (os.fspath(tmp_path / "sda"), "No such file"),
        ("sda", "is not an absolute path"),
        ("8:0:1", "is not an absolute path"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"block_io: '{path}' .*{why}|block_io: .*{why}"):
            block_io(read_bps={path: 1})


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"weight": 9},
        {"weight": 1001},
        {"weights": {"8:0": 0}},
        {"read_bps": {"8:0": 0}},
        {"write_iops": {"8:0": 1.5}},
        {"write_bps": "8:0"},
    ],
)
def test_impossible_limits_are_refused(values: Mapping[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match="block_io: "):
        block_io(**values)  # type: ignore[arg-type]
