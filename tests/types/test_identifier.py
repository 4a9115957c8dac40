"""The rule for identifiers, as containerd has it."""

from __future__ import annotations

from typing import Final

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types.identifier import MAX_LENGTH, check_identifier

GOOD: Final = ("a", "web-1", "0", "A.b_c-9", "a" * MAX_LENGTH)
BAD: Final = {
    "dot": ".",
    "parent directory": "..",
    "slash": "a/b",
    "leading separator": "-a",
    "trailing separator": "a-",
    "two separators": "a--b",
    "space": "a b",
    "newline at the end": "a\n",
    "NUL": "a\0",
    "letter outside of ASCII": "é",
    "digit outside of ASCII": "٣",
}


@pytest.mark.parametrize("text", GOOD)
def test_identifiers_are_accepted(text: str) -> None:
    check_identifier("container id", text)


@pytest.mark.parametrize("text", BAD.values(), ids=list(BAD))
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"the container id .* is not an identifier"):
        check_identifier("container id", text)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="the exec id must not be empty"):
        check_identifier("exec id", "")


def test_a_long_text_is_refused_and_not_repeated_whole() -> None:
    with pytest.raises(InvalidArgumentError, match="has 100000 characters; 76 at most") as caught:
        check_identifier("namespace", "a" * 100_000)
    assert len(str(caught.value)) < 200
