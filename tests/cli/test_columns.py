"""Columns, ages, amounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.cli.columns import age, amount, columns, printable

SECOND = 1_000_000_000


def test_columns_are_as_wide_as_their_widest_entry_and_lines_have_no_blanks_at_the_end() -> None:
    assert columns(["ID", "STATE"], [["web", "running"], ["a-long-one", "-"]]) == (
        "ID           STATE\nweb          running\na-long-one   -\n"
    )


def test_without_rows_there_is_the_head() -> None:
    assert columns(["ID", "STATE"], []) == "ID   STATE\n"


@given(st.text())
def test_nothing_shown_can_move_the_cursor(text: str) -> None:
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()
    assert columns(["A"], [[text]]).count("\n") == 2


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (86_399, "23h"),
        (864_000, "10d"),
        (-5, "0s"),
    ],
)
def test_an_age_has_one_unit_and_is_rounded_down(seconds: int, expected: str) -> None:
    assert age(SECOND, (seconds + 1) * SECOND) == expected


def test_an_unknown_age_is_a_dash() -> None:
    assert age(None, SECOND) == "-"


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**70, "1048576.0 PiB"),
    ],
)
def test_amounts_are_in_units_of_1024(count: int, expected: str) -> None:
    assert amount(count) == expected
