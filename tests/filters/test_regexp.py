"""Regular expressions that RE2 does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import parse
from containerd_aio.filters.regexp import fault
from tests.filters.oracle import BAD_EXPRESSIONS, GOOD_EXPRESSIONS


@pytest.mark.parametrize("pattern", GOOD_EXPRESSIONS)
def test_what_go_compiles_is_let_through(pattern: str) -> None:
    assert fault(pattern) is None


@pytest.mark.parametrize("pattern", BAD_EXPRESSIONS)
def test_what_go_refuses_is_told(pattern: str) -> None:
    assert fault(pattern)


@given(st.text("ab()[]{}*+?|\\^$.-,0129:=!<>PQEdzx", max_size=12))
def test_any_text_is_judged(pattern: str) -> None:
    assert fault(pattern) is None or fault(pattern)


def test_a_filter_with_such_an_expression_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="lookahead"):
        parse("topic~=|^(?!/tasks/)|")
