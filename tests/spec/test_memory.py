"""Limits on memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, SpecOption, build
from containerd_aio.spec.memory import hugepage_limit, memory_limit, memory_reservation, memory_swap


def test_memory_is_limited_and_kept(context: SpecContext) -> None:
    built = build(context, [memory_limit(2**26), memory_reservation(2**25)])
    assert built["linux"]["resources"]["memory"] == {"limit": 2**26, "reservation": 2**25}


def test_swap_may_be_unlimited(context: SpecContext) -> None:
    assert build(context, [memory_swap(-1)])["linux"]["resources"]["memory"] == {"swap": -1}


@pytest.mark.parametrize(
    ("size", "name"), [(2**16, "64KB"), (2**20, "1MB"), (2**21, "2MB"), (2**30, "1GB"), (2**34, "16GB")]
)
def test_pages_are_named_as_the_kernel_names_them(context: SpecContext, size: int, name: str) -> None:
    limits = build(context, [hugepage_limit(size, 0)])["linux"]["resources"]["hugepageLimits"]
    assert limits == [{"pageSize": name, "limit": 0}]


@given(exponent=st.integers(16, 40))
def test_no_size_of_pages_is_changed_by_its_name(exponent: int) -> None:
    context = SpecContext("web", "example")
    [limit] = build(context, [hugepage_limit(2**exponent, 1)])["linux"]["resources"]["hugepageLimits"]
    units = {"KB": 2**10, "MB": 2**20, "GB": 2**30}
    name = limit["pageSize"]
    assert int(name[:-2]) * units[name[-2:]] == 2**exponent


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((memory_limit, value) for value in (0, -1, 1.5, "1g", None, True, 2**63)),
        *((memory_reservation, value) for value in (0, -1, 1.5, None)),
        *((memory_swap, value) for value in (0, -2, -1.0, "1g")),
    ],
)
def test_a_limit_that_the_kernel_would_refuse_or_misread_is_refused(
    option: Callable[[object], SpecOption], value: object
) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        option(value)
    name: str = option.__name__
    assert str(refusal.value).startswith(f"{name}: ")


@pytest.mark.parametrize(("size", "limit"), [(2**12, 0), (3 * 2**20, 0), (0, 0), ("2MB", 0), (2**21, -1)])
def test_pages_that_no_kernel_has_are_refused(size: int, limit: int) -> None:
    with pytest.raises(InvalidArgumentError, match="hugepage_limit: "):
        hugepage_limit(size, limit)
