"""Block I/O: how fast the container may read and write which disk."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from containerd_aio.spec.arguments import check_integer, check_mapping, check_text, invalid
from containerd_aio.spec.cgroup import limited
from containerd_aio.spec.host import device_at
from containerd_aio.spec.option import SpecOption
from containerd_aio.spec.schema import LinuxBlockIO, LinuxThrottleDevice, LinuxWeightDevice

_OPTION: Final = "block_io"
_NUMBERS: Final = re.compile(r"([0-9]{1,7}):([0-9]{1,7})")

_Rates = Mapping[str, int] | None


def block_io(
    *,
    weight: int | None = None,
    weights: _Rates = None,
    read_bps: _Rates = None,
    write_bps: _Rates = None,
    read_iops: _Rates = None,
    write_iops: _Rates = None,
) -> SpecOption:
    """Weigh and limit what the container does to disks: ``block_io(write_bps={"/dev/sda": 2**20})``.

    A disk is a path of this host, or ``"8:0"``, its numbers, where containerd runs on another. ``weight`` is for
    all disks, ``weights`` for some, from 10 to 1000; ``…_bps`` are bytes a second, ``…_iops`` operations a second.
    Disks that an earlier option named keep their limits.

    :raises InvalidArgumentError: for what is no block device here, a number out of range, or nothing at all
    """
    made: LinuxBlockIO = {}
    if weight is not None:
        made["weight"] = check_weight(_OPTION, weight)
    if weights:
        made["weightDevice"] = _weights(weights)
    if read_bps:
        made["throttleReadBpsDevice"] = _throttled(read_bps)
    if write_bps:
        made["throttleWriteBpsDevice"] = _throttled(write_bps)
    if read_iops:
        made["throttleReadIOPSDevice"] = _throttled(read_iops)
    if write_iops:
        made["throttleWriteIOPSDevice"] = _throttled(write_iops)
    if not made:
        raise invalid(_OPTION, None, "limits nothing: give weight=, read_bps=, …")
    return limited({"blockIO": made})


def check_weight(option: str, weight: object) -> int:
    """Return ``weight``, if the kernel takes it.

    :raises InvalidArgumentError: if it is not between 10 and 1000
    """
    return check_integer(option, weight, minimum=10, maximum=1000)


def _weights(weights: Mapping[str, int]) -> list[LinuxWeightDevice]:
    made: list[LinuxWeightDevice] = []
    for disk, weight in check_mapping(_OPTION, weights).items():
        major, minor = _numbers(disk)
        made.append({"major": major, "minor": minor, "weight": check_weight(_OPTION, weight)})
    return made


def _throttled(rates: Mapping[str, int]) -> list[LinuxThrottleDevice]:
    made: list[LinuxThrottleDevice] = []
    for disk, rate in check_mapping(_OPTION, rates).items():
        major, minor = _numbers(disk)
        made.append({"major": major, "minor": minor, "rate": check_integer(_OPTION, rate, minimum=1)})
    return made


def _numbers(value: object) -> tuple[int, int]:
    text = check_text(_OPTION, value)
    if numbers := _NUMBERS.fullmatch(text):
        return int(numbers[1]), int(numbers[2])
    disk = device_at(_OPTION, text, follow_links=True)
    if disk.kind != "b":
        raise invalid(_OPTION, text, "is not a block device")
    return disk.major, disk.minor
