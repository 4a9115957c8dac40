"""Fields of foreign JSON: right ones are read, wrong ones are refused with the place where they stand."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._images.fields import Fields, parse_json
from containerd_aio.errors import InvalidArgumentError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=8,
)


def fields(document: object) -> Fields:
    return Fields(document, "a document")


def test_fields_are_read_with_their_types() -> None:
    document = fields(
        {"text": "a", "size": 3, "list": ["x", "y"], "map": {"k": "v"}, "object": {"in": "side"}}
    )
    assert document.text("text") == "a"
    assert document.size("size") == 3
    assert document.texts("list") == ("x", "y")
    assert document.text_map("map") == {"k": "v"}
    assert document.object_at("object").text("in") == "side"


@pytest.mark.parametrize("document", [{}, {"field": None}], ids=["absent", "null"])
def test_what_is_absent_or_null_is_empty(document: object) -> None:
    assert fields(document).text("field") == ""
    assert fields(document).texts("field") == ()
    assert fields(document).text_map("field") == {}
    assert not fields(document).object_at("field", optional=True)


@pytest.mark.parametrize(
    ("read", "document", "message"),
    [
        (lambda d: d.text("f"), {"f": 1}, "f must be text, but is 1"),
        (lambda d: d.text("f", required=True), {}, "f must be text, but is absent"),
        (lambda d: d.text("f", required=True), {"f": ""}, "must be text that is not empty"),
        (lambda d: d.text("f"), {"f": "a\0b"}, "without NUL"),
        (lambda d: d.text("f"), {"f": "\ud800"}, "Unicode"),
        (lambda d: d.size("f"), {"f": True}, "must be a number of bytes"),
        (lambda d: d.size("f"), {"f": -1}, "must be a number of bytes"),
        (lambda d: d.size("f"), {"f": 1.5}, "must be a number of bytes"),
        (lambda d: d.size("f"), {"f": 1 << 63}, "must be a number of bytes"),
        (lambda d: d.texts("f"), {"f": "ab"}, "must be a list, but is 'ab'"),
        (lambda d: d.texts("f"), {"f": ["a", 2]}, r"f\[1\] must be text, but is 2"),
        (lambda d: d.entries("f", most=1), {"f": [1, 2]}, "must be of 1 entries at most, but is a list of 2"),
        (lambda d: d.text_map("f"), {"f": ["a"]}, "must be an object, but is a list of 1"),
        (lambda d: d.text_map("f"), {"f": {"k": {}}}, "f.k must be text, but is an object"),
        (lambda d: d.text_map("f"), {"f": {"\0": ""}}, "a name must be Unicode text without NUL"),
        (lambda d: d.at("f").as_digest(), {"f": "sha256:ab"}, "must be a digest"),
        (lambda d: d.at("f").as_digest(), {"f": "md5:" + "0" * 64}, "must be a digest"),
        (lambda d: d.object_at("f").text("g", required=True), {"f": {}}, "a document: f.g must be"),
        (lambda d: d.as_list(most=1), {}, "a document must be a list, but is an object"),
    ],
)
def test_a_wrong_field_is_refused_with_its_place(
    read: Callable[[Fields], object], document: object, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read(fields(document))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="unfinished"),
        pytest.param(b"\xff\xfe{\0}\0", id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param(b"1" * 10_000, id="number too long"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"index\.json is not JSON"):
        parse_json(data, about="index.json", max_size=1_000_000)


def test_a_document_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidArgumentError, match="has 11 bytes; at most 10 are taken"):
        parse_json(b"not json at"[:11], about="index.json", max_size=10)


@given(JSON)
def test_any_document_can_be_asked_for_anything(document: object) -> None:
    """Whatever stands there: the right type, or the one error."""
    asked = parse_json(json.dumps(document).encode(), about="it", max_size=1 << 20)
    for read in (
        lambda: asked.text("a"),
        lambda: asked.size("a"),
        lambda: asked.texts("a"),
        lambda: asked.text_map("a"),
        asked.as_text,
        asked.as_digest,
        asked.as_object,
        lambda: asked.as_list(most=2),
    ):
        problem = refusal(read)
        assert problem is None or problem.startswith("it")


def refusal(read: Callable[[], object]) -> str | None:
    """What reading is refused with, ``None`` if it is not."""
    try:
        read()
    except InvalidArgumentError as error:
        return str(error)
    return None
