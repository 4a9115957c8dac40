"""Who a container's users are on the host."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build, linux_namespace
from containerd_aio.spec.user_namespace import user_namespace


def test_users_and_groups_are_mapped(context: SpecContext) -> None:
    linux = build(context, [user_namespace([(0, 100_000, 1000), (1000, 0, 1)], [(0, 5, 10)])])["linux"]
    assert linux["namespaces"][-1] == {"type": "user"}
    assert linux["uidMappings"] == [
        {"containerID": 0, "hostID": 100_000, "size": 1000},
        {"containerID": 1000, "hostID": 0, "size": 1},
    ]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 5, "size": 10}]


def test_mapping_again_replaces_the_mapping(context: SpecContext) -> None:
    """Go's option appends to it, which the kernel then refuses."""
    options = [
        linux_namespace("user", path="/proc/1/ns/user"),
        user_namespace([(0, 1, 2)]),
        user_namespace([(0, 3, 4)]),
    ]
    linux = build(context, options)["linux"]
    assert [each for each in linux["namespaces"] if each["type"] == "user"] == [{"type": "user"}]
    expected = [{"containerID": 0, "hostID": 3, "size": 4}]
    assert (linux["uidMappings"], linux["gidMappings"]) == (expected, expected)


@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param([], id="none"),
        pytest.param([(0, 0)], id="two numbers"),
        pytest.param([0, 0, 1], id="numbers alone"),
        pytest.param("0:0:1", id="text"),
        pytest.param([(0, 0, 0)], id="empty"),
        pytest.param([(0, -1, 1)], id="negative"),
        pytest.param([(0, 2**32 - 1, 1)], id="the id that is none"),
        pytest.param([(0, 2**32 - 2, 2)], id="up to the id that is none"),
        pytest.param([(0, 100, 10), (9, 200, 10)], id="overlapping inside"),
        pytest.param([(0, 100, 10), (10, 109, 10)], id="overlapping on the host"),
        pytest.param([(each, each, 1) for each in range(341)], id="too many"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused(ranges: list[tuple[int, int, int]]) -> None:
    with pytest.raises(InvalidArgumentError, match="user_namespace: "):
        user_namespace(ranges)


def test_all_that_the_kernel_takes_is_taken() -> None:
    user_namespace([(0, 0, 2**32 - 1)])
    user_namespace([(each, each, 1) for each in range(340)])
    user_namespace([(10, 100, 10), (0, 110, 10)])
