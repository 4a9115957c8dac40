"""What the README shows is true: every program in it runs, and prints what it says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from containerd_aio import Client, Image, pipes
from containerd_aio.private_daemon import PrivateDaemon

pytestmark = pytest.mark.integration

README = (Path(__file__).parents[2] / "README.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def daemon(criu_daemon: PrivateDaemon) -> PrivateDaemon:
    """One that can do all that the README shows."""
    return criu_daemon


def promised_output(program: str) -> list[str]:
    """What the comments behind print() say, in order."""
    return re.findall(r"print\(.*\)  # (.*)$", program, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.strip().splitlines()[0][:40])
async def test_a_program_of_the_readme_runs_and_prints_what_it_says(
    program: str,
    client: Client,
    image: Image,
    daemon: PrivateDaemon,
    namespace: str,
    archive: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTAINERD_ADDRESS", daemon.address)
    (tmp_path / "busybox.tar").write_bytes(archive)
    # A fixed namespace on a private daemon could meet another daemon's containers of the same ids.
    program = program.replace('namespace="example"', f'namespace="{namespace}"')
    names: dict[str, object] = {"client": client, "image": image, "pipes": pipes}
    code = compile(program, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)  # the README is ours
    if inspect.isawaitable(result):
        await result
    printed = capsys.readouterr().out
    for promise in promised_output(program):
        assert promise in printed


def test_the_first_program_stands_before_line_12() -> None:
    assert "```python" in "\n".join(README.splitlines()[:12])


def test_the_two_commands_differ_only_in_what_nox_runs_and_ci_runs_the_second() -> None:
    demo, tests = COMMANDS
    assert demo.strip().removesuffix("demo") == tests.strip().removesuffix("tests")
    assert "README.md" in (Path(__file__).parents[2] / ".ci" / "run").read_text()


def test_the_readme_shows_enough_programs() -> None:
    assert len(PROGRAMS) >= 7
