"""The rule for identifiers, as containerd has it."""

from __future__ import annotations

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types.identifier import MAX_LENGTH, check_identifier


@pytest.mark.parametrize("text", ["a", "web-1", "0", "A.b_c-9", "a" * MAX_LENGTH])
def test_identifiers_are_accepted(text: str) -> None:
    check_identifier("container id", text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(".", id="dot"),
        pytest.param("..", id="parent directory"),
        pytest.param("a/b", id="slash"),
        pytest.param("-a", id="leading separator"),
        pytest.param("a-", id="trailing separator"),
        pytest.param("a--b", id="two separators"),
        pytest.param("a b", id="space"),
        pytest.param("a\n", id="newline at the end"),
        pytest.param("a\0", id="nul"),
        pytest.param("é", id="letter outside of ASCII"),
        pytest.param("٣", id="digit outside of ASCII"),
    ],
)
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
