"""Checks of what options are given."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.arguments import check_integer, check_mapping, check_path, check_texts


def test_a_refusal_names_the_option_and_the_value() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^cwd: 'srv' is not an absolute path$"):
        check_path("cwd", "srv")


def test_a_refusal_of_a_long_value_is_short() -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        check_texts("args", "x" * 100_000)
    assert len(str(refusal.value)) < 200


def test_a_path_may_be_a_path_object() -> None:
    assert check_path("cwd", PurePosixPath("/srv")) == "/srv"


@pytest.mark.parametrize("value", ["", "srv", PurePosixPath("srv"), b"/srv", 1, None, "/a\0b", "/\udcff"])
def test_what_is_no_absolute_path_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^cwd: "):
        check_path("cwd", value)


def test_any_iterable_of_text_is_a_list_of_text() -> None:
    assert check_texts("args", iter(["a", ""])) == ("a", "")


@pytest.mark.parametrize("value", [1, 5])
def test_an_integer_may_be_a_bound(value: int) -> None:
    assert check_integer("n", value, minimum=1, maximum=5) == value


@pytest.mark.parametrize("value", [0, 6, -1, True, 1.0, "1", None])
def test_another_integer_or_something_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^n: "):
        check_integer("n", value, minimum=1, maximum=5)


def test_a_list_is_no_mapping() -> None:
    with pytest.raises(InvalidArgumentError, match="is not a mapping"):
        check_mapping("annotations", [])
