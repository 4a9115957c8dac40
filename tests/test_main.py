"""The way from the shell to the command line."""

from __future__ import annotations

import signal
import subprocess
import sys

STAND_IN = """
import os, signal, sys, types

def app():
    {body}

module = types.ModuleType("containerd_aio.cli.app")
module.app = app
sys.modules[module.__name__] = module
from containerd_aio.__main__ import main
main()
"""


def ended(body: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with something else in the place of the commands."""
    return subprocess.run(
        [sys.executable, "-c", STAND_IN.format(body=body)], capture_output=True, text=True, check=False
    )


def test_ctrl_c_before_anything_is_made_ends_it_without_a_word() -> None:
    done = ended("os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_that_was_ignored_stays_so() -> None:
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    program = ignoring + STAND_IN.format(body="os.kill(os.getpid(), signal.SIGINT); print('goes on')")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_a_package_that_is_missing_is_named_with_what_installs_it() -> None:
    done = ended("raise ModuleNotFoundError(name='typer')")
    assert done.returncode == 1
    assert "pip install 'containerd-aio[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_missing_module_is_a_bug_and_told_as_one() -> None:
    assert "Traceback" in ended("raise ModuleNotFoundError(name='containerd_aio.nothing')").stderr
