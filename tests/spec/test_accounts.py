"""Parsing of passwd and group: files that an image wrote."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from containerd_aio.spec.accounts import ID_MAX, GroupRow, PasswdRow, group_rows, passwd_rows

NAMES = st.text(st.characters(codec="utf-8", exclude_characters=":,\n"), min_size=1).filter(
    lambda name: name == name.strip()
)
IDS = st.integers(0, ID_MAX)
FIELDS = st.text(st.characters(codec="utf-8", exclude_characters=":\n"))


@given(content=st.binary())
@example(b"::::\n:x:0:0\n\xff:x:1:1\na:x:1\n")
def test_any_bytes_can_be_parsed_and_every_id_is_in_range(content: bytes) -> None:
    for user in passwd_rows(content):
        assert user.name
        assert 0 <= user.uid <= ID_MAX
        assert 0 <= user.gid <= ID_MAX
    for group in group_rows(content):
        assert group.name
        assert 0 <= group.gid <= ID_MAX
        assert all(group.members)


@given(content=st.text("ab:,0123456789-+ \n\r"))
def test_text_that_is_nearly_a_table_can_be_parsed(content: str) -> None:
    assert all(0 <= row.uid <= ID_MAX for row in passwd_rows(content.encode()))
    assert all(0 <= row.gid <= ID_MAX for row in group_rows(content.encode()))


@given(rows=st.lists(st.builds(PasswdRow, NAMES, IDS, IDS)), comment=FIELDS)
def test_users_that_were_written_are_read(rows: list[PasswdRow], comment: str) -> None:
    lines = [f"{row.name}:x:{row.uid}:{row.gid}:{comment}:/:/bin/sh" for row in rows]
    assert list(passwd_rows("\n".join(lines).encode())) == rows


@given(rows=st.lists(st.builds(GroupRow, NAMES, IDS, st.lists(NAMES).map(tuple))))
def test_groups_that_were_written_are_read(rows: list[GroupRow]) -> None:
    lines = [f"{row.name}:x:{row.gid}:{','.join(row.members)}" for row in rows]
    assert list(group_rows("\n".join(lines).encode())) == rows


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("# a comment", id="comment"),
        pytest.param("web", id="name alone"),
        pytest.param("web:x:1000", id="no group"),
        pytest.param(":x:0:0", id="no name"),
        pytest.param("+::::::", id="NIS"),
        pytest.param("web:x::0", id="no uid"),
        pytest.param("web:x:zero:0", id="uid no number"),
        pytest.param("web:x:-1:0", id="negative"),
        pytest.param("web:x:+0:0", id="sign"),
        pytest.param("web:x: 0:0", id="space"),
        pytest.param("web:x:0x0:0", id="hexadecimal"),
        pytest.param("web:x:٣:0", id="digits of another script"),
        pytest.param("web:x:2147483648:0", id="uid out of range"),
        pytest.param("web:x:4294967296:0", id="uid that 32 bits make root"),
        pytest.param("web:x:0:2147483648", id="gid out of range"),
        pytest.param(f"web:x:{'9' * 5000}:0", id="uid of 5000 digits"),
    ],
)
def test_a_line_that_is_no_user_is_passed_over(line: str) -> None:
    content = f"{line}\nok:x:1:2:::\n".encode()
    assert list(passwd_rows(content)) == [PasswdRow("ok", 1, 2)]


@pytest.mark.parametrize("line", ["", "www", "www:x", ":x:0:", "www:x::", "www:x:2147483648:", "www:x:-1:a"])
def test_a_line_that_is_no_group_is_passed_over(line: str) -> None:
    content = f"{line}\nok:x:1:a,,b\n".encode()
    assert list(group_rows(content)) == [GroupRow("ok", 1, ("a", "b"))]


def test_a_group_may_leave_out_its_members() -> None:
    assert list(group_rows(b"www:x:33\r\n")) == [GroupRow("www", 33, ())]
