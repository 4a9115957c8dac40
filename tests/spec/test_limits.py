"""What can be changed of a running container."""

from __future__ import annotations

import inspect

import pytest

from containerd_aio import spec
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.limits import resources

# What runc sets only when it makes a container, and what `cpus` says better for a running one.
NOT_LATER = {"hugepage_limit", "block_io", "rdt", "cpu_quota"}
SHORTER = {"memory_limit": "memory", "pids_limit": "pids"}


def test_resources_hold_what_was_asked_for_and_nothing_else() -> None:
    """Whatever is in them is changed by task.update()."""
    assert resources() == {}
    assert resources(pids=5) == {"pids": {"limit": 5}}
    assert resources(memory=2**20) == {"memory": {"limit": 2**20}}


def test_resources_may_hold_everything() -> None:
    made = resources(
        memory=2**20,
        memory_swap=-1,
        memory_reservation=2**19,
        cpus=0.5,
        cpu_shares=2,
        cpu_burst=7,
        cpu_realtime=8,
        cpuset_cpus="0",
        cpuset_mems="0",
        pids=1,
        block_io_weight=10,
        unified={"memory.high": 2**20},
    )
    assert made == {
        "memory": {"limit": 2**20, "swap": -1, "reservation": 2**19},
        "cpu": {
            "quota": 50_000,
            "period": 100_000,
            "shares": 2,
            "burst": 7,
            "realtimeRuntime": 8,
            "realtimePeriod": 1_000_000,
            "cpus": "0",
            "mems": "0",
        },
        "pids": {"limit": 1},
        "blockIO": {"weight": 10},
        "unified": {"memory.high": "1048576"},
    }


def test_every_option_for_a_limit_has_its_place_in_resources() -> None:
    modules = {f"containerd_aio.spec.{name}" for name in ("memory", "cpu", "blkio")}
    options = {name for name in spec.__all__ if inspect.getmodule(getattr(spec, name)).__name__ in modules}  # type: ignore[union-attr]
    options |= {"pids_limit", "unified"}
    names = set(inspect.signature(resources).parameters)
    assert {SHORTER.get(name, name) for name in options - NOT_LATER} == names - {"block_io_weight"}


def test_resources_with_less_swap_than_memory_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="memory_swap: 1 is memory and swap together"):
        resources(memory=2, memory_swap=1)


@pytest.mark.parametrize(
    "values",
    [
        {"memory": 0},
        {"memory_swap": 0},
        {"memory_reservation": 0},
        {"cpus": 0},
        {"cpu_shares": 1},
        {"cpu_burst": -1},
        {"cpu_realtime": -1},
        {"cpuset_cpus": "x"},
        {"cpuset_mems": "x"},
        {"pids": 0},
        {"block_io_weight": 1},
        {"unified": {"x": 1}},
    ],
)
def test_resources_are_checked_as_the_options_are(values: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{next(iter(values))}: "):
        resources(**values)  # type: ignore[arg-type]
