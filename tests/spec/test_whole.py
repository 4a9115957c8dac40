"""A whole spec at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import SpecContext, build, default_spec, hostname, namespaced_cgroup
from containerd_aio.spec.whole import from_bytes, from_default, from_file


def test_all_can_be_started_again(context: SpecContext) -> None:
    built = build(context, [hostname("web"), from_bytes("{}"), from_default()])
    assert built == default_spec("web", "example")


@pytest.mark.parametrize(
    "document", ['{"hostname": "öther", "vm": {}}', '{"hostname": "öther", "vm": {}}'.encode()]
)
def test_a_document_is_taken_as_it_is(context: SpecContext, document: str | bytes) -> None:
    assert build(context, [from_bytes(document)]) == {"hostname": "öther", "vm": {}}


def test_options_go_on_from_the_document(context: SpecContext) -> None:
    built = build(context, [from_bytes('{"linux": {"cgroupsPath": "/other/one"}}'), namespaced_cgroup()])
    assert built == {"linux": {"cgroupsPath": "/example/web"}}


def test_a_file_is_read_when_the_option_is_made(context: SpecContext, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(default_spec("other", "elsewhere")))
    option = from_file(path)
    path.unlink()
    assert build(context, [option]) == default_spec("other", "elsewhere")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"process": {"user": {"uid": %s}}}' % (b"1" * 5000), "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"process": 7}', "is no spec: process is not an object"),
        (b"null", "is not a JSON object"),
        (None, "is neither bytes nor str"),
        ({}, "is neither bytes nor str"),
    ],
)
def test_what_is_no_json_object_is_refused(document: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=f"from_bytes: .* {why}"):
        from_bytes(document)
    if isinstance(document, bytes):
        (tmp_path / "file").write_bytes(document)
        with pytest.raises(InvalidArgumentError, match=f"from_file: .* {why}"):
            from_file(tmp_path / "file")
