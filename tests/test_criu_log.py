"""CRIU's own words, out of the log that containerd's answer names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from containerd_aio import NotFoundError, UnknownError
from containerd_aio._criu_log import criu_reasons, criu_says

LOG = """\
(00.000000) Version: 4.1.1 (gitid 0)
(00.021202) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.100000) Warn  (criu/kerndat.c:1): a warning
Error (criu/util.c:641): execvp("iptables-restore", ...) failed: No such file or directory
(00.124253) Error (criu/util.c:656): exited, status=1
(00.124253) Error (criu/util.c:656): exited, status=1
(00.130000)     12: Error (criu/files-reg.c:1): Can't open file n
(00.140000) Error (criu/cr-dump.c:2111): Dumping FAILED.
(00.150000) Error (criu/more.c:1): one too many
"""
REASONS = [
    'execvp("iptables-restore", ...) failed: No such file or directory',
    "exited, status=1",
    "Can't open file n",
    "Dumping FAILED.",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "criu-dump.log"
    path.write_text(LOG)
    return path


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("exit status 1: criu failed: type NOTIFY errno 0 path= {}: unknown", id="the shim, 1.x"),
        pytest.param("exit status 1: criu failed: type NOTIFY errno 0 path= {}", id="the shim, 2.x"),
        pytest.param("OCI runtime restore failed: criu failed\nlog file: {}: unknown", id="runc"),
    ],
)
def test_the_first_errors_are_told_each_once(log: Path, message: str) -> None:
    assert criu_reasons(message.format(log)) == REASONS


@pytest.mark.parametrize(
    "message",
    ["criu failed", "log file: relative.log", "log file: /no/such.log", "path= /etc/passwd: unknown"],
)
def test_a_log_that_is_not_there_tells_nothing(message: str) -> None:
    assert criu_reasons(message) == []


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "restore.log"
    log.write_text("Error (a): early\n" + "noise\n" * 100_000 + "Error (a): late\n")
    assert criu_reasons(f"log file: {log}") == ["late"]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "directory.log").mkdir()
    for name in ("fifo.log", "directory.log"):
        assert criu_reasons(f"log file: {tmp_path / name}") == []


def test_names_of_files_in_it_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "restore.log"
    log.write_text(f"Error (a): Can't open \x1b[31m{'x' * 1000}\n")
    [line] = criu_reasons(f"log file: {log}")
    assert line.startswith("Can't open ?[31mxx")
    assert len(line) == 300


def test_they_are_told_where_the_log_is_on_this_host(log: Path) -> None:
    error = UnknownError("failed", server_message=f"failed\nlog file: {log}: unknown")
    assert criu_says(error, local=True) == f"; CRIU says: {'; '.join(REASONS)}"
    assert criu_says(error, local=False) == ""


def test_other_errors_tell_nothing_of_criu(log: Path) -> None:
    assert criu_says(NotFoundError("gone", server_message=f"log file: {log}"), local=True) == ""
