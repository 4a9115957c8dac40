"""Log URIs, as containerd's shim parses them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.stdio import Stdio, log_binary, log_file, log_uri
from containerd_aio.stdio.logs import log_file_path
from tests.stdio.test_connect import record


async def told(stdio: Stdio, *, daemon_root: str | None = None) -> tuple[str, str, str]:
    opened = await stdio.open(process_id="web", daemon_root=daemon_root)
    await opened.started()
    await opened.drain(1)
    await opened.aclose()
    assert (opened.stdin, opened.stdout, opened.stderr) == (None, None, None)
    return opened.stdin_path, opened.stdout_path, opened.stderr_path


@pytest.mark.parametrize("name", ["web.log", "with space, ? and %41.log"])
async def test_a_log_file_that_containerd_sees_is_made_and_named_in_two_ways(
    tmp_path: Path, name: str
) -> None:
    """The shim closes a file that it knows by one name for both outputs when the first of them ends."""
    path = tmp_path / "new" / name
    assert await told(log_file(path), daemon_root="/proc/self/root") == ("", f"{path}", f"/.{path}")
    assert path.read_bytes() == b""
    path.write_bytes(b"kept")
    await told(log_file(path), daemon_root="/proc/self/root")
    assert path.read_bytes() == b"kept"


async def test_a_log_file_elsewhere_is_left_to_the_shim(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "other" / f"{tmp_path}"[1:]).mkdir(parents=True)
    (tmp_path / "other" / f"{tmp_path}"[1:] / "another.log").touch()
    for name, root in {
        "web.log": None,
        "only-here.log": str(tmp_path / "other"),
        "another.log": str(tmp_path / "other"),
        "file/web.log": "/proc/self/root",
        "fifo": "/proc/self/root",
        "100%.log": "/proc/self/root",
        "line\nbreak.log": "/proc/self/root",
    }.items():
        uri = log_file(tmp_path / name).uri  # type: ignore[attr-defined]
        assert await told(log_file(tmp_path / name), daemon_root=root) == ("", uri, uri), name


async def test_a_uri_of_a_file_is_passed_on(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/web.log"
    assert await told(log_uri(uri), daemon_root="/proc/self/root") == ("", uri, uri)


def test_what_containerd_reports_of_an_output_names_its_log_file(tmp_path: Path) -> None:
    path = tmp_path / "a log"
    path.touch()
    assert log_file_path(f"file://{tmp_path}/a%20log") == str(path)
    assert log_file_path(str(path)) == str(path)
    for nothing in ("", "/dev/null", f"{tmp_path}", f"{tmp_path}/gone", "binary:///bin/log", "relative"):
        assert log_file_path(nothing) is None


async def test_arguments_of_a_program_are_quoted() -> None:
    _, uri, _ = await told(log_binary("/usr/bin/my logger", {"tag": "a&b=c", "empty": ""}))
    assert uri == "binary:///usr/bin/my%20logger?tag=a%26b%3Dc&empty="
    assert (await told(log_binary("/bin/log")))[1] == "binary:///bin/log"


@given(
    path=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map("/".__add__),
    args=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
)
def test_what_the_shim_reads_out_of_the_uri_is_what_was_given(path: str, args: dict[str, str]) -> None:
    """``urlsplit`` and Go's ``url.Parse`` agree on these."""
    stdio = log_binary(path, args)
    parts = urlsplit(stdio.uri)  # type: ignore[attr-defined]
    assert (parts.scheme, parts.netloc) == ("binary", "")
    assert unquote(parts.path) == path
    assert parse_qs(parts.query, keep_blank_values=True) == {name: [value] for name, value in args.items()}


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        pytest.param("/var/log/x", "none of the schemes file, binary, binary-v2", id="no scheme"),
        pytest.param("fifo:///x", "none of the schemes", id="fifo"),
        pytest.param("http://host/x", "none of the schemes", id="unknown scheme"),
        pytest.param("file://relative/x", "names a host; an absolute path follows", id="two slashes"),
        pytest.param("file:relative", "'relative' is not absolute", id="relative"),
        pytest.param("binary://", "'' is not absolute", id="no path"),
    ],
)
def test_uris_that_the_shim_cannot_use_are_refused(uri: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        log_uri(uri)


@pytest.mark.parametrize("path", ["relative", "", "/a\0b"])
def test_paths_must_be_absolute(path: str) -> None:
    for kind in (log_file, log_binary):
        with pytest.raises(InvalidArgumentError, match="is not absolute"):
            kind(path)


async def test_a_terminal_logs_to_a_program_only() -> None:
    assert log_binary("/bin/log", terminal=True).terminal
    assert log_uri("binary-v2:///bin/log", terminal=True).terminal
    with pytest.raises(InvalidArgumentError, match="a terminal cannot log to a file"):
        log_uri("file:///x", terminal=True)


async def test_logs_are_not_attached_to() -> None:
    assert not log_file("/x").uses_fifos
    with pytest.raises(InvalidArgumentError, match=r"attach with pipes\(\), inherit\(\) or streams\(\)"):
        await log_file("/x").attach(record())
