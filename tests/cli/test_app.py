"""What can be typed, and what the help says of it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest
from typer.testing import CliRunner

from containerd_aio.cli.app import app

COMMANDS = [
    "run",
    "exec",
    "attach",
    "cp",
    "ps",
    "logs",
    "top",
    "kill",
    "stop",
    "pause",
    "resume",
    "wait",
    "rm",
    "checkpoint",
    "restore",
    "images",
    "import",
    "events",
    "demo",
]


def shown(*args: str) -> str:
    done = CliRunner().invoke(app, list(args), prog_name="containerd-aio")
    assert done.exit_code == 0
    return done.output


def test_the_help_lists_every_command_with_a_whole_sentence() -> None:
    lines = shown("--help").partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == COMMANDS
    for line in lines:
        assert line.endswith("."), line
        assert not line.endswith("..."), line


def test_the_version_is_shown() -> None:
    try:
        expected = metadata.version("containerd-aio")
    except metadata.PackageNotFoundError:
        expected = "(not installed: this runs from its source)"
    assert shown("--version") == f"containerd-aio {expected}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_s_help_has_an_example(command: str) -> None:
    text = shown(command, "--help")
    assert text.startswith("Usage: containerd-aio " + command)
    assert f"Examples:\n    containerd-aio {command}" in text


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("demo", "events")])
def test_each_command_takes_an_address_and_a_namespace_from_the_environment_too(command: str) -> None:
    text = " ".join(shown(command, "--help").split())
    address = "--address" if command == "ps" else "-a, --address"  # there -a is --all, as with nerdctl
    for name, variable in (
        (address, "CONTAINERD_ADDRESS"),
        ("-n, --namespace", "CONTAINERD_NAMESPACE"),
    ):
        assert name in text
        assert f"[env var: {variable}]" in text


def test_what_follows_the_image_is_the_container_s() -> None:
    """``run busybox ls --help`` has no option of ours behind the image."""
    typed = ["run", "--address", "/nowhere/containerd.sock", "busybox", "ls", "--help"]
    done = subprocess.run(
        [sys.executable, "-m", "containerd_aio", *typed], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert "/nowhere/containerd.sock" in done.stderr


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        pytest.param(["run"], "Missing argument", id="no image"),
        pytest.param(["logs", "--tail", "-1", "web"], "--tail", id="a bad number"),
        pytest.param(["dance"], "No such command", id="no such command"),
    ],
)
def test_a_mistyped_command_is_2(args: list[str], complaint: str) -> None:
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 2
    assert complaint in done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_s_usage_marks_what_may_be_left_out_once(command: str) -> None:
    assert "[[" not in shown(command, "--help")
    assert shown(command, "-h") == shown(command, "--help")


def test_help_needs_nothing_of_what_commands_do() -> None:
    program = """
import sys
from typer.testing import CliRunner
from containerd_aio.cli.app import app
assert CliRunner().invoke(app, ["top", "--help"]).exit_code == 0
heavy = {"rich.live", "asyncinotify", "containerd_aio.private_daemon", "containerd_aio.cli.run"}
sys.exit(sorted(heavy & sys.modules.keys()) or 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
