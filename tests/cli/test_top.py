"""What two samples of a task show."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from containerd_aio.cli.top import Usage, drawn, show_usage, usages
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import (
    AnyValue,
    CpuMetrics,
    IoMetrics,
    MemoryMetrics,
    Metrics,
    PidsMetrics,
)

SECOND = 1_000_000_000


def sample(id: str, at: int | None, used: int, *, limit: int | None = None) -> Metrics:
    return Metrics(
        id=id,
        timestamp_ns=at,
        cgroup_version=2,
        cpu=CpuMetrics(usage_ns=used),
        memory=MemoryMetrics(usage=3 * 2**20, working_set=2**20, limit=limit),
        pids=PidsMetrics(current=3),
        io=IoMetrics(),
        data=AnyValue("", b""),
    )


def test_a_hundred_percent_is_one_cpu() -> None:
    usage = Usage.between(sample("web", 0, 5), sample("web", 2 * SECOND, 3 * SECOND + 5, limit=2**30))
    assert usage.shown() == ["web", "150.0", "1.0 MiB", "1.0 GiB", "3"]
    assert json.loads(usage.as_json()) == {
        "id": "web",
        "cpu_percent": 150.0,
        "memory": 2**20,
        "memory_limit": 2**30,
        "pids": 3,
    }


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(None, id="the first sample"),
        pytest.param(sample("web", None, 0), id="no time"),
        pytest.param(sample("web", 9, 0), id="the same time"),
        pytest.param(sample("web", 10, 0), id="a clock set back"),
        pytest.param(sample("web", 1, 100), id="another task of that id"),
    ],
)
def test_what_two_samples_do_not_tell_is_a_dash(before: Metrics | None) -> None:
    usage = Usage.between(before, sample("web", 9, 50))
    assert usage.cpu_percent is None
    assert usage.shown() == ["web", "-", "1.0 MiB", "-", "3"]


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 10**12)))
def test_every_task_is_shown_once_and_the_busiest_first(used: dict[str, int]) -> None:
    before = {id: sample(id, 0, 0) for id in used}
    found = usages(before, [sample(id, SECOND, each) for id, each in used.items()])
    assert sorted(usage.id for usage in found) == sorted(used)
    shares = [usage.cpu_percent or 0.0 for usage in found]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("interval", [0.0, -1.0, math.nan])
async def test_an_interval_is_above_zero(interval: float) -> None:
    with pytest.raises(InvalidArgumentError, match="--interval takes a number of seconds above 0"):
        await show_usage(address=None, namespace=None, once=True, interval=interval, as_json=False)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        pytest.param(80, "a-web-server  150.0  1.0 MiB      -     3", id="enough"),
        pytest.param(38, "a-web-se…  150.0  1.0 MiB      -     3", id="not for the name"),
    ],
)
def test_a_narrow_terminal_cuts_names_off_before_numbers(width: int, shown: str) -> None:
    usage = Usage.between(sample("a-web-server", 0, 5), sample("a-web-server", 2 * SECOND, 3 * SECOND + 5))
    text = io.StringIO()
    Console(file=text, width=width).print(drawn([usage]))
    assert text.getvalue().splitlines()[1].rstrip() == shown
