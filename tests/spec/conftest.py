"""Shared by the tests of specs: a container with users in its files."""

from __future__ import annotations

import pytest

from containerd_aio.spec import SpecContext
from tests.spec.stand_ins import GROUP, PASSWD, Files, image


@pytest.fixture
def files() -> Files:
    """A root filesystem with the users root, daemon and web."""
    return Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})


@pytest.fixture
def context(files: Files) -> SpecContext:
    """A container with those users and a plain image."""
    return SpecContext("web", "example", image(entrypoint=("/bin/web",), cmd=("--help",)), files)
