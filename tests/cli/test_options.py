"""Options that many commands share."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from containerd_aio.cli.options import Address, Grace, Namespace

app = typer.Typer()


@app.callback()
def main(address: Address = None, namespace: Namespace = None) -> None:
    pass


@app.command()
def told(address: Address = None, namespace: Namespace = None, grace: Grace = 10.0) -> None:
    print(address, namespace, grace)


def typed(*args: str, env: dict[str, str] | None = None) -> str:
    unset = {"CONTAINERD_ADDRESS": None, "CONTAINERD_NAMESPACE": None}
    done = CliRunner().invoke(app, args, env={**unset, **(env or {})})
    assert done.exit_code == 0, done.output
    return done.output.strip()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(["told"], "None None 10.0", id="nowhere"),
        pytest.param(["-a", "/a", "-n", "x", "told"], "/a x 10.0", id="before the command"),
        pytest.param(["told", "-a", "/a", "-n", "x"], "/a x 10.0", id="behind it"),
        pytest.param(["-a", "/a", "-n", "x", "told", "-n", "y"], "/a y 10.0", id="both"),
    ],
)
def test_where_to_work_is_typed_before_the_command_or_behind_it(args: list[str], expected: str) -> None:
    assert typed(*args) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        pytest.param(["told"], "/env env 10.0", id="nothing typed"),
        pytest.param(["-n", "x", "told"], "/env x 10.0", id="before the command"),
        pytest.param(["told", "-n", "x"], "/env x 10.0", id="behind it"),
    ],
)
def test_what_is_typed_counts_more_than_the_environment(args: list[str], expected: str) -> None:
    env = {"CONTAINERD_ADDRESS": "/env", "CONTAINERD_NAMESPACE": "env"}
    assert typed(*args, env=env) == expected


@pytest.mark.parametrize("text", ["-1", "nan", "soon"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    done = CliRunner().invoke(app, ["told", "--grace", text])
    assert done.exit_code == 2
    assert "--grace" in done.output


def test_a_time_may_be_for_ever() -> None:
    assert typed("told", "--grace", "inf") == "None None inf"
