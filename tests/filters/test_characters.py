"""Quoting, and the characters of a filter."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import characters


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        pytest.param("", '""', id="empty"),
        pytest.param("/tasks/exit", '"/tasks/exit"', id="slashes"),
        pytest.param('a"b\\c', r'"a\"b\\c"', id="quote and backslash"),
        pytest.param("\n\r\t\x01\x7f", r'"\n\r\t\x01\x7f"', id="control characters"),
        pytest.param("\udc80\udcff", r'"\x80\xff"', id="bytes that are no text"),
        pytest.param("été 😀", '"été 😀"', id="text as it is"),
        pytest.param("\ufffd", r'"\ufffd"', id="what the scanner takes for broken text"),
    ],
)
def test_text_is_quoted_for_the_daemons(text: str, quoted: str) -> None:
    assert characters.quote(text) == quoted


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\udc7fb"])
def test_text_that_no_filter_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="NUL or a lone surrogate"):
        characters.quote(text)


@pytest.mark.parametrize(("part", "quoted"), [("container_id", "container_id"), ("a.b", '"a.b"'), ("", '""')])
def test_a_part_is_quoted_where_it_must_be(part: str, quoted: str) -> None:
    assert characters.quote_part(part) == quoted
