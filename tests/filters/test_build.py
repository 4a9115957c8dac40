"""Filters from Python values."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import (
    Condition,
    Operator,
    Selector,
    all_of,
    differs,
    equals,
    matches,
    modernize,
    names_field,
    parse,
    present,
    where,
)
from containerd_aio.filters.build import Wanted
from tests.filters.oracle import GOOD
from tests.filters.test_grammar import writable


def test_where_builds_the_filter_of_the_design() -> None:
    assert (
        where(topic="/tasks/exit", namespace="x", **{"event.container_id": "a"})
        == 'topic=="/tasks/exit",namespace=="x",event.container_id=="a"'
    )


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        pytest.param(equals("x"), 'a=="x"', id="equals"),
        pytest.param(differs("x"), 'a!="x"', id="differs"),
        pytest.param(matches(r"^\d"), r'a~="^\\d"', id="matches"),
        pytest.param(present(), "a", id="present"),
        pytest.param(True, 'a=="true"', id="true"),
        pytest.param(7, 'a=="7"', id="number"),
        pytest.param({"b": "x", "c.d": present()}, 'a.b=="x",a."c.d"', id="mapping"),
        pytest.param({"b": {"c": differs("")}}, 'a.b.c!=""', id="mapping in a mapping"),
        pytest.param({}, "", id="empty mapping"),
    ],
)
def test_a_value_becomes_a_selector(wanted: Wanted, text: str) -> None:
    assert where(a=wanted) == text


def test_a_name_may_hold_quoted_parts() -> None:
    assert where(**{'labels."a.b"': "x"}) == where(labels={"a.b": "x"}) == 'labels."a.b"=="x"'


def test_where_of_nothing_matches_everything() -> None:
    assert parse(where()) == ()


conditions = st.one_of(
    writable.map(equals),
    writable.map(differs),
    st.just(present()),
    st.sampled_from(["^a", r"\d+/", "x|y"]).map(matches),
)


@given(st.dictionaries(writable, conditions))
def test_what_goes_into_where_comes_out_of_parse(labels: dict[str, Condition]) -> None:
    assert parse(where(labels=labels)) == tuple(
        Selector(("labels", key), condition.operator, condition.value) for key, condition in labels.items()
    )


def test_text_that_no_filter_can_hold_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="NUL"):
        where(id="a\0b")


def test_a_name_that_is_no_path_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="quotes round the part"):
        where(**{"labels.a/b": "x"})


@pytest.mark.parametrize("wanted", [None, ["a", "b"], b"x"])
def test_values_that_mean_nothing_are_refused(wanted: object) -> None:
    with pytest.raises(TypeError, match=r"the filter for labels\.a must be"):
        where(labels={"a": cast("str", wanted)})


def test_an_expression_of_another_engine_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidArgumentError, match="lookahead"):
        matches("(?!x)")


def test_all_of_joins_filters() -> None:
    assert all_of("a==b", "", where(c="d"), "e") == 'a=="b",c=="d",e'


def test_all_of_refuses_what_is_no_filter() -> None:
    with pytest.raises(InvalidArgumentError):
        all_of("a", "topic==/x")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("namespace==x", True, id="equal"),
        pytest.param("topic,namespace!=x", True, id="different"),
        pytest.param('"namespace"', True, id="quoted presence"),
        pytest.param('topic=="namespace"', False, id="value"),
        pytest.param("event.namespace==x", False, id="other path"),
        pytest.param("", False, id="empty"),
    ],
)
def test_names_field_tells_whether_a_filter_has_a_say_on_it(text: str, named: bool) -> None:
    assert names_field(text, "namespace") is named


def test_names_field_takes_a_path() -> None:
    assert names_field('labels."a.b"==x', 'labels."a.b"')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("topic==/tasks/exit", 'topic=="/tasks/exit"', id="the seeds' filter"),
        pytest.param(
            "topic~=/tasks/.+,namespace==bb", 'topic~="/tasks/.+",namespace==bb', id="two selectors"
        ),
        pytest.param(r"topic~=/tasks/\w+", r'topic~="/tasks/\\w+"', id="backslash"),
        pytest.param("topic~=|/tasks/|,topic==/a", 'topic~=|/tasks/|,topic=="/a"', id="one of each"),
        pytest.param(" topic == /a", 'topic=="/a"', id="space"),
        pytest.param("event.container_id==.a", 'event.container_id==".a"', id="dot"),
    ],
)
def test_modernize_quotes_what_was_bare(old: str, new: str) -> None:
    assert modernize(old) == new


@pytest.mark.parametrize("text", GOOD.values(), ids=list(GOOD))
def test_modernize_leaves_what_is_good(text: str) -> None:
    assert modernize(text) == text


@pytest.mark.parametrize("text", ["topic=/x", "topic==/a b", 'topic=="/a', "topic==/a,", "a b", "topic~=/(a"])
def test_modernize_refuses_what_never_was_a_filter(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\^$"):
        modernize(text)


@given(st.text('ab=!~/|.," \\', max_size=20))
def test_what_modernize_returns_is_a_filter_of_today(text: str) -> None:
    try:
        modern = modernize(text)
    except InvalidArgumentError:
        return
    parse(modern)


def test_conditions_are_values() -> None:
    assert equals("a") == Condition(Operator.EQUALS, "a")
