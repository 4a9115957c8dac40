"""Options that say what is run."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, build, default_spec
from containerd_aio.spec.process import (
    args,
    console_size,
    cwd,
    default_path,
    env,
    env_file,
    no_new_privileges,
    oom_score_adj,
    rlimit,
    terminal,
    umask,
)


def test_args_replace_the_command(context: SpecContext) -> None:
    windows: Spec = {"process": {"args": ["old"], "commandLine": "old"}}
    assert args("sleep", "60")(windows, context)["process"] == {"args": ["sleep", "60"]}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        pytest.param([], r"\(\) names no program", id="nothing"),
        pytest.param([""], "names an empty program", id="empty program"),
        pytest.param([["sleep", "60"]], r"\['sleep', '60'\] is not a str", id="list"),
        pytest.param(["sleep", 60], "60 is not a str", id="number"),
        pytest.param(["echo", "a\0b"], "holds a NUL", id="NUL"),
    ],
)
def test_args_that_cannot_be_run_are_refused(command: list[str], why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"args: .*{why}"):
        args(*command)


def test_env_is_merged_into_what_is_there(context: SpecContext) -> None:
    built = build(context, [env(["A=1", "B=2"]), env({"A": None, "C": "3"})])
    assert built["process"]["env"] == ["B=2", "C=3"]


def test_variables_come_from_a_file_that_is_read_when_the_option_is_made(
    context: SpecContext, tmp_path: Path
) -> None:
    path = tmp_path / "env"
    path.write_bytes("# of the service\r\n\nA=ä\r\nB = 'x' \nC\n".encode().replace(b"B ", b"B"))
    option = env_file(path)
    path.unlink()
    built = build(context, [env({"A": "1", "C": "3"}), option])
    assert built["process"]["env"] == ["A=ä", "B= 'x' "]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"export A=1", "holds a blank"),
        (b"=1", "is empty"),
        (b"\xff=1", "is not UTF-8"),
        (b"A=\0", "holds a NUL"),
    ],
)
def test_a_file_that_holds_no_variables_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "env").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=f"env_file: .*{why}"):
        env_file(tmp_path / "env")
    with pytest.raises(InvalidArgumentError, match="env_file: .*No such file"):
        env_file(tmp_path / "none")


def test_the_path_can_be_the_default_one(context: SpecContext) -> None:
    built = build(context, [env({"PATH": "/opt", "A": "1"}), default_path()])
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert built["process"]["env"] == [path, "A=1"]


def test_cwd_is_set(context: SpecContext) -> None:
    assert build(context, [cwd(PurePosixPath("/srv"))])["process"]["cwd"] == "/srv"


def test_a_relative_cwd_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="cwd: 'srv' is not an absolute path"):
        cwd("srv")


def test_a_terminal_brings_its_name(context: SpecContext) -> None:
    process = build(context, [env(["A=1"]), terminal()])["process"]
    assert process["terminal"] is True
    assert process["env"] == ["A=1", "TERM=xterm"]


def test_a_terminal_keeps_the_name_that_is_set(context: SpecContext) -> None:
    assert build(context, [env({"TERM": "vt100"}), terminal()])["process"]["env"] == ["TERM=vt100"]


def test_a_terminal_begins_with_a_size(context: SpecContext) -> None:
    built = build(context, [console_size(width=100, height=30)])
    assert built["process"]["consoleSize"] == {"width": 100, "height": 30}


def test_the_umask_is_the_users(context: SpecContext) -> None:
    assert build(context, [umask(0o27)])["process"]["user"] == {"uid": 0, "gid": 0, "umask": 0o27}


def test_who_is_killed_first_is_said(context: SpecContext) -> None:
    assert build(context, [oom_score_adj(-500), oom_score_adj(7)])["process"]["oomScoreAdj"] == 7


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((umask, value) for value in (-1, 0o1000, "022", True)),
        *((oom_score_adj, value) for value in (-1001, 1001, 0.5)),
        *((lambda value: console_size(80, value), value) for value in (0, 65_536, None)),
        *((lambda value: console_size(value, 24), value) for value in (0, 65_536, None)),
    ],
)
def test_a_number_out_of_range_is_refused(option: Callable[[object], object], value: object) -> None:
    with pytest.raises(InvalidArgumentError, match="(umask|oom_score_adj|console_size): .* is not"):
        option(value)


@pytest.mark.parametrize("enabled", [True, False])
def test_no_new_privileges_can_be_turned_off_and_on(context: SpecContext, enabled: bool) -> None:
    built = build(context, [no_new_privileges(not enabled), no_new_privileges(enabled)])
    assert built["process"]["noNewPrivileges"] is enabled


@pytest.mark.parametrize("kind", ["nofile", "RLIMIT_NOFILE", "NOFILE"])
def test_a_limit_replaces_the_one_of_its_kind(context: SpecContext, kind: str) -> None:
    built = build(context, [rlimit("core", 0), rlimit(kind, 10, 20)])
    assert built["process"]["rlimits"] == [
        {"type": "RLIMIT_CORE", "hard": 0, "soft": 0},
        {"type": "RLIMIT_NOFILE", "hard": 20, "soft": 10},
    ]
    assert default_spec("web", "example")["process"]["rlimits"][0]["hard"] == 1024


def test_no_limit_is_the_greatest_number(context: SpecContext) -> None:
    built = build(context, [rlimit("memlock", 0, resource.RLIM_INFINITY)])
    assert built["process"]["rlimits"][-1] == {"type": "RLIMIT_MEMLOCK", "hard": 2**64 - 1, "soft": 0}


@pytest.mark.parametrize(
    ("kind", "soft", "hard", "why"),
    [
        pytest.param("files", 1, None, "'files' is not a limit", id="unknown"),
        pytest.param("nofile", -2, None, "-2 is not between", id="negative"),
        pytest.param("nofile", 1, -2, "-2 is not between", id="negative hard limit"),
        pytest.param("nofile", 2, 1, "2 is a soft limit above the hard one, 1", id="soft above hard"),
        pytest.param("nofile", resource.RLIM_INFINITY, 1, "above the hard one", id="unlimited above hard"),
        pytest.param("nofile", 2**64, None, "is not between", id="too big"),
    ],
)
def test_an_impossible_limit_is_refused(kind: str, soft: int, hard: int | None, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"rlimit: .*{why}"):
        rlimit(kind, soft, hard)
