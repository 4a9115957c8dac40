"""What can be asked of a checkpoint, and what is told of CRIU."""

from __future__ import annotations

import pytest

from containerd_aio import CheckpointOptions, CheckpointSupport, InvalidArgumentError


def test_modes_that_are_none_are_refused() -> None:
    for mode in ("soft", "full", "strict", "ignore"):
        assert CheckpointOptions(cgroups_mode=mode).cgroups_mode == mode
    with pytest.raises(InvalidArgumentError, match="soft, full, strict, ignore"):
        CheckpointOptions(cgroups_mode="hard")


def test_one_namespace_is_still_a_tuple() -> None:
    with pytest.raises(InvalidArgumentError, match=r"\('network',\)"):
        CheckpointOptions(empty_namespaces="network")  # type: ignore[arg-type]


@pytest.mark.parametrize(("supported", "is_true"), [(True, True), (False, False), (None, False)])
def test_support_is_true_only_where_it_is_certain(supported: bool | None, is_true: bool) -> None:
    support = CheckpointSupport(supported, "in words")
    assert bool(support) is is_true
    assert str(support) == "in words"
