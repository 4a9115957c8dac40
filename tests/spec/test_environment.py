"""Merging environment variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.environment import env_changes, file_changes, merged_env, split_env

NAMES = st.text(st.characters(blacklist_characters="=\0", blacklist_categories=["Cs"]), min_size=1)
VALUES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))


@pytest.mark.parametrize(
    ("base", "changes", "merged"),
    [
        pytest.param([], ["A=1"], ["A=1"], id="a new name goes to the end"),
        pytest.param(["A=1", "B=2"], ["A=3"], ["A=3", "B=2"], id="a changed name keeps its place"),
        pytest.param(["A=1", "B=2"], ["A"], ["B=2"], id="a bare name removes"),
        pytest.param(["A=1"], ["B"], ["A=1"], id="removing what is not there is nothing"),
        pytest.param([], ["A=1", "A=2"], ["A=2"], id="the last of two new ones wins"),
        pytest.param(["A=1", "B=2", "A=3"], [], ["A=3", "B=2"], id="the last of two old ones wins"),
        pytest.param(["A=1"], ["A="], ["A="], id="empty is not removed"),
        pytest.param(["A=1"], ["A=x=y"], ["A=x=y"], id="a value may hold ="),
        pytest.param(["AB=1"], ["A=2"], ["AB=1", "A=2"], id="a name is not its beginning"),
        pytest.param(["ODD"], ["A=1"], ["ODD", "A=1"], id="an odd item of the base stays"),
    ],
)
def test_changes_are_made_to_a_base(base: list[str], changes: list[str], merged: list[str]) -> None:
    assert merged_env(base, split_env(changes)) == merged


@given(base=st.dictionaries(NAMES, VALUES), changes=st.dictionaries(NAMES, st.none() | VALUES))
def test_merging_is_that_of_dicts(base: dict[str, str], changes: dict[str, str | None]) -> None:
    items = merged_env([f"{name}={value}" for name, value in base.items()], env_changes("env", changes))
    expected = {name: value for name, value in {**base, **changes}.items() if value is not None}
    assert dict(item.split("=", 1) for item in items) == expected
    assert len(items) == len(expected)


@given(changes=st.dictionaries(NAMES, VALUES))
def test_a_mapping_and_a_list_say_the_same(changes: dict[str, str]) -> None:
    listed = env_changes("env", [f"{name}={value}" for name, value in changes.items()])
    assert listed == env_changes("env", changes)


@given(
    changes=st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*", fullmatch=True),
        st.none() | VALUES.filter(lambda value: not {"\n", "\r"} & set(value)),
    ),
    end=st.sampled_from(["\n", "\r\n", "\n\n", "\n # comment\n", "\n  "]),
)
def test_a_file_says_what_its_lines_say(changes: dict[str, str | None], end: str) -> None:
    lines = [name if value is None else f"{name}={value}" for name, value in changes.items()]
    content = "".join(line + end for line in lines).encode()
    assert file_changes("env_file", content) == env_changes("env_file", changes)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        pytest.param("A=1", "'A=1' is not a list of str", id="plain str"),
        pytest.param(b"A=1", "is not a list of str", id="plain bytes"),
        pytest.param(7, "is not a list of str", id="number"),
        pytest.param(["=1"], "'' is empty", id="item without a name"),
        pytest.param([""], "'' is empty", id="empty item"),
        pytest.param(["A=1\0B=2"], "holds a NUL", id="item with a NUL"),
        pytest.param([("A", "1")], "is not a str", id="pair"),
        pytest.param(["A=\udcff"], "is not valid Unicode", id="item that was no UTF-8"),
        pytest.param({"": "1"}, "'' is empty", id="empty name"),
        pytest.param({"A=B": "1"}, "'A=B' is not the name of a variable", id="name with ="),
        pytest.param({"A\0": "1"}, "holds a NUL", id="name with a NUL"),
        pytest.param({"A": "\0"}, "holds a NUL", id="value with a NUL"),
        pytest.param({"A": 1}, "1 is not a str", id="number as value"),
        pytest.param({1: "A"}, "1 is not a str", id="number as name"),
    ],
)
def test_what_is_no_environment_is_refused(variables: object, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"env: .*{why}"):
        env_changes("env", variables)
