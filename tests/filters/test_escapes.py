"""Go's escapes, and the place of one that is not Go's."""

from __future__ import annotations

import pytest

from containerd_aio.filters.escapes import unescape


def test_text_without_escapes_is_itself() -> None:
    assert unescape("a/b|c", '"') == ("a/b|c", None)


def test_the_quote_itself_may_be_escaped() -> None:
    assert unescape(r"a\/b", "/") == ("a/b", None)


@pytest.mark.parametrize("text", [r"ab\/", r"ab\8", r"ab\x4", r"ab\u123", r"ab\400", r"ab\U00110000", "ab\\"])
def test_the_place_of_an_unknown_escape_is_told(text: str) -> None:
    assert unescape(text, '"') == ("", 2)
