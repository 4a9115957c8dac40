"""Ids of a container and of its host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio import InvalidArgumentError
from containerd_aio._copying.owners import MAX_ID, IdMap, IdRange, owners_of_process, owners_of_spec

SHIFTED = IdMap((IdRange(0, 100_000, 65536),))


@given(st.integers(0, MAX_ID))
def test_without_a_user_namespace_they_are_the_same(number: int) -> None:
    assert IdMap().to_host(number) == IdMap().to_container(number) == number


@given(st.integers(0, 65535))
def test_in_a_user_namespace_they_go_there_and_back(number: int) -> None:
    assert SHIFTED.to_host(number) == number + 100_000
    assert SHIFTED.to_container(SHIFTED.to_host(number)) == number


def test_an_id_that_the_namespace_lacks_is_refused_and_a_strange_one_is_nobody() -> None:
    with pytest.raises(InvalidArgumentError, match="user namespace has no id 65536"):
        SHIFTED.to_host(65536)
    assert SHIFTED.to_container(0) == 65534
    assert IdMap(SHIFTED.ranges, complete=False).to_container(0) == 0


@pytest.mark.parametrize("number", [-1, MAX_ID + 1])
def test_what_is_no_id_is_refused(number: int) -> None:
    with pytest.raises(InvalidArgumentError, match="is no user or group id"):
        IdMap().to_host(number)


def test_the_kernel_s_tables_are_read() -> None:
    owners = owners_of_process("         0     200000      65536\n", "         0          0 4294967295\n")
    assert owners.uids.ranges == (IdRange(0, 200_000, 65536),)
    assert owners.gids.ranges == ()


def test_a_spec_is_read() -> None:
    owners = owners_of_spec({"linux": {"uidMappings": [{"containerID": 0, "hostID": 5, "size": 9}]}})
    assert owners.uids == IdMap((IdRange(0, 5, 9),), complete=False)
    assert owners.gids.to_host(7) == 7
    assert owners_of_spec({}).uids.ranges == ()
