"""The grammar of filters, held against what the daemons say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.filters import Operator, Selector, parse
from containerd_aio.filters.grammar import parse_path
from tests.filters.oracle import BAD, GOOD

writable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize("text", GOOD.values(), ids=list(GOOD))
def test_what_containerd_takes_is_taken(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("text", BAD.values(), ids=list(BAD))
def test_what_containerd_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^not a filter: "):
        parse(text)


def test_an_empty_filter_has_no_selectors() -> None:
    assert parse("") == ()


def test_selectors_come_out_in_order_and_unquoted() -> None:
    assert parse(r'topic~=|^/tasks/|, labels."a.b"!="\x41\t\"", event.container_id') == (
        Selector(("topic",), Operator.MATCHES, "^/tasks/"),
        Selector(("labels", "a.b"), Operator.DIFFERS, 'A\t"'),
        Selector(("event", "container_id")),
    )


@pytest.mark.parametrize(
    ("quoted", "value"),
    [
        pytest.param(r'"\a\b\f\n\r\t\v\\"', "\a\b\f\n\r\t\v\\", id="named"),
        pytest.param(r'"\101\x42\u0043\U00000044"', "ABCD", id="numbers"),
        pytest.param(r'"\xc3\xa9"', "é", id="bytes that are text"),
        pytest.param(r'"\xff"', "\udcff", id="a byte that is no text"),
        pytest.param(r'"\ud800"', "\ufffd", id="half a surrogate pair"),
    ],
)
def test_escapes_say_what_they_say_in_go(quoted: str, value: str) -> None:
    assert parse(f"a=={quoted}") == (Selector(("a",), Operator.EQUALS, value),)


@given(
    st.lists(writable, min_size=1).map(tuple),
    st.sampled_from([Operator.EQUALS, Operator.DIFFERS]),
    writable,
)
@example(("labels", "containerd.io/gc.root"), Operator.EQUALS, "\ufffd\x7f\n\r\t\\\"'/|,. ~=!")
def test_a_selector_survives_its_own_text(path: tuple[str, ...], operator: Operator, value: str) -> None:
    selector = Selector(path, operator, value)
    assert parse(str(selector)) == (selector,)


@given(st.text())
@example(r'a=="\xff",b=="\ud800\xc3"')
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    """Whatever is read says the same again once it is quoted."""
    refusal = ""
    selectors: tuple[Selector, ...] = ()
    try:
        selectors = parse(text)
    except InvalidArgumentError as refused:
        refusal = str(refused)
    assert refusal == "" or refusal.endswith("^")
    assert parse(",".join(map(str, selectors))) == selectors


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("topic==/tasks/exit", len("topic=="), id="bare slash"),
        pytest.param('a==b,topic=="x', len("a==b,topic=="), id="open quote"),
        pytest.param(r'a=="b\d"', len('a=="b'), id="escape"),
        pytest.param("a== =b", len("a== "), id="value"),
        pytest.param("a,b<c", len("a,b"), id="operator"),
        pytest.param("a,", len("a,"), id="end"),
        pytest.param("a==b c", len("a==b"), id="behind a value"),
        pytest.param('a~="(?=x)"', len("a~="), id="regular expression"),
        pytest.param("a\n", len("a\n"), id="a control character takes one column"),
    ],
)
def test_a_caret_stands_under_the_fault(text: str, place: int) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse(text)
    _, shown, caret = str(refused.value).split("\n")
    assert shown == "    " + text.replace("\n", "?")
    assert caret == " " * (4 + place) + "^"


def test_a_long_filter_is_shown_round_the_fault_only() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse("a==b," * 1000 + "?" + ",c" * 1000)
    _, shown, caret = str(refused.value).split("\n")
    assert shown[caret.index("^")] == "?"
    assert shown.startswith("    …")
    assert shown.endswith("…")
    assert len(shown) < 140


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="does not read this character"):
        parse('a=="\ud800"')


def test_a_path_is_split_into_its_parts() -> None:
    assert parse_path('labels."a.b/c".d') == ("labels", "a.b/c", "d")


@pytest.mark.parametrize("text", ["", "a==b", "a,b", "a-b", "a "])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_path(text)
