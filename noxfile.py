# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Everything that is done to this project by command: ``nox -l`` lists it."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"

PYPROJECT = nox.project.load_toml("pyproject.toml")


def dependencies(*groups: str) -> list[str]:
    """Return the requirements of dependency groups of pyproject.toml."""
    return list(nox.project.dependency_groups(PYPROJECT, *groups))


# A file's tests stay together, since they may share a container.
IN_PARALLEL = ["--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"]


@nox.session
def demo(session: nox.Session) -> None:
    """Start a private containerd and run real containers on it, in plain sight. Needs root, containerd, runc."""
    session.install("-e", ".[cli]")
    session.run("containerd-aio", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the unit tests, and the integration tests on a real containerd (some minutes)."""
    session.install("-e", ".[cli]", *dependencies("test"))
    # Hundreds of programs are begun by tests: they begin in half the time with compiled modules, which containers'
    # images often turn off.
    session.run(
        "pytest", "-m", "not long", *IN_PARALLEL, *session.posargs, env={"PYTHONDONTWRITEBYTECODE": None}
    )


@nox.session
def long(session: nox.Session) -> None:
    """Run the tests that take long: other versions of containerd, thousands of processes."""
    session.install("-e", ".[cli]", *dependencies("test"))
    session.run("pytest", "-m", "long", "--timeout=1800", *session.posargs)


BRIEF = [
    "tests/exits",
    "tests/transport",
    "tests/services",
    "tests/stdio",
    "tests/integration/test_lifecycle.py",
    "tests/integration/test_exits.py",
]


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """Run the heart of the tests on each Python that is supported."""
    session.install("-e", ".[cli]", *dependencies("test"))
    session.run("pytest", "-m", "not long", *BRIEF, *session.posargs)


@nox.session(python="3.13")
@nox.parametrize("loop", ["eager", "uvloop"])
def loops(session: nox.Session, loop: str) -> None:
    """Run the heart of the tests on other event loops: eager tasks, uvloop."""
    session.install("-e", ".[cli]", *dependencies("test"), "uvloop")
    session.run("pytest", "-m", "not long", *BRIEF, *session.posargs, env={"CONTAINERD_AIO_TEST_LOOP": loop})


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, style and the floors of the architecture."""
    session.install("-e", ".[cli]", *dependencies("lint"))
    session.run("ruff", "format", "--check")
    session.run("ruff", "check")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy --strict and pyright."""
    session.install("-e", ".[cli]", *dependencies("test", "types", "generate"), "nox")
    session.run("mypy")
    session.run("pyright")


@nox.session
def generate(session: nox.Session) -> None:
    """Compile proto/ into containerd_aio/_api; ``-- --check`` fails if what is committed differs."""
    session.install(*dependencies("generate"))
    session.run("python", "proto/generate.py", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure, and fail where a target is missed; ``-- --quick`` takes seconds."""
    session.install("-e", ".", *dependencies("test"))
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the distribution, and import it from a fresh environment."""
    session.install("build")
    out = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(out))
    wheel = max(out.glob("*.whl"), key=os.path.getmtime)
    session.install(str(wheel))
    with session.chdir(out):
        session.run("python", "-c", "import containerd_aio; containerd_aio.Client('/run/x.sock')")
