"""Memory: how much of it the container's cgroup allows.

Each limit is checked here against what the kernel takes, since a runtime that is refused by the kernel fails only
when the task is created, and some values mean something else than they say (a limit of 0 is none at all).
"""

from __future__ import annotations

from typing import Final

from containerd_aio.spec.arguments import check_integer, invalid
from containerd_aio.spec.cgroup import limited
from containerd_aio.spec.option import SpecOption
from containerd_aio.spec.schema import LinuxMemory

_UNITS: Final = (("GB", 2**30), ("MB", 2**20), ("KB", 2**10))


def memory_limit(limit: int) -> SpecOption:
    """Allow at most ``limit`` bytes of memory.

    :raises InvalidArgumentError: if it is not a positive integer
    """
    return limited({"memory": {"limit": check_integer("memory_limit", limit, minimum=1)}})


def memory_swap(limit: int) -> SpecOption:
    """Allow at most ``limit`` bytes of memory and swap together; -1 allows any amount of swap.

    :raises InvalidArgumentError: if it is neither a positive integer nor -1
    """
    return limited({"memory": {"swap": _swap("memory_swap", limit)}})


def memory_reservation(amount: int) -> SpecOption:
    """Take memory from this container last while it uses less than ``amount`` bytes; not a limit.

    :raises InvalidArgumentError: if it is not a positive integer
    """
    return limited({"memory": {"reservation": check_integer("memory_reservation", amount, minimum=1)}})


def hugepage_limit(page_size: int, limit: int) -> SpecOption:
    """Allow at most ``limit`` bytes of huge pages of ``page_size`` bytes (2 MiB: ``2**21``); once for each size.

    :raises InvalidArgumentError: if the size is no power of two from 64 KiB on, or the limit negative
    """
    size = check_integer("hugepage_limit", page_size, minimum=2**16, maximum=2**40)
    if size.bit_count() != 1:
        raise invalid("hugepage_limit", page_size, "is not a power of two, as sizes of pages are")
    amount = check_integer("hugepage_limit", limit, minimum=0)
    # The kernel's names of its files: hugetlb.2MB.limit_in_bytes.
    unit, scale = next(each for each in _UNITS if size >= each[1])
    return limited({"hugepageLimits": [{"pageSize": f"{size // scale}{unit}", "limit": amount}]})


def memory_limits(limit: int | None, swap: int | None, reservation: int | None) -> LinuxMemory:
    """Return those that are not ``None``, for `resources`.

    :raises InvalidArgumentError: as the options do, and for a ``swap`` less than ``limit``
    """
    result: LinuxMemory = {}
    if limit is not None:
        result["limit"] = check_integer("memory", limit, minimum=1)
    if swap is not None:
        result["swap"] = _swap("memory_swap", swap)
        if swap != -1 and limit is not None and swap < limit:
            raise invalid("memory_swap", swap, f"is memory and swap together, and less than memory, {limit}")
    if reservation is not None:
        result["reservation"] = check_integer("memory_reservation", reservation, minimum=1)
    return result


def _swap(option: str, limit: int) -> int:
    value = check_integer(option, limit, minimum=-1)
    if value == 0:
        raise invalid(option, limit, "is no limit that can be kept; -1 allows any amount of swap")
    return value
