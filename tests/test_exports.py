"""What `import containerd_aio` promises: every name is there, in order, and nothing generated leaks."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing

import pytest

import containerd_aio

PUBLIC = [
    "",
    ".contrib.aiohttp",
    ".contrib.fastapi",
    ".errors",
    ".events",
    ".filters",
    ".private_daemon",
    ".spec",
    ".stdio",
    ".types",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_all_is_complete_and_true(name: str) -> None:
    module = importlib.import_module(f"containerd_aio{name}")
    if name == ".errors":
        names = [
            n
            for n, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
    else:
        names = module.__all__
        assert len(names) == len(set(names))  # the linter sorts them
    assert all(hasattr(module, each) for each in names)


def test_every_error_is_exported_at_the_top() -> None:
    from containerd_aio import errors

    classes = {
        n
        for n, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert classes <= set(containerd_aio.__all__)


@pytest.mark.parametrize("name", [n for n in containerd_aio.__all__ if n[0].isupper()])
def test_the_annotations_of_public_classes_resolve_and_name_nothing_generated(name: str) -> None:
    """FastAPI and others read them at run time."""
    kind = getattr(containerd_aio, name)
    for member_name, member in inspect.getmembers(kind):
        if member_name.startswith("_") or not inspect.isfunction(member):
            continue
        hints = typing.get_type_hints(member)
        assert "containerd_aio._api" not in repr(hints)
    assert "containerd_aio._api" not in repr(typing.get_type_hints(kind))


def test_everything_public_has_a_docstring() -> None:
    for name in containerd_aio.__all__:
        thing = getattr(containerd_aio, name)
        assert inspect.getdoc(thing), name
        if inspect.isclass(thing) and thing.__module__.startswith("containerd_aio"):
            for member_name, member in vars(thing).items():
                if not member_name.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    assert inspect.getdoc(member), f"{name}.{member_name}"


def test_importing_the_package_imports_nothing_of_it_until_a_name_is_asked_for() -> None:
    program = """
import sys
import containerd_aio
assert [name for name in sys.modules if name.startswith("containerd_aio.")] == []
assert "Client" in dir(containerd_aio)
assert containerd_aio.pipes is sys.modules["containerd_aio.stdio"].pipes
assert "pipes" in vars(containerd_aio)
assert containerd_aio.private_daemon.PrivateDaemon
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_what_type_checkers_are_told_is_what_is_there() -> None:
    source = inspect.getsource(containerd_aio)
    told = {
        alias.name: node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("containerd_aio.")
        for alias in node.names
    }
    assert sorted(told) == sorted(containerd_aio.__all__)
    for name, module in told.items():
        assert getattr(containerd_aio, name) is getattr(importlib.import_module(module), name)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'containerd_aio' has no attribute 'Klient'"):
        _ = getattr(containerd_aio, "Klient")  # noqa: B009
    with pytest.raises(ImportError):
        exec("from containerd_aio import Klient")
