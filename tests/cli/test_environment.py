"""Environment variables, typed and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from containerd_aio.cli.environment import variables
from containerd_aio.errors import InvalidArgumentError


def test_the_last_of_one_name_counts_and_what_is_typed_more_than_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("A=1\nB=1\nC=1\n")
    two.write_text("\ufeff# comment\n\n  B=2 = 2\nC=2\n", encoding="utf-8")
    assert variables(["C=3", "C=4", "D="], [one, two]) == {"A": "1", "B": "2 = 2", "C": "4", "D": ""}


def test_a_name_alone_has_our_value_and_is_left_out_where_we_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "a=b")
    monkeypatch.delenv("NOT_OURS", raising=False)
    (tmp_path / "file").write_text("OURS\nNOT_OURS\n")
    assert variables([], [tmp_path / "file"]) == {"OURS": "a=b"}
    assert variables(["OURS", "NOT_OURS"], []) == {"OURS": "a=b"}


@pytest.mark.parametrize("entry", ["=1", "", "A B=1", "A\t"])
def test_an_entry_without_a_name_is_refused_where_it_stands(tmp_path: Path, entry: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not NAME=VALUE"):
        variables([entry], [])
    if entry:
        (tmp_path / "file").write_text(f"A=1\n{entry}\n")
        with pytest.raises(InvalidArgumentError, match="line 2 of"):
            variables([], [tmp_path / "file"])


@pytest.mark.parametrize("content", [None, b"A=\xff\n"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="--env-file: cannot read"):
        variables([], [tmp_path / "file"])
