"""Options that say what is run."""

from __future__ import annotations

import resource
from pathlib import PurePosixPath

import pytest

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec import Spec, SpecContext, build, default_spec
from containerd_aio.spec.process import args, cwd, env, no_new_privileges, rlimit, terminal


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
